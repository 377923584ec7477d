"""Training runs: when a model was trained, on what, how it did and what was decided."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Identity, LargeBinary, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base


class TrainingRun(Base):
    """Record one training: queued, running, then promoted, rejected, skipped or failed."""

    __tablename__ = "training_runs"

    run_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    status: Mapped[str]
    days: Mapped[int]
    requested_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    stage: Mapped[str | None]
    reason: Mapped[str | None]
    figures: Mapped[dict[str, Any] | None]


class ModelArtefact(Base):
    """Keep a trained model: one `.npz` and its manifest. Every node gets it from here."""

    __tablename__ = "model_artefacts"

    version: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("training_runs.run_id"))
    created_at: Mapped[datetime]
    served_from: Mapped[datetime | None]
    sha256: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    manifest: Mapped[dict[str, Any]]
    content: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)


def read_champion(session: Session) -> ModelArtefact | None:
    """Give the served model: the one promoted last. Its bytes are read only when asked for."""
    return session.scalar(
        select(ModelArtefact)
        .where(ModelArtefact.served_from.is_not(None))
        .order_by(ModelArtefact.served_from.desc(), ModelArtefact.version.desc())
        .limit(1)
    )
