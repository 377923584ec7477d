"""Dead letters read again: what comes of them is what their doors would put into the inbox now."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from event_ids import ID_AHEAD_MS, ID_BEHIND_MS, id_ms
from intake.dialects import cloudevents, posthog, segment
from intake.dialects.content import ContentNames
from intake.letters import UNREADABLE, KeyFacts, Letter, invalid, sender_of, write_json
from intake.messages import Translate, read_messages
from intake.moment import format_ms, read_moment_ms
from intake.request import Origin, encode_batch
from intake.rows import Rejected, Row, Rules, Sender
from intake.traffic import exclusion_of

_SEGMENT_KINDS = {
    name: kind
    for kind in ("track", "identify", "page", "screen", "group", "alias")
    for name in (kind, kind[0])
}


def read_row(letter: Letter) -> bytes:
    """Give the batch of an accepted event, under the letter's id. Raises Rejected."""
    event = _event_of(letter)
    if event.get("event_id") == letter.letter_id:
        # Written again, numbers would lose digits.
        return letter.text.encode()
    return write_json({**letter.shared, "events": [{**event, "event_id": letter.letter_id}]})


def read_message(
    letter: Letter, *, original: Letter | None, key: KeyFacts, rules: Rules
) -> tuple[bytes, Row]:
    """Read a rejected message again, as its door would now; give its batch. Raises Rejected.

    The event gets the id that the door gives it. When the message as it came would be taken now,
    that one's: its sender may send it once more.
    """
    row, sender = translate_again(letter, key=key, rules=rules)
    if original is not None:
        try:
            row.event_id = translate_again(original, key=key, rules=rules)[0].event_id
        except Rejected:
            pass
        else:
            check_time(row)
    return encode_batch([row], sender=sender), row


def translate_again(letter: Letter, *, key: KeyFacts, rules: Rules) -> tuple[Row, Sender]:
    """Make the row of a rejected message, and say who sent it. Raises Rejected."""
    event = _event_of(letter)
    if "message" not in event:
        raise Rejected("too_large", "the message was too large to be kept: only its head is")
    sender = sender_of(letter, key)
    came_ms = sender.received_ms
    reading = read_messages(
        [event["message"]],
        translate=_translator(letter, came_ms=came_ms, sent_ms=sender.sent_ms),
        settle=_settle_with(letter, key),
        sender=sender,
        rules=rules,
    )
    if not reading.rows:
        verdict = reading.results[0]
        raise Rejected(verdict["reason"], verdict["detail"], verdict.get("errors"))
    return reading.rows[0], sender


def check_time(row: Row) -> None:
    """Refuse a time that the id cannot have: reports look for the event near the id's day."""
    dated_ms = id_ms(row.event_id)
    occurred_ms = read_moment_ms(row.occurred_at)
    if dated_ms and not occurred_ms - ID_BEHIND_MS <= dated_ms <= occurred_ms + ID_AHEAD_MS:
        raise invalid(
            "occurred_at",
            f"Must lie within a day of {format_ms(dated_ms)}, the time in the event's id.",
        )


def _translator(letter: Letter, *, came_ms: int, sent_ms: int | None) -> Translate:
    """Give the translation of the door that the letter came in by: its path may say the type."""
    path = str(letter.shared.get("path", "")).rstrip("/")
    last = path.rpartition("/")[2]
    match letter.dialect:
        case "segment":
            kind = None if last in ("b", "batch", "import") else _SEGMENT_KINDS.get(last)
            return partial(segment.translate, kind=kind, received_ms=came_ms)
        case "cloudevents":
            return cloudevents.translate
        case "posthog":
            prepare = _preparation(last, is_v1="/i/v1/" in path)
            names = ContentNames()
            return lambda message: posthog.translate(
                prepare(message), came_ms=came_ms, sent_ms=sent_ms, names=names
            )
    raise Rejected(UNREADABLE, f"no door reads the dialect {letter.dialect!r}")


def _preparation(last: str, *, is_v1: bool) -> Callable[[Any], Any]:
    if is_v1:
        return partial(posthog.from_v1, sdk="")
    if last == "engage":
        return _name_traits
    return lambda message: message


def _name_traits(message: Any) -> Any:
    return {"event": "$identify", **message} if isinstance(message, dict) else message


def _settle_with(letter: Letter, key: KeyFacts) -> Callable[[dict[str, Any]], Origin]:
    def settle(event: dict[str, Any]) -> Origin:
        if key.source is not None and letter.dialect != "cloudevents":
            event["source"] = key.source
        context = event.get("context")
        agent = context.get("userAgent") if isinstance(context, dict) else None
        if isinstance(agent, str) and not event.get("excluded"):
            event["excluded"] = exclusion_of(agent)
        return None, None

    return settle


def _event_of(letter: Letter) -> dict[str, Any]:
    if letter.event is None:
        raise Rejected(UNREADABLE, "it cannot be read as one event: write the event anew")
    return letter.event
