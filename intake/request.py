"""Read a request's body: one event or a list of them, with a verdict for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import msgspec
import orjson
from marshmallow import ValidationError
from msgspec import Raw

from event_lines import Head, write_lines
from intake.compiled import read_all_fast, read_fast, settle_items
from intake.contract import load_event, messages_of
from intake.envelope import BodyError, read_device, split_body
from intake.moment import MAX_MS, MomentError, format_ms, read_moment_ms
from intake.payload import MAX_DEPTH
from intake.rows import BatchBody, Rejected, Row, Rules, Sender, days_of, make_row


@dataclass(frozen=True, slots=True)
class Reject:
    """A message that was not accepted, the event that was made of it, if any, and the verdict."""

    message: Any
    event: dict[str, Any] | None
    reason: str
    detail: str


#: The address and the User-Agent that an event names as those of its person.
Origin = tuple[str | None, str | None]


@dataclass(slots=True)
class Reading:
    """What was read: the accepted rows, and for each event of the request its verdict.

    `received` is how many events the request held, and `is_plain` that its JSON has neither a
    backslash nor a control character. `rejects` are what the sender is not told of, and `origins`
    what the accepted events of a dialect say of where they come from.
    """

    single: bool
    sender: Sender
    received: int = 0
    is_plain: bool = False
    rows: list[Row] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    origins: set[Origin] = field(default_factory=set)

    def accept(self, row: Row) -> None:
        """Add the row of the next event, with its verdict."""
        self.rows.append(row)
        self.results.append({"index": len(self.results), "event_id": row.event_id, "status": "ok"})

    def reject(self, verdict: Rejected) -> None:
        """Add the verdict on the next event, which is not accepted."""
        result = {
            "index": len(self.results),
            "event_id": None,
            "status": "rejected",
            "reason": verdict.reason,
            "detail": verdict.detail,
        }
        self.results.append(
            result if verdict.errors is None else result | {"errors": verdict.errors}
        )

    @property
    def rejected(self) -> list[dict[str, Any]]:
        """List the verdicts on events that were not accepted."""
        return [result for result in self.results if result["status"] == "rejected"]

    @property
    def days(self) -> list[date]:
        """List the days whose partitions the rows need."""
        return days_of(self.rows)


#: Tells by how many milliseconds a sender's clock is behind ours: of a device, when it sent.
SkewOf = Callable[[str | None, int], int]


_encode = msgspec.json.Encoder().encode
#: Other control characters JSON does not allow.
_ESCAPING = (b"\\", b"\n", b"\r", b"\t")


def read_request(
    body: bytes, *, sender: Sender, rules: Rules, skew_of: SkewOf | None = None
) -> Reading:
    """Read the events of a request body and judge each one by itself.

    The body is one event or an object whose `events` is a list of them; it may say by the
    sender's clock when it was `sent_at`. One bad event does not hurt the others. Raises BodyError
    when the body as a whole cannot be read.
    """
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise BodyError("not_utf8", f"the body is not UTF-8 (byte {error.start})") from None
    events, single, sent_at = split_body(body)
    if not events:
        raise BodyError("empty", "events must hold at least one event")
    if len(events) > rules.max_batch_events:
        raise BodyError(
            "too_many_events",
            f"a request may carry {rules.max_batch_events} events, got {len(events)}: "
            "send them in parts",
        )
    if sent_at is not None:
        device = read_device(events[0]) or sender.anonymous_id or sender.user_id
        sender = note_sent(sender, sent_at, device=device, skew_of=skew_of)
    is_plain = not any(mark in body for mark in _ESCAPING)
    reading = Reading(single=single, sender=sender, received=len(events), is_plain=is_plain)
    together = None if single else _read_together(body, events, rules)
    # Either the events as they were read together, or their texts, to be read one by one.
    judge: Callable[..., Row] = read_event if together is None else make_row
    for index, event in enumerate(events if together is None else together):
        try:
            reading.accept(judge(event, sender=sender, rules=rules, index=index))
        except Rejected as verdict:
            reading.reject(verdict)
    return reading


def note_sent(
    sender: Sender, sent_at: Any, *, device: str | None, skew_of: SkewOf | None
) -> Sender:
    """Add when a request was sent, by the clock of the device, and how wrong that clock is.

    What is no moment is left out: it says nothing of the events.
    """
    if isinstance(sent_at, bool) or not isinstance(sent_at, str | int | float):
        return sender
    try:
        sent_ms = read_moment_ms(sent_at)
    except MomentError:
        return sender
    if sent_ms > MAX_MS:
        return sender
    skew_ms = 0 if skew_of is None else skew_of(device, sent_ms)
    return replace(sender, sent_ms=sent_ms, skew_ms=skew_ms)


def encode_batch(
    rows: Sequence[Row],
    *,
    sender: Sender,
    letters: Sequence[Any] = (),
    dialect: str | None = None,
    path: str | None = None,
    is_plain: bool = False,
) -> bytes:
    """Write rows as one inbox entry, and beside them rejected messages to be kept.

    Of these are `dialect` and `path`: with them a message can be read again. `is_plain` is that of
    `Reading`.
    """
    head = Head(
        lines=len(rows),
        received_at=format_ms(sender.received_ms),
        sent_at=None if sender.sent_ms is None else format_ms(sender.sent_ms),
        key_id=sender.key_id or None,
        ip_address=sender.ip_address,
        user_agent=sender.user_agent,
    )
    if rows and not letters:
        lines = write_lines(head, rows, is_plain=is_plain and _is_plain_sender(sender))
        if lines is not None:
            return lines
    return _encode(
        BatchBody(
            received_at=head.received_at,
            events=list(rows),
            sent_at=head.sent_at,
            key_id=head.key_id,
            ip_address=head.ip_address,
            user_agent=head.user_agent,
            dialect=dialect,
            path=path,
            rejected=list(letters) or None,
        )
    )


def _is_plain_sender(sender: Sender) -> bool:
    """Tell whether what the sender adds to each row has no control character in it."""
    texts = (sender.user_id, sender.anonymous_id, sender.source)
    return all(text is None or text.isprintable() for text in texts)


def read_values(events: list[Any], *, sender: Sender, rules: Rules) -> Reading:
    """Judge events that are decoded already, as `read_request` does."""
    reading = Reading(single=False, sender=sender, received=len(events))
    for index, event in enumerate(events):
        try:
            row = _read_slowly(event, sender=sender, rules=rules, index=index)
        except Rejected as verdict:
            reading.reject(verdict)
        else:
            reading.accept(row)
    return reading


def _read_together(body: bytes, events: Sequence[Raw | bytes], rules: Rules) -> list[Any] | None:
    longest = max(len(memoryview(event)) for event in events)
    if longest > rules.max_event_bytes:
        return None
    together = read_all_fast(body, longest=longest)
    # An object may name its events twice; then they were counted from one list and read as another.
    return together if together is not None and len(together) == len(events) else None


def read_event(raw: Raw | bytes, *, sender: Sender, rules: Rules, index: int) -> Row:
    """Make the row of one event's JSON, which is UTF-8. Raises Rejected."""
    size = len(memoryview(raw))
    if size > rules.max_event_bytes:
        raise Rejected(
            "too_large", f"an event may have {rules.max_event_bytes} bytes of JSON, got {size}"
        )
    text = bytes(raw)
    event = read_fast(text)
    if event is not None:
        return make_row(event, sender=sender, rules=rules, index=index)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Rejected("invalid", f"the event cannot be read: {error}") from None
    return _read_slowly(settle_items(value), sender=sender, rules=rules, index=index)


def _read_slowly(value: Any, *, sender: Sender, rules: Rules, index: int) -> Row:
    try:
        fields = load_event(value)
    except ValidationError as error:
        messages = _with_text_keys(messages_of(error))
        first = next(iter(messages))
        raise Rejected("invalid", f"{first}: {_first_text(messages[first])}", messages) from None
    except RecursionError:
        raise Rejected("invalid", f"the event is nested over {MAX_DEPTH} levels deep") from None
    return make_row(Row(**fields), sender=sender, rules=rules, index=index)


def _with_text_keys(messages: Any) -> Any:
    """Write the places in a list as text, as JSON wants the names of an object."""
    if isinstance(messages, dict):
        return {str(key): _with_text_keys(item) for key, item in messages.items()}
    return messages


def _first_text(message: Any) -> str:
    while isinstance(message, dict | list):
        message = next(iter(message.values() if isinstance(message, dict) else message))
    return str(message)
