"""What operators do with dead letters: edits, replays and discards, and lists that stay fast."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_COLUMNS = (
    sa.Column("event_type", sa.Text(), nullable=True),
    sa.Column("original", sa.Text(), nullable=True),
    sa.Column("edited_at", _MOMENT, nullable=True),
    sa.Column("edited_by", sa.Text(), nullable=True),
    sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False),
    sa.Column("tried_at", _MOMENT, nullable=True),
    sa.Column("discarded_at", _MOMENT, nullable=True),
    sa.Column("discarded_by", sa.Text(), nullable=True),
)
_LISTED = ("reason", "event_type", "dialect")
# A letter may be any text, and the oldest PostgreSQL that we run on cannot ask whether it is JSON.
_TYPE_OF = """
CREATE FUNCTION pg_temp.type_of(letter text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN left(CAST(letter AS json) #>> '{events,0,event_type}', 100);
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    """Apply the change. Stores of refused events wait for it; all others go on."""
    for column in _COLUMNS:
        op.add_column("dead_letters", column)
    op.execute(_TYPE_OF)
    op.execute("UPDATE dead_letters SET event_type = pg_temp.type_of(event)")
    op.execute("DROP FUNCTION pg_temp.type_of(text)")
    op.drop_index("ix_dead_letters_created_at", "dead_letters")
    op.create_index("ix_dead_letters_created_at", "dead_letters", ["created_at", "event_id"])
    op.create_index(
        "ix_dead_letters_open",
        "dead_letters",
        ["created_at", "event_id"],
        postgresql_where=sa.text("discarded_at IS NULL"),
    )
    for name in _LISTED:
        op.create_index(f"ix_dead_letters_{name}", "dead_letters", [name, "created_at", "event_id"])


def downgrade() -> None:
    """Undo the change. Edits stay; discarded letters are dead letters like the others again."""
    for name in (*_LISTED, "open", "created_at"):
        op.drop_index(f"ix_dead_letters_{name}", "dead_letters")
    op.create_index("ix_dead_letters_created_at", "dead_letters", ["created_at"])
    for column in reversed(_COLUMNS):
        op.drop_column("dead_letters", column.name)
