"""The tables. Importing this package makes each of them known to SQLAlchemy and Alembic."""

from models import (
    api_keys,
    daily_aggregates,
    daily_product_metrics,
    dead_letters,
    dirty_days,
    events,
    interactions,
    job_runs,
    partitions,
    product_metrics,
    products,
    reports,
    shelves,
    store,
    training_runs,
)

__all__ = [
    "api_keys",
    "daily_aggregates",
    "daily_product_metrics",
    "dead_letters",
    "dirty_days",
    "events",
    "interactions",
    "job_runs",
    "partitions",
    "product_metrics",
    "products",
    "reports",
    "shelves",
    "store",
    "training_runs",
]
