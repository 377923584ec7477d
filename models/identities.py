"""Identities: which anonymous id belongs to which user. Events are never rewritten."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, func
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class Identity(Base):
    """Link one anonymous id to the user who was first seen with it."""

    __tablename__ = "identities"
    __table_args__ = (Index("ix_identities_user", "user_id"),)

    anonymous_id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    linked_at: Mapped[datetime] = mapped_column(server_default=func.now())
