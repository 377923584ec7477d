"""Requests and answers about the metrics of products."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from app.period import PeriodQuery
from app.schemas.figures import Money, Rate, from_field
from app.schemas.lists import PageQuery
from intake.contract import MAX_ID
from models.metrics_report import SORTS
from models.rates import PRIOR_TRIALS


class MetricsQuery(PeriodQuery):
    """Which days: those of the range, or all time when no day is named."""


class MetricsListQuery(PageQuery, MetricsQuery):
    """Which products, of which days, and in which order."""

    sort = fields.String(
        load_default="views",
        validate=validate.OneOf(SORTS),
        metadata={"description": "a counter, or the smoothed value of a rate"},
    )
    order = fields.String(load_default="desc", validate=validate.OneOf(["asc", "desc"]))
    category = fields.String(load_default=None, validate=validate.Length(max=200))
    product_id = fields.String(
        load_default=None,
        validate=validate.Length(1, MAX_ID),
        metadata={"description": "exactly this product: for ids that a path cannot hold"},
    )


class RateAnswer(Schema):
    """A rate, how sure it is, and what to compare it by."""

    value = Rate(allow_none=True, metadata={"description": "null without trials"})
    low = Rate(
        allow_none=True, metadata={"description": "lower bound of the 95 % Wilson score interval"}
    )
    high = Rate(allow_none=True, metadata={"description": "upper bound"})
    smoothed = Rate(
        metadata={
            "description": f"(successes + {PRIOR_TRIALS} * rate of the shop) "
            f"/ (trials + {PRIOR_TRIALS})"
        }
    )
    trials = fields.Integer()


class Rates(Schema):
    """What a product makes of its impressions and views."""

    click_through_rate = fields.Nested(
        RateAnswer, metadata={"description": "clicks per impression"}
    )
    cart_rate = fields.Nested(RateAnswer, metadata={"description": "cart additions per view"})
    conversion_rate = fields.Nested(
        RateAnswer,
        metadata={"description": "units sold, less those that came back, per view; at most 1"},
    )
    revenue_per_view = fields.Nested(
        RateAnswer,
        metadata={"description": "money per view; no proportion, so without an interval"},
    )


class ProductCounters(Schema):
    """The metrics of one product."""

    product_id = fields.String()
    name = fields.String(allow_none=True)
    category = fields.String(allow_none=True)
    total_impressions = fields.Integer()
    total_views = fields.Integer()
    total_clicks = fields.Integer()
    total_favorites = fields.Integer()
    total_cart_additions = fields.Integer()
    total_cart_removals = fields.Integer()
    total_sales = fields.Integer(metadata={"description": "units, less those that came back"})
    total_revenue = Money()
    average_rating = Rate(allow_none=True)
    smoothed_rating = Rate(
        metadata={"description": "pulled towards the mean of the shop: what `rating` sorts by"}
    )
    rating_count = fields.Integer()
    average_position = Rate(
        allow_none=True, metadata={"description": "mean place in the lists that showed it"}
    )
    last_event_at = fields.DateTime(
        allow_none=True, metadata={"description": "of all time; null for a range of days"}
    )
    rates = fields.Nested(Rates)


class _Span(Schema):
    date_from = fields.Date(allow_none=True)
    date_to = fields.Date(
        allow_none=True, metadata={"description": "the day after the last; both null: all time"}
    )
    source = from_field("aggregates", "events")


class ProductMetricsAnswer(ProductCounters, _Span):
    """The metrics of one product, of all time or of some days."""


class MetricsList(_Span):
    """A page of products with their metrics."""

    products = fields.List(fields.Nested(ProductCounters))
    next_cursor = fields.String(allow_none=True)


class CoverageAnswer(Schema):
    """Which products have metrics."""

    products = fields.Integer(metadata={"description": "in the catalogue"})
    with_metrics = fields.Integer()
    without_metrics = fields.Integer()
    unknown_products = fields.Integer(
        metadata={"description": "with metrics and not in the catalogue"}
    )
    share = Rate(allow_none=True, metadata={"description": "of products with metrics"})
