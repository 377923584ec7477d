"""One person: their ids, and which events are theirs, in tables and in batches that wait."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Raw
from sqlalchemy.orm import Session

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


class _Actor(msgspec.Struct):
    user_id: Any = None
    anonymous_id: Any = None


_read_batch = msgspec.json.Decoder(_Batch).decode
_read_actor = msgspec.json.Decoder(_Actor).decode
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
    try:
        return _read_batch(body).events
    except (msgspec.MsgspecError, RecursionError):
        return None


class Search:
    """Look for one person's events in the JSON of batches."""

    def __init__(self, person: Person) -> None:
        self._person = person
        ids = (*person.anonymous_ids, *filter(None, [person.user_id]))
        self._traces = [msgspec.json.encode(item)[1:-1] for item in ids]

    def part(self, body: bytes) -> tuple[list[Raw], bytes | None]:
        """Part a batch: the person's events, and the batch of the others (None without any).

        A batch that cannot be read is the person's as a whole if it holds one of the ids.
        """
        if not self._may_be_in(body):
            return [], body
        events = events_of_body(body)
        if events is None:
            holds = any(trace in body for trace in self._traces)
            return ([Raw(body)], None) if holds else ([], body)
        mine: list[Raw] = []
        others: list[Raw] = []
        for event in events:
            (mine if self._person.owns(*read_actor(event)) else others).append(event)
        if not mine:
            return [], body
        if not others:
            return mine, None
        return mine, msgspec.json.encode({**_read_fields(body), "events": others})

    def _may_be_in(self, body: bytes) -> bool:
        # An id may also be written with escapes.
        return b"\\u" in body or any(trace in body for trace in self._traces)


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()
