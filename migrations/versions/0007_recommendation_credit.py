"""Recommendations by rung and version, with the credit of clicks and purchases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_PLACE = "day, placement, position, rung, model_version"


def upgrade() -> None:
    """Apply the change.

    What was counted before stays, with a rung and a version that are not known. Days whose events
    are stored are counted again by the next aggregation.
    """
    op.create_table(
        "daily_recommendation_credit",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("placement", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rung", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("clicked", sa.BigInteger(), nullable=False),
        sa.Column("purchased", sa.BigInteger(), nullable=False),
        sa.Column("converted", sa.BigInteger(), nullable=False),
        sa.Column("revenue", sa.Numeric(), nullable=False),
        sa.PrimaryKeyConstraint(
            "day",
            "placement",
            "position",
            "rung",
            "model_version",
            name=op.f("pk_daily_recommendation_credit"),
        ),
    )
    op.execute(
        f"INSERT INTO daily_recommendation_credit ({_PLACE}, clicked, purchased, converted,"
        " revenue) SELECT day, placement, position, 'unknown', 0, clicked, purchased, purchased, 0"
        " FROM daily_recommendations WHERE clicked > 0 OR purchased > 0"
    )
    op.execute(
        "INSERT INTO dirty_days (day) SELECT DISTINCT day FROM daily_recommendations"
        " WHERE day NOT IN (SELECT day FROM daily_totals WHERE sealed_at IS NOT NULL)"
    )
    for column in (
        sa.Column("rung", sa.Text(), server_default="unknown", nullable=False),
        sa.Column(
            "model_version",
            sa.Integer(),
            autoincrement=False,
            server_default=sa.text("0"),
            nullable=False,
        ),
        sa.Column("lists", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
    ):
        op.add_column("daily_recommendations", column)
        op.alter_column("daily_recommendations", column.name, server_default=None)
    op.drop_column("daily_recommendations", "purchased")
    op.drop_column("daily_recommendations", "clicked")
    op.execute("DELETE FROM daily_recommendations WHERE shown = 0")
    _replace_key(_PLACE)


def downgrade() -> None:
    """Undo the change: rungs and versions are summed up."""
    op.execute(
        "CREATE TEMPORARY TABLE kept ON COMMIT DROP AS"
        " SELECT day, placement, position, sum(shown)::bigint AS shown,"
        " sum(clicked)::bigint AS clicked, sum(purchased)::bigint AS purchased"
        " FROM (SELECT day, placement, position, shown, 0 AS clicked, 0 AS purchased"
        "       FROM daily_recommendations"
        "       UNION ALL SELECT day, placement, position, 0, clicked, purchased"
        "       FROM daily_recommendation_credit) AS rows GROUP BY 1, 2, 3"
    )
    op.execute("DELETE FROM daily_recommendations")
    op.drop_table("daily_recommendation_credit")
    op.execute("ALTER TABLE daily_recommendations DROP CONSTRAINT pk_daily_recommendations")
    for name in ("rung", "model_version", "lists"):
        op.drop_column("daily_recommendations", name)
    for name in ("clicked", "purchased"):
        op.add_column("daily_recommendations", sa.Column(name, sa.BigInteger(), nullable=False))
    op.create_primary_key(
        "pk_daily_recommendations", "daily_recommendations", ["day", "placement", "position"]
    )
    op.execute(
        "INSERT INTO daily_recommendations (day, placement, position, shown, clicked, purchased)"
        " SELECT day, placement, position, shown, clicked, purchased FROM kept"
    )
    op.execute("DROP TABLE kept")


def _replace_key(columns: str) -> None:
    op.execute("ALTER TABLE daily_recommendations DROP CONSTRAINT pk_daily_recommendations")
    op.create_primary_key("pk_daily_recommendations", "daily_recommendations", columns.split(", "))
