"""Run migrations on the connection given by `models.migrate`."""

from __future__ import annotations

from alembic import context

from models.base import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # Partitions come and go with the days; they are not part of the schema.
    include_name=lambda name, kind, _: (
        not (kind == "table" and name is not None and name.startswith("events_"))
    ),
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
