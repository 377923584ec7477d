"""Weekly product metrics, which the next aggregation fills."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

COUNTS = (
    "total_impressions",
    "total_views",
    "total_clicks",
    "total_favorites",
    "total_cart_additions",
    "total_cart_removals",
    "total_sales",
    "rating_count",
    "position_sum",
    "position_count",
)
AMOUNTS = ("total_revenue", "rating_sum")


def upgrade() -> None:
    """Apply the change."""
    zero = sa.text("0")
    op.create_table(
        "weekly_product_metrics",
        sa.Column("week", sa.Date(), nullable=False),
        sa.Column("product_id", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), server_default=zero, nullable=False) for name in COUNTS),
        *(sa.Column(name, sa.Numeric(), server_default=zero, nullable=False) for name in AMOUNTS),
        sa.PrimaryKeyConstraint("week", "product_id", name=op.f("pk_weekly_product_metrics")),
    )
    op.create_index(
        "ix_weekly_product_metrics_product", "weekly_product_metrics", ["product_id", "week"]
    )


def downgrade() -> None:
    """Undo the change."""
    op.drop_table("weekly_product_metrics")
