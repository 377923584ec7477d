"""Recommendations: similar products, a person's list, what is popular. Never an error, never empty
while there are products to show."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from app.auth import public
from app.blueprint import ApiBlueprint
from app.champion import Champion
from app.clock import now, today_utc
from app.database import current_session
from app.ladder import Rung, climb, shelf_rungs
from app.schemas.recommendations import ListQuery, PersonQuery, ProductQuery, RecommendationList
from app.state import state
from models.interactions import read_history
from models.shelves import read_cards

blueprint = ApiBlueprint(
    "recommendations", __name__, url_prefix="/api/recommendations", description="Recommendations"
)
HISTORY_DAYS = 90


@blueprint.route("/product/<path:product_id>/")
@blueprint.doc(summary="Products like this one")
@public
@blueprint.arguments(ProductQuery, location="query")
@blueprint.response(200, RecommendationList)
def similar_products(query: dict[str, Any], product_id: str) -> dict[str, Any]:
    """Give products like this one: met by the same people, alike, then popular."""
    champion = state().champions.current(current_session())
    card = read_cards(current_session(), [product_id]).get(product_id)

    def rungs() -> Iterator[Rung]:
        if champion is not None:
            yield lambda n: champion.model.similar(product_id, n, query["method"])
        yield from shelf_rungs(
            current_session(), today=today_utc(), category=card.category if card else None
        )

    return _answer(champion, rungs(), query["n"], frozenset({product_id}))


@blueprint.route("/user/<path:user_id>/")
@blueprint.doc(summary="A list for one user")
@public
@blueprint.arguments(PersonQuery, location="query")
@blueprint.response(200, RecommendationList)
def for_user(query: dict[str, Any], user_id: str) -> dict[str, Any]:
    """Give a list for a user, from what they did up to now."""
    champion = state().champions.current(current_session())
    moment = now()
    lines = read_history(
        current_session(), "user_id", user_id, since=moment - timedelta(days=HISTORY_DAYS)
    )
    exclude_seen = query["exclude_seen"]
    if exclude_seen is None:
        exclude_seen = champion is None or champion.manifest["window"]["exclude_seen"]
    seen = frozenset(line.product_id for line in lines) if exclude_seen else frozenset()
    category = None
    if lines:
        card = read_cards(current_session(), [lines[0].product_id]).get(lines[0].product_id)
        category = card.category if card else None

    def rungs() -> Iterator[Rung]:
        if champion is not None:
            history = [
                (
                    line.product_id,
                    line.weight,
                    max(0.0, (moment - line.occurred_at).total_seconds()),
                )
                for line in lines
            ]
            yield lambda n: champion.model.for_history(history, n, seen)
        yield from shelf_rungs(current_session(), today=moment.date(), category=category)

    return _answer(champion, rungs(), query["n"], seen)


@blueprint.route("/popular")
@blueprint.doc(summary="What is popular lately")
@public
@blueprint.arguments(ListQuery, location="query")
@blueprint.response(200, RecommendationList)
def popular(query: dict[str, Any]) -> dict[str, Any]:
    """Give what many people met lately."""
    champion = state().champions.current(current_session())

    def rungs() -> Iterator[Rung]:
        if champion is not None:
            yield lambda n: champion.model.popular(n)
        yield from shelf_rungs(current_session(), today=today_utc())

    return _answer(champion, rungs(), query["n"], frozenset())


def _answer(
    champion: Champion | None, rungs: Iterator[Rung], n: int, exclude: frozenset[str]
) -> dict[str, Any]:
    return {
        "model_version": champion.version if champion else None,
        "recommendations": climb(current_session(), rungs, n=n, exclude=exclude),
    }
