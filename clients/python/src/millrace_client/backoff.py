"""How long to wait before the next attempt."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime


@dataclass(frozen=True)
class Wait:
    """A pause before the next attempt; `asked` when the server named it."""

    seconds: float
    asked: bool = False


def next_wait(attempts: int, *, asked_s: float | None, base_s: float, cap_s: float) -> Wait:
    """Give the pause after so many failed attempts, with full jitter.

    What the server asked for is waited in full; a little more spreads clients that were all told
    the same second.
    """
    if asked_s is not None:
        return Wait(asked_s + random.uniform(0, min(base_s, asked_s)), asked=True)
    return Wait(random.uniform(0, min(cap_s, base_s * 2 ** min(attempts, 30))))


def read_retry_after(
    text: str | None, *, cap_s: float, now: datetime | None = None
) -> float | None:
    """Read a Retry-After header, seconds or an HTTP date, as seconds up to `cap_s`."""
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except (TypeError, ValueError):
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=timezone.utc)
        seconds = (moment - (now or datetime.now(timezone.utc))).total_seconds()
    # Neither a NaN nor a date in the past is a pause.
    return min(seconds, cap_s) if seconds >= 0 else 0.0
