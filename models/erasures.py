"""Erasures: requests to erase a person, and the receipts of what was deleted."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import LargeBinary, Uuid
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class Erasure(Base):
    """Keep one erasure: the hashes of the ids, never the ids, and the counts."""

    __tablename__ = "erasures"

    erasure_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    digests: Mapped[list[bytes]] = mapped_column(ARRAY(LargeBinary))
    status: Mapped[str]
    requested_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    counts: Mapped[dict[str, Any] | None]
    signature: Mapped[str | None]
