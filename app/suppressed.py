"""The people whose events the door does not take: who opted out, and who was erased.

The worker refuses them too, and has the last word: it asks the database in the transaction that
stores. The door's snapshot is a few seconds old, and spares the inbox what will not be kept.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.snapshot import Snapshot
from models.suppressions import Salts, read_digests, read_version


@dataclass(frozen=True, slots=True)
class _Known:
    version: tuple[int, int] = (0, 0)
    digests: frozenset[bytes] = frozenset()


class SuppressedPeople:
    """Tell whose events are not taken. Without a SECRET_KEY nobody can be told."""

    def __init__(self, engine: Engine, *, secret_key: str) -> None:
        self._salts = Salts.of(secret_key) if secret_key else None
        self._known = Snapshot(engine, _read, _Known(), name="suppressed")

    def watch(self) -> None:
        """Begin to follow the table in this process."""
        if self._salts is not None:
            self._known.watch()

    def stop(self) -> None:
        """Follow the table no more."""
        self._known.stop()

    def refresh(self) -> None:
        """Read the table now."""
        self._known.refresh()

    def covers(self, user_id: str | None, anonymous_id: str | None) -> bool:
        """Tell whether an event with these ids is of such a person."""
        digests = self._known.value.digests
        if not digests or self._salts is None:
            return False
        return self._salts.digest_actor(user_id, anonymous_id) in digests


def _read(session: Session, known: _Known) -> _Known:
    version = read_version(session)
    return known if version == known.version else _Known(version, read_digests(session))
