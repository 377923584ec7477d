"""Import: judge the rows of a file as the door does, and store them as the workers do."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from hashlib import blake2b
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
from sqlalchemy import Engine

from datasets.event_files import Record
from datasets.event_mapping import (
    SENDER_FIELDS,
    EventMapping,
    RowError,
    restore_cell,
    restore_exported,
)
from datasets.histories.history import History
from event_ids import DAY_MS, ID_DAY_MARGIN, MAX_ID_DRIFT_MS, id_ms, make_event_id
from intake.moment import MomentError, format_ms, read_moment_ms
from intake.request import encode_batch, read_request
from intake.rows import OWN_FIELDS, Row, Rules, Sender, days_of
from models.daily_aggregates import read_sealed_through
from models.database import transaction
from models.store import read_stored_ids
from tasks.store import StoreResult, store_bodies

#: Rows that are stored in one transaction.
BATCH = 2000
#: Names that a row may give its own id and its time under.
_IDS = ("event_id", "message_id", "id", "messageId")
#: The longest address or User-Agent that is taken over.
MAX_TEXT = 512
_TIMES = ("occurred_at", "timestamp", "created_at")
#: What the door says of a sender's clock.
_CLOCKS = ("corrected", "clamped", "wrong")


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that was not imported, and why."""

    line: int
    reason: str
    detail: str
    row: Any


@dataclass(frozen=True, slots=True)
class Policy:
    """What this installation takes, and how it keeps it."""

    rules: Rules
    sender: Sender
    zone: str
    secret_key: str
    keep_address: Callable[[str | None], str | None]


@dataclass(slots=True)
class Report:
    """Count what became of the rows."""

    read: int = 0
    #: Of after the moment up to which events were asked for.
    later: int = 0
    stored: StoreResult = field(default_factory=StoreResult)
    rejected: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Names:
    """Name the rows that have no id of their own by what they say.

    The same rows of the same source get the same names, in whatever parts and however often they
    come; equal rows are told apart by their number.
    """

    source: str
    _seen: set[int] = field(default_factory=set)
    _repeated: Counter[int] = field(default_factory=Counter)

    def of(self, text: bytes) -> str:
        """Name the next row that says this."""
        digest = blake2b(text, digest_size=16).hexdigest()
        # Half of it is enough to find an equal row, and memory holds it for each row.
        known = int(digest[:16], 16)
        if known in self._seen:
            self._repeated[known] += 1
        self._seen.add(known)
        return f"{self.source}:{digest}:{self._repeated[known]}"


@dataclass(frozen=True, slots=True)
class _Made:
    """An event that was made of a row, as JSON, and what its row says beside the contract."""

    record: Record
    text: bytes
    sender: tuple[str | None, str | None]
    known_id: str | None
    known_clock: dict[str, Any]


@dataclass(slots=True)
class Importer:
    """Import rows part by part. What is stored already is a duplicate, and nothing is changed.

    Events of `until_ms` and later are left out.
    """

    engine: Engine
    policy: Policy
    mapping: EventMapping | History
    names: Names
    reject: Callable[[Rejection], None]
    dry_run: bool = False
    until_ms: int | None = None
    report: Report = field(default_factory=Report)
    known_days: set[date] = field(default_factory=set)

    def take(self, records: Sequence[Record], *, from_text: bool) -> None:
        """Judge some rows and store those that are accepted, in a transaction of their own.

        `from_text` says that they are of CSV, where every value is a text.
        """
        made = []
        for record in records:
            try:
                made.append(self._make(record, from_text=from_text))
            except RowError as error:
                self._refuse(record, error.reason, str(error))
        results, rows = self._judge(made)
        accepted = []
        for item, result in zip(made, results, strict=True):
            if result["status"] == "rejected":
                self._refuse(item.record, result["reason"], result["detail"])
                continue
            row = next(rows)
            if self.until_ms is not None and row.occurred_at >= format_ms(self.until_ms):
                self.report.later += 1
                continue
            _keep_id(row, item.known_id)
            _keep_clock(row, item.known_clock)
            accepted.append((item, row))
        groups: dict[tuple[str | None, str | None], list[Row]] = defaultdict(list)
        for item, row in self._without_sealed(accepted):
            groups[item.sender].append(row)
        self.report.stored.add(self._store(groups))
        self.report.read += len(records)

    def _judge(self, made: Sequence[_Made]) -> tuple[list[dict[str, Any]], Iterator[Row]]:
        """Give the verdict on each event, and the rows of those that are accepted."""
        if not made:
            return [], iter([])
        # The door's reader is many times faster with JSON than with values.
        body = b'{"events":[' + b",".join(item.text for item in made) + b"]}"
        reading = read_request(body, sender=self.policy.sender, rules=self.policy.rules)
        return reading.results, iter(reading.rows)

    def _without_sealed(self, accepted: list[tuple[_Made, Row]]) -> Iterator[tuple[_Made, Row]]:
        """Refuse the events of purged days, but for those that are still stored.

        The store would keep them as dead letters: a history that was purged would be back.
        """
        with transaction(self.engine) as session:
            sealed = read_sealed_through(session)
            late = [
                row.event_id for _, row in accepted if self._day_of(row) <= (sealed or date.min)
            ]
            stored = read_stored_ids(session, late)
        refused = set(late) - stored
        for item, row in accepted:
            if row.event_id in refused:
                self._refuse(item.record, "sealed", f"its day is purged, up to {sealed}")
            else:
                yield item, row

    def _day_of(self, row: Row) -> date:
        moment = datetime.fromisoformat(row.occurred_at)
        return moment.astimezone(ZoneInfo(self.policy.zone)).date()

    def _make(self, record: Record, *, from_text: bool) -> _Made:
        """Make the event of a row. Raises RowError."""
        fields = record.fields
        if fields is None:
            raise RowError("unreadable", record.fault)
        if record.exported and from_text:
            fields = {name: restore_cell(cell) for name, cell in fields.items()}
        if record.exported:
            fields = restore_exported(fields)
        event = self.mapping.to_event(fields, from_text=from_text)
        says_more = record.exported or isinstance(self.mapping, History)
        known = {name: event.pop(name, None) for name in OWN_FIELDS if says_more}
        if not any(event.get(name) for name in _TIMES):
            raise RowError("no_time", "the row says no time: map a column to occurred_at")
        if not any(event.get(name) for name in _IDS):
            event["message_id"] = self.names.of(record.text)
        address, agent = (event.pop(name, None) for name in SENDER_FIELDS)
        try:
            text = orjson.dumps(event)
        except orjson.JSONEncodeError as error:
            raise RowError("unreadable", f"the row cannot be written as JSON: {error}") from None
        return _Made(
            record=record,
            text=text,
            sender=(self.policy.keep_address(_text(address)), _text(agent)),
            known_id=_text(event.get("event_id")) if record.exported else self._id_of(event, known),
            known_clock=known,
        )

    def _id_of(self, event: dict[str, Any], known: dict[str, Any]) -> str | None:
        """Give the id that an event got, or would get, at the door by its clock that was wrong."""
        client_id = _text(event.get("event_id") or event.get("message_id"))
        if client_id is None or not known.get("original_at"):
            return None
        original_ms = read_moment_ms(known["original_at"])
        # An id of another day would be in a partition in which nobody looks for the event.
        if abs(original_ms - read_moment_ms(event["occurred_at"])) > MAX_ID_DRIFT_MS:
            return None
        sender = self.policy.sender
        return make_event_id(
            client_id,
            key_id=sender.key_id,
            occurred_ms=original_ms,
            received_ms=sender.received_ms,
        )

    def _store(self, groups: dict[tuple[str | None, str | None], list[Row]]) -> StoreResult:
        rows = [row for group in groups.values() for row in group]
        if not rows:
            return StoreResult()
        if self.dry_run:
            ids = {row.event_id for row in rows}
            with transaction(self.engine) as session:
                known = len(read_stored_ids(session, sorted(ids)))
            new = len(ids) - known
            return StoreResult(stored=new, duplicate=len(rows) - new)
        bodies = [
            encode_batch(
                group, sender=replace(self.policy.sender, ip_address=address, user_agent=agent)
            )
            for (address, agent), group in groups.items()
        ]
        return store_bodies(
            self.engine,
            bodies,
            set(days_of(rows)),
            known_days=self.known_days,
            zone=self.policy.zone,
            secret_key=self.policy.secret_key,
        )

    def _refuse(self, record: Record, reason: str, detail: str) -> None:
        self.report.rejected[reason] += 1
        row = record.fields or record.text.decode(errors="replace")
        self.reject(Rejection(record.line, reason, detail, row))


def _keep_id(row: Row, known_id: str | None) -> None:
    """Give an event the id that it has already: one that belongs to its time or to none."""
    if known_id is None:
        return
    try:
        found = str(UUID(known_id))
    except ValueError:
        return
    drift_ms = abs(id_ms(found) - read_moment_ms(row.occurred_at))
    if id_ms(found) == 0 or drift_ms < (ID_DAY_MARGIN - 1) * DAY_MS:
        row.event_id = found
        if row.message_id == known_id:
            row.message_id = None


def _keep_clock(row: Row, known: dict[str, Any]) -> None:
    """Give an event what was known of its sender's clock."""
    clock, original_at = known.get("clock"), known.get("original_at")
    if clock not in _CLOCKS:
        return
    row.clock = clock
    with suppress(MomentError):
        row.original_at = format_ms(read_moment_ms(original_at)) if original_at else None


def _text(value: Any) -> str | None:
    """Give a short text that the database can hold, or None."""
    if not isinstance(value, str) or not value or "\0" in value:
        return None
    return value.encode(errors="replace").decode()[:MAX_TEXT]
