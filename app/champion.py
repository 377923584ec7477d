"""The model this process serves: one reference, swapped by a thread when another is promoted.

Loading happens beside the requests: the old model answers until the new one is verified, and one
that does not verify is refused. There are never more than two models at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.recommend.ranking import try_out
from app.snapshot import Snapshot
from ml.artefact import unpack
from ml.serving import Model
from models.model_artefacts import ModelArtefact, find_missing
from models.model_promotions import read_promotion, walk_back

log = structlog.get_logger()

#: How often a process asks whether another model was promoted.
LOOK_EVERY_S = 2.0
#: How long the first requests of a process wait for its first look.
FIRST_LOOK_S = 2.0
#: How many promotions back a model is looked for when the last one's does not verify.
_TRIES = 10


@dataclass(frozen=True, slots=True)
class Champion:
    """A served model and where it comes from."""

    version: int
    served_from: datetime
    size_bytes: int
    manifest: dict[str, Any]
    model: Model
    #: How many days before the training the first interaction happened that it learned from.
    days: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A promoted model that is not served, and why."""

    version: int
    reason: str


@dataclass(frozen=True, slots=True)
class _Served:
    champion: Champion | None = None
    #: By the hash of the bytes: the same version may be written anew.
    refused: Mapping[tuple[int, str], Refused] = field(default_factory=dict)
    #: The promoted model, when it is among them.
    problem: Refused | None = None


class ChampionHolder:
    """Hold the served model of this process."""

    def __init__(self, engine: Engine) -> None:
        self._served = Snapshot(engine, _look, _Served(), name="champion", refresh_s=LOOK_EVERY_S)

    def current(self) -> Champion | None:
        """Give the served model, None before the first. Begins to follow the promotions."""
        self._served.watch()
        self._served.wait(FIRST_LOOK_S)
        return self._served.value.champion

    @property
    def refused(self) -> Refused | None:
        """Give the promoted model that did not verify, while an older one is served for it."""
        return self._served.value.problem

    def refresh(self) -> None:
        """Look now, and load what is new."""
        self._served.refresh()

    def want(self) -> None:
        """Ask for a look soon, without waiting for it."""
        self._served.want()

    def stop(self) -> None:
        """Follow the promotions no more."""
        self._served.stop()


def open_model(artefact: ModelArtefact) -> Model:
    """Verify the bytes of an artefact and make its model. Raises whatever is wrong with them."""
    model = Model(unpack(artefact.content, artefact.manifest), artefact.manifest)
    try_out(model)
    _days_learned(artefact.manifest)
    return model


def _look(session: Session, known: _Served) -> _Served:
    """Find the newest promotion whose model verifies, loading it unless it is served already."""
    refused = dict(known.refused)
    missing = find_missing(session)
    problem = Refused(missing, "it is not among the kept models") if missing else None
    champion: Champion | None = None
    for artefact, served_from in islice(_promoted(session), _TRIES):
        name = (artefact.version, artefact.sha256)
        if known.champion is not None and known.champion.version == artefact.version:
            champion = known.champion
            break
        if name not in refused:
            loaded = _load(artefact, served_from)
            if isinstance(loaded, Champion):
                champion = loaded
                break
            refused[name] = loaded
        problem = problem or refused[name]
    if champion is known.champion and problem == known.problem:
        return known
    return _Served(champion, refused, problem)


def _promoted(session: Session) -> Iterator[tuple[ModelArtefact, datetime]]:
    """Yield the promoted models that are kept, the last one first, without their bytes."""
    last = read_promotion(session)
    for promotion in (last, *walk_back(session, last)):
        artefact = session.get(ModelArtefact, promotion.version) if promotion else None
        if promotion is not None and artefact is not None:
            yield artefact, promotion.promoted_at


def _load(artefact: ModelArtefact, served_from: datetime) -> Champion | Refused:
    manifest = artefact.manifest
    try:
        model = open_model(artefact)
        days = _days_learned(manifest)
    except SQLAlchemyError:
        # The database's fault, and none of the model's: it is asked for again.
        raise
    # Whatever a crafted model or manifest makes fail: the old model goes on.
    except Exception as error:
        reason = str(error) or type(error).__name__
        log.error("model_refused", version=artefact.version, reason=reason)
        return Refused(artefact.version, reason)
    log.info("model_served", version=artefact.version)
    return Champion(artefact.version, served_from, artefact.size_bytes, manifest, model, days)


def _days_learned(manifest: Mapping[str, Any]) -> int:
    first, trained = (
        datetime.fromisoformat(text)
        for text in (manifest["window"]["first_interaction"], manifest["trained_at"])
    )
    return max(1, (trained - first).days + 1)
