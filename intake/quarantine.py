"""What is kept of a message that its door could not accept, and whose sender is not told so."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import orjson
from msgspec import Raw

from event_ids import uuid8
from intake.contract import MAX_ID, MAX_NAME
from intake.payload import MAX_DEPTH
from intake.request import Reject
from intake.rows import Rules, Sender

#: Keeps as much of an address as may be kept.
KeepAddress = Callable[[str], str | None]

#: Their events are not taken, whatever else is wrong with them.
_DECLINED = "opted_out"
_MAX_DETAIL = 500
_MAX_DEPTH = 2 * MAX_DEPTH
_ADDRESSES = frozenset(
    {"ip", "$ip", "ip_address", "ipaddress", "client_ip", "clientip", "remote_addr"}
)
#: Said anew each time a message is sent.
_SENT = frozenset({"sentAt", "sent_at"})
#: What a message that could not be translated may call its person, itself and what happened; an
#: event has the first of each. People may be named further inside.
_USER = ("user_id", "userId", "$user_id")
_ANONYMOUS = (
    "anonymous_id", "anonymousId", "distinct_id", "$distinct_id", "$device_id",
    "$anon_distinct_id",
)  # fmt: skip
_MESSAGE = ("message_id", "messageId", "uuid", "id", "event_id")
_TYPE = ("event_type", "event", "type")
_INNER = ("properties", "data", "context")


class Letter(msgspec.Struct, omit_defaults=True):
    """One rejected message, and who it is of in our words; without `message` it was too large."""

    letter_id: str
    reason: str
    detail: str
    event_type: str | None = None
    message_id: str | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    size_bytes: int | None = None
    message: Raw | None = None


def make_letter(
    reject: Reject, *, dialect: str, sender: Sender, rules: Rules, keep_address: KeepAddress
) -> Letter | None:
    """Make what is kept of a rejected message; None when nothing may be.

    Its id is the same each time the message comes, and no event has it: the message may be
    accepted later. What the deny list names is taken out.
    """
    named = reject.message if reject.event is None else reject.event
    within = _INNER if reject.event is None else ()
    user_id = _find(named, _USER, MAX_ID, within=within)
    anonymous_id = _find(named, _ANONYMOUS, MAX_ID, within=within)
    if reject.reason == _DECLINED or _is_suppressed(reject, rules, user_id, anonymous_id):
        return None
    message_id = _find(named, _MESSAGE, MAX_ID)
    text = _write(_clean(reject.message, rules, keep_address))
    is_whole = len(text) <= rules.max_event_bytes and _is_readable(text)
    name = message_id or _write(_unsent(reject.message)).decode()
    return Letter(
        letter_id=uuid8(0, f"rejected\0{dialect}\0{sender.key_id}\0{name}"),
        reason=reject.reason,
        detail=_as_text(reject.detail, _MAX_DETAIL) or "",
        event_type=_find(named, _TYPE, MAX_NAME),
        message_id=message_id,
        user_id=user_id,
        anonymous_id=anonymous_id,
        size_bytes=None if is_whole else len(text),
        message=Raw(text) if is_whole else None,
    )


def _is_suppressed(
    reject: Reject, rules: Rules, user_id: str | None, anonymous_id: str | None
) -> bool:
    if rules.suppressed is None:
        return False
    if rules.suppressed.covers(user_id, anonymous_id):
        return True
    # Untranslated, an id may be of either kind.
    return reject.event is None and rules.suppressed.covers(anonymous_id, user_id)


def _find(
    source: Any, names: tuple[str, ...], limit: int, *, within: tuple[str, ...] = ()
) -> str | None:
    """Find the first of some names in a message, or else in its inner objects."""
    if not isinstance(source, dict):
        return None
    for holder in (source, *(source.get(name) for name in within)):
        if not isinstance(holder, dict):
            continue
        for name in names:
            found = _as_text(holder.get(name), limit)
            if found is not None:
                return found
    return None


def _as_text(value: Any, limit: int) -> str | None:
    """Give a text or a whole number as a text that the database can hold."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value)[:limit].replace("\0", "\ufffd")
    return text.encode(errors="replace").decode() or None


def _clean(message: Any, rules: Rules, keep_address: KeepAddress) -> Any:
    kept = _without_addresses(message, keep_address, 1)
    return kept if rules.deny_list is None else rules.deny_list.clean(kept)


def _without_addresses(value: Any, keep_address: KeepAddress, depth: int) -> Any:
    """Copy a message without addresses, and without what is nested too deeply for readers."""
    if not isinstance(value, dict | list):
        return value
    if depth > _MAX_DEPTH:
        return None
    if isinstance(value, list):
        return [_without_addresses(item, keep_address, depth + 1) for item in value]
    kept = {}
    for name, item in value.items():
        if name.lower() not in _ADDRESSES:
            kept[name] = _without_addresses(item, keep_address, depth + 1)
        elif isinstance(item, str) and (address := keep_address(item)) is not None:
            kept[name] = address
    return kept


def _unsent(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    return {name: value for name, value in message.items() if name not in _SENT}


def _write(message: Any) -> bytes:
    """Write a message as JSON; what no JSON can hold becomes null."""
    try:
        return orjson.dumps(message, default=_write_null)
    except TypeError:
        pass
    try:
        # Half of an emoji, which no reader behind the door takes, becomes a question mark.
        text = json.dumps(message, default=_write_null, ensure_ascii=False)
        return text.encode(errors="replace")
    except RecursionError:
        return b"null"


def _is_readable(text: bytes) -> bool:
    """Tell whether whoever reads the batch can: what cannot be read would cost its events."""
    try:
        msgspec.json.decode(text, type=Raw)
    except msgspec.MsgspecError:
        return False
    return True


def _write_null(value: Any) -> None:
    del value
