"""The catalogue, as the shop sends it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from marshmallow import ValidationError

from app.auth import require_scope
from app.blueprint import ApiBlueprint
from app.database import current_session
from app.schemas.products import ProductsAnswer, ProductSchema, ProductsRequest
from app.state import state
from intake.contract import messages_of
from intake.payload import check_payload
from models.products import upsert_products

blueprint = ApiBlueprint("products", __name__, url_prefix="/api/products", description="Catalogue")
_SCHEMA = ProductSchema()


@blueprint.route("", methods=["POST"], strict_slashes=False)
@blueprint.doc(summary="Insert or replace products", security=[{"admin_token": []}])
@require_scope("admin")
@blueprint.arguments(ProductsRequest)
@blueprint.response(200, ProductsAnswer)
def put_products(request_body: dict[str, Any]) -> dict[str, Any]:
    """Insert or replace products, each judged by itself."""
    accepted: list[dict[str, Any]] = []
    rejected: list[dict[str, Any]] = []
    for index, product in enumerate(request_body["products"]):
        try:
            check_payload(product)
            accepted.append(_SCHEMA.load(product))
        except ValidationError as error:
            rejected.append({"index": index, "reason": "invalid", "errors": messages_of(error)})
    now = datetime.fromtimestamp(state().clock(), UTC)
    created, updated = upsert_products(current_session(), accepted, now=now)
    current_session().commit()
    return {"created": created, "updated": updated, "rejected": rejected}
