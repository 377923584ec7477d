"""Recommendations: similar products, a person's list, what is popular. Never empty while there are
products to show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from flask import Response
from marshmallow import ValidationError
from sqlalchemy.exc import DBAPIError

from app.auth import public
from app.blueprint import ApiBlueprint
from app.clock import now
from app.errors import Problem
from app.recommend.access import Rights, needs_token, read_rights, require_rights
from app.recommend.lists import Maker
from app.recommend.queries import RememberingParser
from app.recommend.wish import Wish, wish_of
from app.schemas import examples
from app.schemas.recommendations import (
    ListQuery,
    PersonQuery,
    ProductQuery,
    RecommendationList,
    SessionQuery,
    Wishes,
    WishItem,
    WishResults,
)
from app.state import state
from models.database import is_stale
from models.suppressions import Salts


class _Blueprint(ApiBlueprint):
    ARGUMENTS_PARSER = RememberingParser()


blueprint = _Blueprint(
    "recommendations", __name__, url_prefix="/api/recommendations", description="Recommendations"
)
_ITEM = WishItem()
_ACCESS = {
    "401": {"description": "RECOMMENDATIONS_ACCESS is token, and there is none that is valid"},
    "403": {"description": "The token is not of this user, nor one with the scope `read`"},
}


@blueprint.route("/product/<path:product_id>/")
@blueprint.doc(summary="Products like this one")
@public
@blueprint.arguments(ProductQuery, location="query")
@blueprint.response(200, RecommendationList)
def similar_products(query: dict[str, Any], product_id: str) -> Response:
    """Give products like this one: met by the same people, alike, of its category, then popular."""
    return _answer(wish_of(query, product_id=product_id))


@blueprint.route("/user/<path:user_id>/")
@blueprint.doc(summary="A list for one user", responses=_ACCESS)
@public
@blueprint.arguments(PersonQuery, location="query")
@blueprint.response(200, RecommendationList)
def for_user(query: dict[str, Any], user_id: str) -> Response:
    """Give a list for a user, from what they did up to now.

    Its reasons name products of theirs only to callers with an admin token of the scope `read`, or
    with the user's JWT of the host application.
    """
    rights = read_rights()
    require_rights(rights, user_id)
    return _answer(wish_of(query, user_id=user_id, named=rights.cover(user_id)))


@blueprint.route("/session")
@blueprint.doc(summary="A list for one visitor")
@public
@blueprint.arguments(SessionQuery, location="query")
@blueprint.response(200, RecommendationList)
def for_session(query: dict[str, Any]) -> Response:
    """Give a list for somebody who is known by an anonymous id only, from their visits up to now.

    Of an id that is linked to a user, what that user did counts too; not where
    RECOMMENDATIONS_ACCESS is token and the caller has none.
    """
    return _answer(_session_wish(query, query["anonymous_id"], _rights_or_none()))


@blueprint.route("/popular")
@blueprint.doc(summary="What is popular lately")
@public
@blueprint.arguments(ListQuery, location="query")
@blueprint.response(200, RecommendationList)
def popular(query: dict[str, Any]) -> Response:
    """Give what many people met lately."""
    return _answer(wish_of(query))


@blueprint.route("/batch", methods=["POST"])
@blueprint.doc(summary="Many lists in one request", responses=_ACCESS)
@public
@blueprint.arguments(Wishes, example=examples.WISHES)
@blueprint.response(200, WishResults)
def batch(body: dict[str, Any]) -> Response:
    """Give up to a hundred lists: for users, for visitors, like products, or what is popular.

    A request that cannot be used is rejected by itself; the others get their lists.
    """
    rights = read_rights()
    wishes: dict[int, Wish] = {}
    results: list[dict[str, Any]] = []
    for index, item in enumerate(body["requests"]):
        try:
            wishes[index] = _item_wish(item, rights)
        except ValidationError as error:
            detail = "the request has fields that cannot be used: see errors"
            results.append(_rejected(index, "invalid", detail, errors=error.messages))
        except Problem as problem:
            results.append(_rejected(index, problem.code, problem.detail))
    for index, made in zip(wishes, _make(list(wishes.values())), strict=True):
        results.append({"index": index, "status": "ok", **made})
    return _write({"results": sorted(results, key=lambda result: int(result["index"]))})


def _item_wish(item: Any, rights: Rights) -> Wish:
    query: dict[str, Any] = _ITEM.load(item)
    user_id, anonymous_id = query["user_id"], query["anonymous_id"]
    if user_id is not None:
        require_rights(rights, user_id)
        return wish_of(query, user_id=user_id, named=rights.cover(user_id))
    if anonymous_id is not None:
        return _session_wish(query, anonymous_id, rights)
    return wish_of(query, product_id=query["product_id"])


def _session_wish(query: dict[str, Any], anonymous_id: str, rights: Rights) -> Wish:
    return wish_of(
        query,
        anonymous_id=anonymous_id,
        named=rights.everybody,
        linked=rights.everybody or not needs_token(),
    )


def _rights_or_none() -> Rights:
    try:
        return read_rights()
    except Problem:
        return Rights()


def _rejected(index: int, code: str, detail: str, **more: Any) -> dict[str, Any]:
    return {"index": index, "status": "rejected", "code": code, "detail": detail, **more}


def _answer(wish: Wish) -> Response:
    return _write(_make([wish])[0])


def _write(answer: dict[str, Any]) -> Response:
    """Write an answer, which is made as its schema documents: to go through that took long."""
    # The errors of a list name their places by number.
    text = orjson.dumps(answer, option=orjson.OPT_NON_STR_KEYS)
    return Response(text, mimetype="application/json")


def _make(wishes: Sequence[Wish]) -> list[dict[str, Any]]:
    if not wishes:
        return []
    try:
        return _make_once(wishes)
    except DBAPIError as error:
        if not is_stale(error):
            raise
        return _make_once(wishes)


def _make_once(wishes: Sequence[Wish]) -> list[dict[str, Any]]:
    app = state()
    secret_key = app.settings.secret_key
    with app.reader.connect() as connection:
        return Maker(
            connection=connection,
            champion=app.champions.current(),
            trending=app.trending,
            salts=Salts.of(secret_key).as_parameters() if secret_key else None,
            now=now(),
            bought_days=app.settings.recommendations_bought_days,
        ).make(wishes)
