"""The metrics of products: of one, of all in an order, and how many products have some."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from app.auth import require_scope
from app.blueprint import ApiBlueprint
from app.database import current_session
from app.errors import Problem
from app.metrics_cursor import read_place, write_place
from app.paging import cut_page
from app.period import read_period
from app.product_metrics import show_metrics
from app.schemas.product_metrics import (
    CoverageAnswer,
    MetricsList,
    MetricsListQuery,
    MetricsQuery,
    ProductMetricsAnswer,
)
from app.state import state
from models.metrics_coverage import Coverage, read_coverage
from models.metrics_report import (
    LIFETIME,
    Source,
    list_product_metrics,
    read_priors,
    read_product_metrics,
    source_of_days,
)

blueprint = ApiBlueprint(
    "product_metrics", __name__, url_prefix="/api/products", description="Product metrics"
)


@blueprint.route("/<path:product_id>/metrics/")
@blueprint.doc(summary="The metrics of one product")
@require_scope("read")
@blueprint.arguments(MetricsQuery, location="query")
@blueprint.response(200, ProductMetricsAnswer)
def product_metrics(query: dict[str, Any], product_id: str) -> dict[str, Any]:
    """Give a product's counters and rates, of all time or of a range of days."""
    source, span = _choose_source(query)
    row = read_product_metrics(current_session(), source, product_id)
    if row is None:
        raise Problem(
            404, "unknown_product", f"neither catalogue nor events know a product {product_id!r}"
        )
    return {**show_metrics(row, _priors(source, span)), **span}


@blueprint.route("/metrics/")
@blueprint.doc(summary="Products by their metrics")
@require_scope("read")
@blueprint.arguments(MetricsListQuery, location="query")
@blueprint.response(200, MetricsList)
def products_by_metrics(query: dict[str, Any]) -> dict[str, Any]:
    """List products by a counter or a rate, of all time or of a range of days.

    Rates are sorted by their smoothed values. The pages behind the first keep the shop's rate of
    the first, so that events that come in meanwhile do not shift them all. (The rates of the shop
    are up to a minute old, the counters are not.)
    """
    sort, order, limit, cursor = (query[name] for name in ("sort", "order", "limit", "cursor"))
    source, span = _choose_source(query)
    priors = _priors(source, span)
    after = None if cursor is None else read_place(cursor, sort, order)
    prior = priors.get(sort, 0.0) if after is None else after.prior
    found = list_product_metrics(
        current_session(),
        source,
        sort=sort,
        descending=order == "desc",
        prior=prior,
        category=query["category"],
        product_id=query["product_id"],
        after=after,
        limit=limit + 1,
    )
    page, last = cut_page(found, limit)
    return {
        "products": [show_metrics(row, priors) for row in page],
        "next_cursor": None if last is None else write_place(last, sort, order, prior),
        **span,
    }


@blueprint.route("/coverage/")
@blueprint.doc(summary="How many products have metrics")
@require_scope("read")
@blueprint.response(200, CoverageAnswer)
def coverage() -> Coverage:
    """Count the products of the catalogue with and without metrics, and metrics without one."""
    return read_coverage(current_session())


def _choose_source(query: dict[str, Any]) -> tuple[Source, dict[str, Any]]:
    if query["date_from"] is None and query["date_to"] is None:
        return LIFETIME, {"date_from": None, "date_to": None, "source": LIFETIME.says}
    first, last = read_period(query)
    source = source_of_days(current_session(), first, last, zone=state().settings.report_timezone)
    span = {"date_from": first, "date_to": last + timedelta(days=1), "source": source.says}
    return source, span


def _priors(source: Source, span: dict[str, Any]) -> dict[str, float]:
    return state().shop_rates.get(
        (span["date_from"], span["date_to"]),
        lambda: read_priors(current_session(), source),
        now=state().clock(),
    )
