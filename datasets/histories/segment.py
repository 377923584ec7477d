"""Messages of Segment and RudderStack: archived whole, or as rows of their warehouse tables.

The archives are the messages as they were sent, with their times: segmentio/segment-docs,
src/connections/storage/catalog/amazon-s3/index.md, and rudderlabs/rudder-server,
processor/processor.go. The tables have a column for each property, names in snake_case:
segmentio/segment-docs, src/connections/storage/warehouses/schema.md.
"""

from __future__ import annotations

from typing import Any

from datasets.event_mapping import RowError
from datasets.histories.cells import read_json, read_moment, without_empty
from intake.moment import MomentError, read_moment_ms
from intake.skew import TOLERATED_MS

#: Columns of every table, with their names in a message.
_COMMON = {
    "id": "messageId",
    "anonymous_id": "anonymousId",
    "user_id": "userId",
    "previous_id": "previousId",
    "group_id": "groupId",
    "timestamp": "timestamp",
    "original_timestamp": "originalTimestamp",
    "sent_at": "sentAt",
    "received_at": "receivedAt",
    "channel": "channel",
}
_TIMES = ("timestamp", "originalTimestamp", "sentAt", "receivedAt")
#: What the loader adds for itself, and the two columns that name an event.
_OWN = ("uuid", "uuid_ts", "loaded_at", "event", "event_text")
#: Tables of calls other than track, and tables that hold states and no calls.
_TABLES = {
    "pages": "page",
    "screens": "screen",
    "identifies": "identify",
    "groups": "group",
    "aliases": "alias",
}
_STATES = ("users", "accounts")
_CONTEXT = "context_"
#: Parts of the context that are objects, which a column's name begins with.
_OBJECTS = (
    "app", "campaign", "device", "library", "location", "network", "os", "page", "referrer",
    "screen", "traits",
)  # fmt: skip
_RENAMED = {"user_agent": "userAgent"}


def read_segment(row: dict[str, Any], table: str = "") -> dict[str, Any]:
    """Give the message of a record: an archived one as it is, a row of a table put together.

    `table` is the name of the table that the row is of. Raises RowError.
    """
    if "messageId" in row or ("type" in row and "id" not in row):
        return row
    kind = "track" if "event" in row or "event_text" in row else _TABLES.get(table)
    if kind is None:
        states = "holds states of people, not what they did" if table in _STATES else "is none"
        raise RowError(
            "unknown_table",
            f"the row names no event, and the file's name {table[:40]!r} {states}: name the file "
            f"as its table, one of {', '.join(_TABLES)}",
        )
    message: dict[str, Any] = {"type": kind}
    context: dict[str, Any] = {}
    said: dict[str, Any] = {}
    for column, cell in row.items():
        if column in _COMMON:
            message[_COMMON[column]] = cell
        elif column.startswith(_CONTEXT):
            _put_context(context, column.removeprefix(_CONTEXT), cell)
        elif column not in _OWN:
            said[column] = read_json(cell)
    for name in _TIMES:
        if name in message:
            message[name] = read_moment(message[name])
    if kind == "track":
        message["event"] = row.get("event_text") or row.get("event")
    if kind in ("page", "screen"):
        message["name"] = said.get("name")
    words = "traits" if kind in ("identify", "group") else "properties"
    return without_empty({**message, words: without_empty(said), "context": context})


def read_times(message: dict[str, Any]) -> tuple[Any, Any]:
    """Give when a message happened, and what a clock said of it that was wrong, or None.

    `timestamp` is corrected by how long the request was on its way, too; as at the door, that is
    no reason to doubt a clock, and its own time names the event.
    """
    corrected, original = message.get("timestamp"), message.get("originalTimestamp")
    if not corrected or not original:
        return original or corrected, None
    try:
        corrected_ms, original_ms = read_moment_ms(corrected), read_moment_ms(original)
    except (MomentError, TypeError):
        return corrected, None
    # RudderStack fills in when it came where a client sent its time as `timestamp` only.
    if original == message.get("receivedAt"):
        return corrected, None
    if abs(corrected_ms - original_ms) <= TOLERATED_MS:
        return original, None
    return corrected, original


def _put_context(context: dict[str, Any], name: str, cell: Any) -> None:
    head, _, rest = name.partition("_")
    if head in _OBJECTS and rest:
        part = context.setdefault(head, {})
        if isinstance(part, dict):
            part[rest] = read_json(cell)
        return
    context[_RENAMED.get(name, name)] = read_json(cell)
