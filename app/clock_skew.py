"""What is known of the clocks of devices, shared by the web processes through Redis."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from threading import Lock
from typing import Any

import redis
from redis.exceptions import RedisError

from app.breaker import Breaker
from intake.skew import TOLERATED_MS, WINDOW_MS, Clock, note_difference

#: What Redis holds of a clock says nothing after the window that follows its own.
LIFETIME_S = 2 * WINDOW_MS // 1000
#: Smaller changes are not worth a write: they are the way of a request.
_WORTH_MS = 2000


class ClockSkew:
    """Estimate by how much the clocks of devices are wrong.

    Each process remembers the devices it has seen last, `kept` of them. Redis has the clocks that
    are wrong, which are few: it is asked when a process does not know why a device's request came
    so late or so early, and told what was new in it. Right clocks cost nothing there. While Redis
    is away each process goes by what it has seen itself, and beyond `shared` devices in a window
    too: whoever makes up devices fills no memory but their share.
    """

    def __init__(
        self,
        client: redis.Redis,
        *,
        secret: str,
        kept: int = 50_000,
        shared: int = 50_000,
        breaker: Breaker | None = None,
    ) -> None:
        self._client = client
        self._key = blake2b(secret.encode(), digest_size=32).digest()
        self._kept = kept
        self._shared = shared
        self._breaker = breaker or Breaker()
        self._seen: OrderedDict[bytes, Clock] = OrderedDict()
        self._writes = (0, 0)
        self._lock = Lock()

    def correction(self, key_id: str, device: str, *, sent_ms: int, received_ms: int) -> int:
        """Give the milliseconds to add to a device's times, from a request that it sent."""
        seen_ms = received_ms - sent_ms
        name = self._name(key_id, device)
        with self._lock:
            known = self._seen.get(name)
            if known is not None:
                self._seen.move_to_end(name)
        if abs(seen_ms) > TOLERATED_MS and not (
            known is not None and known.explains(seen_ms, received_ms=received_ms)
        ):
            # Another process may know better.
            known = self._read(name) or known
        clock = note_difference(known, seen_ms, received_ms=received_ms)
        if clock is not known:
            if _is_news(clock, known):
                self._write(name, clock)
            with self._lock:
                self._seen[name] = clock
                if len(self._seen) > self._kept:
                    self._seen.popitem(last=False)
        return clock.correction_ms

    def _name(self, key_id: str, device: str) -> bytes:
        # A device may be named by anything that came as text, half of an emoji too.
        text = f"{key_id}\0{device}".encode(errors="surrogatepass")
        return blake2b(text, key=self._key, digest_size=12).digest()

    def _read(self, name: bytes) -> Clock | None:
        if self._breaker.is_open:
            return None
        try:
            found: Any = self._client.get(_redis_key(name))
        except RedisError as error:
            self._breaker.trip(error)
            return None
        return None if found is None else Clock(*map(int, found.split()))

    def _write(self, name: bytes, clock: Clock) -> None:
        if self._breaker.is_open or not self._may_write(clock.window):
            return
        text = f"{clock.window} {clock.least_ms} {clock.before_ms}"
        try:
            self._client.set(_redis_key(name), text, ex=LIFETIME_S)
        except RedisError as error:
            self._breaker.trip(error)

    def _may_write(self, window: int) -> bool:
        with self._lock:
            current, writes = self._writes
            if window != current:
                writes = 0
            self._writes = (window, writes + 1)
        return writes < self._shared


def _is_news(clock: Clock, known: Clock | None) -> bool:
    """Tell whether other processes should know: of a wrong clock, and of one that was set right."""
    if known is None:
        return clock.correction_ms != 0
    if clock.correction_ms == 0:
        return known.correction_ms != 0
    moved_ms = abs(clock.behind_ms - known.behind_ms)
    return clock.window != known.window or moved_ms > _WORTH_MS


def _redis_key(name: bytes) -> str:
    return f"millrace:skew:{name.hex()}"
