"""What all doors do alike: who sends, how right their clock is, and the way into the inbox."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from werkzeug.wrappers import Request

from app.errors import Problem
from app.sink import SinkUnavailable
from app.state import State
from app.visitor import anonymise_address, read_address, read_user_agent, wants_privacy
from app.write_keys import check_write_key
from door_counts import DoorCounts
from intake.quarantine import Letter
from intake.request import Reading, SkewOf, encode_batch
from intake.rows import Sender
from intake.traffic import exclusion_of


def is_declined(request: Request, here: State) -> bool:
    """Tell whether nothing may be kept of a request: collection is off, or the browser says no."""
    settings = here.settings
    return not settings.analytics_enabled or (settings.respect_dnt and wants_privacy(request))


def read_sender(request: Request, here: State, *, key: str | None) -> Sender:
    """Gather what all events of the request share, and check its write key. Raises Problem."""
    received_ms = here.now_ms()
    known = check_write_key(
        request,
        here.write_keys,
        key=key,
        required=here.settings.require_key,
        now_ms=received_ms,
    )
    user_agent = read_user_agent(request)
    is_test = known is not None and known.test
    return Sender(
        received_ms=received_ms,
        key_id=known.key_id if known else "",
        source=known.source if known else None,
        ip_address=keep_address(_address(request, here), here, now_ms=received_ms),
        user_agent=user_agent,
        excluded="test" if is_test else exclusion_of(user_agent),
    )


def skew_of(request: Request, here: State, sender: Sender) -> SkewOf:
    """Make the function that judges the clock of a device, named by an id or else an address."""

    def judge(device: str | None, sent_ms: int) -> int:
        name = device or f"{_address(request, here)} {sender.user_agent}"
        return here.clock_skew.correction(
            sender.key_id, name, sent_ms=sent_ms, received_ms=sender.received_ms
        )

    return judge


def accept(
    here: State,
    reading: Reading,
    *,
    door: str,
    letters: Sequence[Letter] = (),
    path: str | None = None,
) -> None:
    """Put the accepted events into the inbox, or answer 503 within half a second.

    `letters` are rejected messages to be kept, and `path` where they came in. Raises Problem 429
    when the write key has sent its share of the minute.
    """
    sender = reading.sender
    reasons: Mapping[str, int] = {}
    if len(reading.rows) != len(reading.results):
        reasons = Counter(result["reason"] for result in reading.rejected)
    counts = DoorCounts(door, reading.received, len(reading.rows), reasons)
    if not reading.rows and not letters:
        here.sink.count(counts)
        return
    limit = here.write_keys.limit_of(sender.key_id)
    if limit is not None and reading.rows:
        here.key_limits.spend(sender.key_id, len(reading.rows), limit=limit)
    if letters:
        body = encode_batch(reading.rows, sender=sender, letters=letters, dialect=door, path=path)
    else:
        body = encode_batch(reading.rows, sender=sender, is_plain=reading.is_plain)
    try:
        here.sink.put(body, events=len(reading.rows), days=reading.days, counts=counts)
    except SinkUnavailable as error:
        raise Problem(
            503, error.code, error.detail, headers={"Retry-After": str(error.retry_after_s)}
        ) from None


def keep_address(address: str | None, here: State, *, now_ms: int) -> str | None:
    """Keep as much of an address as ANALYTICS_IP_MODE says."""
    mode = here.settings.ip_mode
    salt = here.daily_salt.of(now_ms) if mode == "hashed" else b""
    return anonymise_address(address, mode=mode, salt=salt)


def _address(request: Request, here: State) -> str | None:
    return read_address(request, trusted_proxies=here.settings.trusted_proxies)
