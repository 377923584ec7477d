"""Tables and indices of the reading surface: reports, privacy, identities, keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

COUNTED = ("product_metrics", "purged_product_metrics", "daily_product_metrics")
_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Apply the change."""
    for table in COUNTED:
        for name in ("position_sum", "position_count"):
            op.add_column(
                table,
                sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False),
            )
    op.create_index("ix_events_category", "events", ["event_category", "event_type"])
    op.create_index(
        "ix_events_entity",
        "events",
        ["entity_type", "entity_id"],
        postgresql_where=sa.text("entity_type IS NOT NULL"),
    )
    op.create_index(
        "ix_events_occurred",
        "events",
        ["occurred_at"],
        postgresql_using="brin",
        postgresql_with={"pages_per_range": 32, "autosummarize": "on"},
    )
    op.add_column("daily_totals", sa.Column("users_sketch", sa.LargeBinary(), nullable=True))
    op.add_column("daily_totals", sa.Column("anonymous_sketch", sa.LargeBinary(), nullable=True))
    _add_key_columns()
    _create_daily_tables()
    # The new tables know nothing of the days that were aggregated before.
    op.execute(
        "INSERT INTO dirty_days (day) "
        "SELECT day FROM daily_totals WHERE sealed_at IS NULL AND events > 0"
    )
    op.create_table(
        "identities",
        sa.Column("anonymous_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("linked_at", _MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("anonymous_id", name=op.f("pk_identities")),
    )
    op.create_index("ix_identities_user", "identities", ["user_id"])
    op.create_table(
        "dirty_identities",
        sa.Column("mark", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("anonymous_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("mark", name=op.f("pk_dirty_identities")),
    )
    op.create_table(
        "suppressions",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", _MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_suppressions")),
    )
    op.create_table(
        "erasures",
        sa.Column("erasure_id", sa.Uuid(), nullable=False),
        sa.Column("digests", postgresql.ARRAY(sa.LargeBinary()), nullable=False),
        sa.Column("subject", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("requested_at", _MOMENT, nullable=False),
        sa.Column("finished_at", _MOMENT, nullable=True),
        sa.Column("counts", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("signature", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("erasure_id", name=op.f("pk_erasures")),
    )


def _add_key_columns() -> None:
    for column in (
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column(
            "allowed_origins",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column("rate_limit", sa.Integer(), nullable=True),
        sa.Column("expires_at", _MOMENT, nullable=True),
        sa.Column("last_used_at", _MOMENT, nullable=True),
    ):
        op.add_column("api_keys", column)


def _create_daily_tables() -> None:
    op.create_table(
        "hourly_aggregates",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("hour", _MOMENT, nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "day", "hour", "event_type", "source", name=op.f("pk_hourly_aggregates")
        ),
    )
    op.create_table(
        "daily_values",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("property", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "property", "value", name=op.f("pk_daily_values")),
    )
    op.create_table(
        "daily_sessions",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("sessions", sa.BigInteger(), nullable=False),
        sa.Column("bounces", sa.BigInteger(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.Column("duration_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_daily_sessions")),
    )
    op.create_table(
        "daily_recommendations",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("placement", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("shown", sa.BigInteger(), nullable=False),
        sa.Column("clicked", sa.BigInteger(), nullable=False),
        sa.Column("purchased", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "day", "placement", "position", name=op.f("pk_daily_recommendations")
        ),
    )


def downgrade() -> None:
    """Undo the change."""
    for table in (
        "erasures",
        "suppressions",
        "dirty_identities",
        "identities",
        "daily_recommendations",
        "daily_sessions",
        "daily_values",
        "hourly_aggregates",
    ):
        op.drop_table(table)
    for name in ("last_used_at", "expires_at", "rate_limit", "allowed_origins", "source"):
        op.drop_column("api_keys", name)
    op.drop_column("daily_totals", "anonymous_sketch")
    op.drop_column("daily_totals", "users_sketch")
    for name in ("ix_events_occurred", "ix_events_entity", "ix_events_category"):
        op.drop_index(name, "events")
    for table in COUNTED:
        op.drop_column(table, "position_count")
        op.drop_column(table, "position_sum")
