"""Model promotions: which model was served from when, and who put it there.

The last promotion names the served model. Each points to the one it came after, so that going
back twice goes two models back, whatever was promoted or taken back in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Identity, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base
from models.job_runs import lock_job

#: Who promotes when no person does: the gate at the end of a training.
GATE = "gate"


class ModelPromotion(Base):
    """Record that a model is served from a moment on. Its artefact may be gone by now."""

    __tablename__ = "model_promotions"

    promotion_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    previous_id: Mapped[int | None] = mapped_column(ForeignKey("model_promotions.promotion_id"))
    promoted_at: Mapped[datetime]
    promoted_by: Mapped[str]
    reason: Mapped[str]


@dataclass(frozen=True, slots=True)
class Authority:
    """Who wants a model served, why and when."""

    by: str
    reason: str
    at: datetime


def lock_promotions(session: Session) -> None:
    """Let nobody else change which model is served until the transaction ends."""
    lock_job(session, "promote", wait=True)


def read_promotion(session: Session) -> ModelPromotion | None:
    """Give the promotion that holds: the last one."""
    return session.scalar(
        select(ModelPromotion).order_by(ModelPromotion.promotion_id.desc()).limit(1)
    )


def read_promotion_of(session: Session, version: int) -> ModelPromotion | None:
    """Give the last promotion of a version."""
    return session.scalar(
        select(ModelPromotion)
        .where(ModelPromotion.version == version)
        .order_by(ModelPromotion.promotion_id.desc())
        .limit(1)
    )


def read_promotions(
    session: Session, *, limit: int, before: int | None
) -> Sequence[ModelPromotion]:
    """Give promotions, the newest first, from the one before `before` on."""
    wanted = select(ModelPromotion).order_by(ModelPromotion.promotion_id.desc()).limit(limit)
    if before is not None:
        wanted = wanted.where(ModelPromotion.promotion_id < before)
    return session.scalars(wanted).all()


def walk_back(session: Session, promotion: ModelPromotion | None) -> Iterator[ModelPromotion]:
    """Yield the promotions that a promotion came after, the last one first."""
    while promotion is not None and promotion.previous_id is not None:
        promotion = session.get_one(ModelPromotion, promotion.previous_id)
        yield promotion


def record_promotion(
    session: Session, version: int, authority: Authority, *, previous_id: int | None
) -> ModelPromotion:
    """Put a version to serve. For who holds the lock of `lock_promotions`."""
    promotion = ModelPromotion(
        version=version,
        previous_id=previous_id,
        promoted_at=authority.at,
        promoted_by=authority.by,
        reason=authority.reason,
    )
    session.add(promotion)
    session.flush()
    return promotion
