"""The room that rejected messages may take: garbage fills no database."""

from __future__ import annotations

from threading import Lock

#: What is kept of a message even if it is empty, so that many small ones count too.
_LETTER_BYTES = 500


class QuarantineBudget:
    """Bound what the rejected messages of a write key may take, by the minute, in this process."""

    def __init__(self, *, bytes_a_minute: int = 1_048_576) -> None:
        self._bytes_a_minute = bytes_a_minute
        self._minute = 0
        self._spent: dict[str, int] = {}
        self._lock = Lock()

    def spend(self, key_id: str, size_bytes: int, *, now_ms: int) -> bool:
        """Tell whether there is room for another message, and take it."""
        minute = now_ms // 60_000
        with self._lock:
            if minute != self._minute:
                self._minute, self._spent = minute, {}
            spent = self._spent.get(key_id, 0) + _LETTER_BYTES + size_bytes
            if spent > self._bytes_a_minute:
                return False
            self._spent[key_id] = spent
            return True
