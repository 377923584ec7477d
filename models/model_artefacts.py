"""Model artefacts: trained models, kept for every node to load and for people to go back to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Identity, LargeBinary, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base
from models.model_promotions import ModelPromotion, read_promotion, walk_back

VERSIONS_KEPT = 5


class ModelArtefact(Base):
    """Keep a trained model: one `.npz` and its manifest. Every node gets it from here."""

    __tablename__ = "model_artefacts"

    version: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("training_runs.run_id"))
    created_at: Mapped[datetime]
    sha256: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    manifest: Mapped[dict[str, Any]]
    content: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)


def read_champion(session: Session) -> ModelArtefact | None:
    """Give the served model: the one promoted last. Its bytes are read only when asked for."""
    return session.scalar(
        select(ModelArtefact)
        .join(ModelPromotion, ModelPromotion.version == ModelArtefact.version)
        .order_by(ModelPromotion.promotion_id.desc())
        .limit(1)
    )


def find_missing(session: Session) -> int | None:
    """Give the version that was promoted last if its artefact is gone: an earlier one is served."""
    promotion = read_promotion(session)
    if promotion is None or session.get(ModelArtefact, promotion.version) is not None:
        return None
    return promotion.version


def keep_artefact(
    session: Session, *, run_id: int, content: bytes, manifest: Mapping[str, Any], now: datetime
) -> ModelArtefact:
    """Store a trained model under a version of its own. `manifest` must be JSON-able."""
    artefact = ModelArtefact(
        run_id=run_id,
        created_at=now,
        sha256=manifest["sha256"],
        size_bytes=len(content),
        manifest=dict(manifest),
        content=content,
    )
    session.add(artefact)
    session.flush()
    return artefact


def drop_old_artefacts(session: Session) -> None:
    """Keep five: the served model, the one to go back to, and the newest of the others."""
    served = read_promotion(session)
    kept = {served.version} if served else set()
    before = read_version_before(session, served)
    kept |= {before} if before else set()
    newest = session.scalars(
        select(ModelArtefact.version)
        .where(ModelArtefact.version.not_in(kept))
        .order_by(ModelArtefact.version.desc())
        .limit(VERSIONS_KEPT - len(kept))
    )
    session.execute(delete(ModelArtefact).where(ModelArtefact.version.not_in({*kept, *newest})))


def read_version_before(session: Session, promotion: ModelPromotion | None) -> int | None:
    """Give the version that a promotion's model took over from, if it is kept still."""
    earlier = find_earlier(session, promotion)
    return earlier.version if earlier else None


def find_earlier(session: Session, promotion: ModelPromotion | None) -> ModelPromotion | None:
    """Give the last promotion before this one, of another version that is kept still."""
    kept = set(session.scalars(select(ModelArtefact.version)))
    for earlier in walk_back(session, promotion):
        if promotion and earlier.version != promotion.version and earlier.version in kept:
            return earlier
    return None


def read_artefacts(session: Session, *, limit: int, before: int | None) -> Sequence[ModelArtefact]:
    """Give the kept models, the newest first, from the one before `before` on."""
    wanted = select(ModelArtefact).order_by(ModelArtefact.version.desc()).limit(limit)
    if before is not None:
        wanted = wanted.where(ModelArtefact.version < before)
    return session.scalars(wanted).all()


def read_version_of(session: Session, run_id: int) -> int | None:
    """Give the version that a training run made, if it is kept still."""
    return session.scalar(select(ModelArtefact.version).where(ModelArtefact.run_id == run_id))
