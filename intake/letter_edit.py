"""Dead letters edited: changed by a merge patch, and judged as their doors judge."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from event_lines import as_json
from intake.letter_reading import check_time, translate_again
from intake.letters import KeyFacts, Letter, LetterRules, invalid, sender_of, write_json
from intake.request import encode_batch, read_event
from intake.rows import OWN_FIELDS, Rules

#: What a row says beyond what its client sent.
_ROW_BYTES = 4096
_TIMES = frozenset({"occurred_at", "timestamp", "created_at"})


def merge(target: Any, patch: Any) -> Any:
    """Change a JSON value as a merge patch says (RFC 7386): null takes a field away."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def edit_letter(
    letter: Letter, patch: dict[str, Any], *, key: KeyFacts, rules: LetterRules
) -> Letter:
    """Change a letter's event, or its message, and judge it as the door does. Raises Rejected."""
    write_json(patch)
    if letter.dialect is None:
        return _edit_row(letter, patch, rules.events, longest=rules.messages.max_event_bytes)
    held = letter.event or {}
    message = merge(held.get("message"), patch)
    if rules.messages.deny_list is not None:
        message = rules.messages.deny_list.clean(message)
    edited = replace(letter, event={"message": message})
    row, _ = translate_again(edited, key=key, rules=rules.messages)
    named = ("event_type", "message_id", "user_id", "anonymous_id")
    found = {name: getattr(row, name) for name in named if getattr(row, name) is not None}
    return replace(edited, event={**found, "message": message})


def _edit_row(letter: Letter, patch: dict[str, Any], rules: Rules, *, longest: int) -> Letter:
    if patch.get("event_id", letter.letter_id) != letter.letter_id:
        raise invalid("event_id", f"Must stay {letter.letter_id}: by it the event counts once.")
    held = letter.event or {}
    mine = {name: held[name] for name in OWN_FIELDS if isinstance(held.get(name), str)}
    rest = {name: value for name, value in held.items() if name not in (*OWN_FIELDS, "event_id")}
    event = merge(rest, {name: value for name, value in patch.items() if name != "event_id"})
    # The time that is kept is corrected already.
    sender = replace(sender_of(letter, KeyFacts()), skew_ms=0)
    row = read_event(
        write_json(event),
        sender=sender,
        rules=replace(rules, max_event_bytes=max(rules.max_event_bytes, longest) + _ROW_BYTES),
        index=0,
    )
    row.event_id = letter.letter_id
    if _TIMES.isdisjoint(patch):
        row.original_at, row.clock = mine.get("original_at"), mine.get("clock")
    check_time(row)
    written = orjson.loads(as_json(encode_batch([row], sender=sender)))
    return replace(letter, event=written["events"][0])
