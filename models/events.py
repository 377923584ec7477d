"""Events: one row for each thing an actor did, append-only, partitioned by day through the id."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Index, Numeric, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class Event(Base):
    """Keep one event. Fixed-width columns stand first: rows are smaller that way."""

    __tablename__ = "events"

    event_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    occurred_at: Mapped[datetime]
    received_at: Mapped[datetime]
    duration_ms: Mapped[int | None]
    quantity: Mapped[int | None]
    value: Mapped[Decimal | None] = mapped_column(Numeric)
    event_type: Mapped[str]
    event_category: Mapped[str]
    event_action: Mapped[str]
    user_id: Mapped[str | None]
    anonymous_id: Mapped[str | None]
    session_id: Mapped[str | None]
    source: Mapped[str | None]
    device_type: Mapped[str | None]
    product_id: Mapped[str | None]
    entity_type: Mapped[str | None]
    entity_id: Mapped[str | None]
    message_id: Mapped[str | None]
    key_id: Mapped[str | None]
    ip_address: Mapped[str | None]
    user_agent: Mapped[str | None]
    items: Mapped[list[dict[str, Any]] | None]
    properties: Mapped[dict[str, Any] | None]
    context: Mapped[dict[str, Any] | None]
    # The table has these last: columns are added at its end.
    #: The client's own time, where it differs from `occurred_at`, and why it does.
    original_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    clock: Mapped[str | None]
    #: Why reports leave the event out; NULL: they count it.
    excluded: Mapped[str | None]

    # A partition holds one day, so no tree needs the time: the few rows of a key are sorted when
    # they are read, and a tree of equal keys stores each key once. Partial indices keep anonymous
    # page views out of the trees that they cannot be found by.
    __table_args__ = (
        Index("ix_events_type", "event_type"),
        # With the type: a category and a type that never meet are told apart without a row.
        Index("ix_events_category", "event_category", "event_type"),
        Index(
            "ix_events_entity",
            "entity_type",
            "entity_id",
            postgresql_where=text("entity_type IS NOT NULL"),
        ),
        # A few bytes for each stretch of pages: a day's report skips what lies in the partitions
        # around its own, where ids may differ from times.
        Index(
            "ix_events_occurred",
            "occurred_at",
            postgresql_using="brin",
            postgresql_with={"pages_per_range": 32, "autosummarize": "on"},
        ),
        *(
            Index(f"ix_events_{name}", column, postgresql_where=text(f"{column} IS NOT NULL"))
            for name, column in {
                "user": "user_id",
                "anonymous": "anonymous_id",
                "session": "session_id",
                "product": "product_id",
            }.items()
        ),
        {"postgresql_partition_by": "RANGE (event_id)"},
    )


#: What the door sends for one event: each column but those of the batch, with its SQL type.
ROW_COLUMNS = {
    "event_id": "uuid",
    "occurred_at": "timestamptz",
    "original_at": "timestamptz",
    "duration_ms": "int",
    "quantity": "int",
    "value": "numeric",
    "event_type": "text",
    "event_category": "text",
    "event_action": "text",
    "user_id": "text",
    "anonymous_id": "text",
    "session_id": "text",
    "source": "text",
    "device_type": "text",
    "product_id": "text",
    "entity_type": "text",
    "entity_id": "text",
    "message_id": "text",
    "items": "jsonb",
    "properties": "jsonb",
    "context": "jsonb",
    "clock": "text",
    "excluded": "text",
}
#: What all events of one batch share.
BATCH_COLUMNS = {
    "received_at": "timestamptz",
    "sent_at": "timestamptz",
    "key_id": "text",
    "ip_address": "text",
    "user_agent": "text",
}
