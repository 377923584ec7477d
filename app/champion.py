"""The model this process serves: one reference, swapped when a newer one is promoted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.orm import Session

from ml.artefact import ArtefactError, unpack
from ml.serving import Model
from models.training_runs import read_champion

log = structlog.get_logger()

#: How often a process asks whether another model was promoted.
LOOK_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class Champion:
    """A served model and where it comes from."""

    version: int
    served_from: datetime | None
    size_bytes: int
    manifest: dict[str, Any]
    model: Model


class ChampionHolder:
    """Hold the served model. An artefact that does not verify is refused; the old one stays."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._refused: int | None = None
        self._current: Champion | None = None

    def current(self, session: Session) -> Champion | None:
        """Give the served model, None before the first."""
        if self._clock() - self._looked_at >= LOOK_EVERY_S and self._lock.acquire(blocking=False):
            try:
                self._look(session)
                self._looked_at = self._clock()
            finally:
                self._lock.release()
        return self._current

    def _look(self, session: Session) -> None:
        found = read_champion(session)
        if found is None:
            self._current = None
            return
        known = self._current.version if self._current else None
        if found.version in (known, self._refused):
            return
        try:
            model = Model(unpack(found.content, found.manifest), found.manifest)
        except ArtefactError as error:
            log.error("model_refused", version=found.version, reason=str(error))
            self._refused = found.version
            return
        self._current = Champion(
            found.version, found.served_from, found.size_bytes, found.manifest, model
        )
        log.info("model_served", version=found.version)
