"""Rejected messages of other systems' SDKs among the dead letters, which are purged by age."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change."""
    op.add_column("dead_letters", sa.Column("dialect", sa.Text(), nullable=True))
    op.create_index(op.f("ix_dead_letters_created_at"), "dead_letters", ["created_at"])


def downgrade() -> None:
    """Undo the change. Rejected messages go with it: the older schema knows events only."""
    op.execute("DELETE FROM dead_letters WHERE dialect IS NOT NULL")
    op.drop_index(op.f("ix_dead_letters_created_at"), "dead_letters")
    op.drop_column("dead_letters", "dialect")
