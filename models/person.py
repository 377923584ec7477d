"""One person: their ids, and which events are theirs, in tables and in batches that wait."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Raw
from sqlalchemy.orm import Session

from event_lines import as_json
from models.identities import read_linked_ids


@dataclass(frozen=True, slots=True)
class Person:
    """The ids of one person: a user id, anonymous ids, or both.

    An event is the person's if it has their user id; or no user id, and one of their anonymous
    ids. Two users of one device share its anonymous id, and keep their own events.
    """

    user_id: str | None = None
    anonymous_ids: tuple[str, ...] = ()

    @classmethod
    def of(cls, user_id: str | None, anonymous_id: str | None) -> Person:
        """Make a person of up to one id of each kind. Raises ValueError for none."""
        if user_id is None and anonymous_id is None:
            raise ValueError("a person needs a user_id or an anonymous_id")
        return cls(user_id, () if anonymous_id is None else (anonymous_id,))

    @classmethod
    def from_dict(cls, kept: dict[str, Any]) -> Person:
        """Read what `as_dict` wrote."""
        return cls(kept["user_id"], tuple(kept["anonymous_ids"]))

    def as_dict(self) -> dict[str, Any]:
        """Give the ids as JSON values."""
        return {"user_id": self.user_id, "anonymous_ids": list(self.anonymous_ids)}

    def with_linked(self, session: Session) -> Person:
        """Add the anonymous ids that are linked to the user."""
        if self.user_id is None:
            return self
        ids = {*self.anonymous_ids, *read_linked_ids(session, self.user_id)}
        return Person(self.user_id, tuple(sorted(ids)))

    def owns(self, user_id: str | None, anonymous_id: str | None) -> bool:
        """Tell whether an event with these ids is the person's."""
        if user_id is not None:
            return user_id == self.user_id
        return anonymous_id in self.anonymous_ids

    def conditions(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Give SQL conditions on events with their parameters: one an index, no event in two."""
        if self.user_id is not None:
            yield "user_id = :user_id", {"user_id": self.user_id}
        if self.anonymous_ids:
            yield (
                "anonymous_id = ANY(:anonymous_ids) AND user_id IS NULL",
                {"anonymous_ids": list(self.anonymous_ids)},
            )


class _Batch(msgspec.Struct):
    events: list[Raw]
    rejected: list[Raw] = []


class _Actor(msgspec.Struct):
    user_id: Any = None
    anonymous_id: Any = None


class _Rejected(msgspec.Struct):
    message: Raw = Raw()


_read_batch = msgspec.json.Decoder(_Batch).decode
_read_actor = msgspec.json.Decoder(_Actor).decode
_read_message = msgspec.json.Decoder(_Rejected).decode
_read_fields = msgspec.json.Decoder(dict[str, Raw]).decode


def read_actor(event: bytes | Raw) -> tuple[str | None, str | None]:
    """Read the user and the anonymous id of an event's JSON, as the database would."""
    try:
        actor = _read_actor(event)
    except (msgspec.MsgspecError, RecursionError):
        return None, None
    return _as_text(actor.user_id), _as_text(actor.anonymous_id)


def events_of_body(body: bytes) -> Sequence[Raw] | None:
    """Give the events of a batch's JSON, unread; None when it cannot be read."""
    batch = _read(as_json(body))
    return None if batch is None else batch.events


@dataclass(frozen=True, slots=True)
class Found:
    """What of a batch is a person's, and the batch without it (None when nothing is left).

    `rejected` are messages that the batch carries beside its events.
    """

    events: Sequence[Raw]
    rejected: Sequence[Raw]
    rest: bytes | None

    @property
    def all(self) -> list[Raw]:
        """Give all that is the person's."""
        return [*self.events, *self.rejected]


class Search:
    """Look for one person's events in the JSON of batches."""

    def __init__(self, person: Person) -> None:
        self._person = person
        ids = (*person.anonymous_ids, *filter(None, [person.user_id]))
        self._traces = [msgspec.json.encode(item)[1:-1] for item in ids]

    def part(self, body: bytes) -> Found:
        """Part what is the person's from a batch.

        A batch that cannot be read is the person's as a whole if it holds one of the ids.
        """
        if not self._may_be_in(body):
            return Found((), (), body)
        body = as_json(body)
        batch = _read(body)
        if batch is None:
            holds = any(trace in body for trace in self._traces)
            return Found([Raw(body)], (), None) if holds else Found((), (), body)
        events, others = self._divide(batch.events)
        rejected, other_rejected = self._divide(batch.rejected)
        if not events and not rejected:
            return Found((), (), body)
        if not others and not other_rejected:
            return Found(events, rejected, None)
        fields = {**_read_fields(body), "events": others}
        if rejected:
            fields["rejected"] = other_rejected
        return Found(events, rejected, msgspec.json.encode(fields))

    def _divide(self, items: Sequence[Raw]) -> tuple[list[Raw], list[Raw]]:
        mine: list[Raw] = []
        others: list[Raw] = []
        for item in items:
            (mine if self._owns(item) else others).append(item)
        return mine, others

    def _owns(self, item: Raw) -> bool:
        user_id, anonymous_id = read_actor(item)
        if self._person.owns(user_id, anonymous_id):
            return True
        if user_id is not None or not _holds_message(item):
            return False
        if anonymous_id is not None:
            # No translation has judged of what kind it is.
            return anonymous_id == self._person.user_id
        # A rejected message may name its person anywhere.
        text = bytes(item)
        return any(b'"%b"' % trace in text for trace in self._traces)

    def _may_be_in(self, body: bytes) -> bool:
        # An id may also be written with escapes.
        return b"\\u" in body or any(trace in body for trace in self._traces)


def _read(body: bytes) -> _Batch | None:
    try:
        return _read_batch(body)
    except (msgspec.MsgspecError, RecursionError):
        return None


def _holds_message(item: Raw) -> bool:
    try:
        return bool(memoryview(_read_message(item).message))
    except (msgspec.MsgspecError, RecursionError):
        return False


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()
