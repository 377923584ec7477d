"""The catalogue: products come in as the shop sends them, and are listed, changed, deactivated.

Every id is found by `GET /api/products?product_id=`, also one that a path cannot hold: `metrics`,
`a/metrics`, `/a`. The bulk request changes those.
"""

from __future__ import annotations

import io
from typing import Any

from flask import request
from marshmallow import ValidationError

from app.auth import require_scope
from app.blueprint import ApiBlueprint
from app.body import read_body
from app.clock import now
from app.database import current_session
from app.errors import Problem
from app.paging import cut_page
from app.product_cursor import read_place, write_place
from app.schemas import examples
from app.schemas.products import (
    MAX_PRODUCTS,
    ProductAnswer,
    ProductList,
    ProductListQuery,
    ProductsAnswer,
    ProductsRequest,
)
from intake.contract import messages_of
from intake.product_files import Entry, Format, read_products
from intake.products import ProductFields, check_product_id
from intake.text_lines import FileError
from models import product_list
from models.products import Product, change_product, upsert_products

blueprint = ApiBlueprint("products", __name__, url_prefix="/api/products", description="Catalogue")

MAX_BODY_BYTES = 16 * 1024 * 1024
_FORMATS: dict[str, Format] = {
    "": "json",
    "application/json": "json",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "text/csv": "csv",
}


@blueprint.route("", methods=["POST"])
@blueprint.doc(
    summary="Insert or replace products",
    requestBody={
        "required": True,
        "content": {
            "application/json": {"schema": ProductsRequest, "examples": examples.PRODUCTS},
            "application/x-ndjson": {
                "schema": {"type": "string", "description": examples.PRODUCTS_NDJSON}
            },
            "text/csv": {"schema": {"type": "string"}, "examples": examples.PRODUCTS_CSV},
        },
    },
    responses={
        "400": {"description": "The body cannot be read as what it says it is"},
        "413": {"description": "The body is too large, or has too many products"},
        "415": {"description": "Neither JSON, NDJSON nor CSV, or not in UTF-8"},
        "422": {"description": "The body holds no product"},
    },
)
@require_scope("admin")
@blueprint.response(200, ProductsAnswer)
def put_products() -> dict[str, Any]:
    """Insert or replace up to 5,000 products from JSON, NDJSON or CSV, each judged by itself.

    The first line of CSV names the columns; columns that are no field of a product become
    attributes, and an empty cell says nothing.
    """
    entries = _read_entries()
    accepted = [entry.product for entry in entries if entry.product is not None]
    created, updated = upsert_products(current_session(), accepted, now=now())
    current_session().commit()
    return {
        "created": created,
        "updated": updated,
        "rejected": [_rejection(entry) for entry in entries if entry.errors is not None],
    }


def _read_entries() -> list[Entry]:
    format = _FORMATS.get(request.mimetype)
    if format is None:
        raise Problem(
            415,
            "unsupported_media_type",
            "send the products as application/json, application/x-ndjson or text/csv, "
            f"not {request.mimetype}",
        )
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8", "us-ascii"):
        raise Problem(415, "unsupported_charset", f"send the products in UTF-8, not in {charset}")
    entries: list[Entry] = []
    try:
        for entry in read_products(
            io.BytesIO(read_body(request, max_bytes=MAX_BODY_BYTES)), format
        ):
            if len(entries) == MAX_PRODUCTS:
                raise Problem(
                    413,
                    "too_many_products",
                    f"a request may carry {MAX_PRODUCTS} products: send them in parts",
                )
            entries.append(entry)
    except FileError as error:
        raise Problem(400, error.reason, error.detail) from None
    if not entries:
        raise Problem(422, "empty", "the request must hold at least one product")
    return entries


def _rejection(entry: Entry) -> dict[str, Any]:
    verdict = {"index": entry.index, "reason": "invalid", "errors": entry.errors}
    return verdict if entry.line is None else {**verdict, "line": entry.line}


@blueprint.route("")
@blueprint.doc(summary="List products")
@require_scope("read")
@blueprint.arguments(ProductListQuery, location="query")
@blueprint.response(200, ProductList)
def list_products(query: dict[str, Any]) -> dict[str, Any]:
    """List products by id, name, price or last change, with a search and filters."""
    sort, order, limit = query.pop("sort"), query.pop("order"), query.pop("limit")
    cursor = query.pop("cursor")
    found = product_list.read_products(
        current_session(),
        product_list.Filter(**query),
        sort=sort,
        descending=order == "desc",
        after=None if cursor is None else read_place(cursor, sort, order),
        limit=limit + 1,
    )
    page, last = cut_page(found, limit)
    return {"products": page, "next_cursor": last and write_place(last, sort, order)}


@blueprint.route("/<path:product_id>/")
@blueprint.doc(summary="One product")
@require_scope("read")
@blueprint.response(200, ProductAnswer)
def get_product(product_id: str) -> Product:
    """Give one product."""
    product = current_session().get(Product, product_id)
    if product is None:
        raise _unknown(product_id)
    return product


@blueprint.route("/<path:product_id>/", methods=["PUT"])
@blueprint.doc(
    summary="Insert or replace one product",
    responses={"201": {"description": "It is new", "schema": ProductAnswer}},
)
@require_scope("admin")
@blueprint.arguments(ProductFields, example=examples.PRODUCT)
@blueprint.response(200, ProductAnswer)
def put_product(fields: dict[str, Any], product_id: str) -> tuple[Product, int]:
    """Insert one product, or replace it whole: a field left out gets its default."""
    try:
        check_product_id(product_id)
    except ValidationError as error:
        raise Problem(
            422, "invalid", "the id cannot be used: see errors", errors=messages_of(error)
        ) from None
    row = {**fields, "product_id": product_id}
    created, _ = upsert_products(current_session(), [row], now=now())
    current_session().commit()
    return current_session().get_one(Product, product_id), 201 if created else 200


@blueprint.route("/<path:product_id>/", methods=["PATCH"])
@blueprint.doc(summary="Change some fields of a product")
@require_scope("admin")
@blueprint.arguments(ProductFields, example=examples.PRODUCT)
@blueprint.response(200, ProductAnswer)
def patch_product(fields: dict[str, Any], product_id: str) -> Product:
    """Change the fields that are given; attributes are replaced as a whole."""
    return _change(product_id, fields)


@blueprint.route("/<path:product_id>/", methods=["DELETE"])
@blueprint.doc(summary="Deactivate a product")
@require_scope("admin")
@blueprint.response(200, ProductAnswer)
def delete_product(product_id: str) -> Product:
    """Deactivate a product: recommendations leave it out, its events and metrics stay."""
    return _change(product_id, {"active": False})


@blueprint.route("/<path:product_id>/deactivate/", methods=["POST"])
@blueprint.doc(summary="Deactivate a product")
@require_scope("admin")
@blueprint.response(200, ProductAnswer)
def deactivate_product(product_id: str) -> Product:
    """Deactivate a product. PATCH with `active: true` takes it back."""
    return _change(product_id, {"active": False})


def _change(product_id: str, changes: dict[str, Any]) -> Product:
    product = change_product(current_session(), product_id, changes, now=now())
    if product is None:
        raise _unknown(product_id)
    current_session().commit()
    return product


def _unknown(product_id: str) -> Problem:
    return Problem(404, "unknown_product", f"the catalogue has no product {product_id!r}")
