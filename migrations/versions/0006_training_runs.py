"""Progress of training runs, and models that people promote and take back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Apply the change. What the kept models were served from is the history's beginning."""
    for column in (
        sa.Column("seed", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=True),
        sa.Column("heartbeat_at", _MOMENT, nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("percent", sa.Float(53), server_default=sa.text("0"), nullable=False),
        sa.Column("budget", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    ):
        op.add_column("training_runs", column)
    op.execute(
        "UPDATE training_runs SET percent = 100 WHERE status IN ('promoted', 'rejected', 'skipped')"
    )
    op.create_table(
        "model_promotions",
        sa.Column("promotion_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("previous_id", sa.BigInteger(), nullable=True),
        sa.Column("promoted_at", _MOMENT, nullable=False),
        sa.Column("promoted_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["previous_id"],
            ["model_promotions.promotion_id"],
            name=op.f("fk_model_promotions_previous_id"),
        ),
        sa.PrimaryKeyConstraint("promotion_id", name=op.f("pk_model_promotions")),
    )
    op.execute(
        "INSERT INTO model_promotions "
        "(promotion_id, version, previous_id, promoted_at, promoted_by, reason) "
        "SELECT place, version, nullif(place - 1, 0), served_from, 'gate', 'passed the gate' "
        "FROM (SELECT version, served_from, row_number() OVER (ORDER BY served_from, version) "
        "AS place FROM model_artefacts WHERE served_from IS NOT NULL) AS served"
    )
    op.execute(
        "SELECT setval(pg_get_serial_sequence('model_promotions', 'promotion_id'), "
        "(SELECT count(*) FROM model_promotions) + 1, false)"
    )
    op.drop_column("model_artefacts", "served_from")


def downgrade() -> None:
    """Undo the change. The model that is served now is the one served last."""
    op.add_column("model_artefacts", sa.Column("served_from", _MOMENT, nullable=True))
    op.execute(
        "UPDATE model_artefacts SET served_from = last.promoted_at "
        "FROM (SELECT DISTINCT ON (version) version, promoted_at FROM model_promotions "
        "ORDER BY version, promotion_id DESC) AS last "
        "WHERE last.version = model_artefacts.version"
    )
    op.drop_table("model_promotions")
    for name in ("budget", "percent", "attempts", "heartbeat_at", "requested_by", "seed"):
        op.drop_column("training_runs", name)
