"""A person's latest activity, told from their events: what, when, how often, on what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

#: A longer pause, or another session id, begins another session.
SESSION_GAP = timedelta(minutes=30)
RECENT, TOP, HOURS = 10, 5, 3
_COMPLETE = ("complete", "completed")


@dataclass(frozen=True, slots=True)
class Action:
    """The same thing done once, or several times in a row."""

    event_type: str
    event_category: str
    event_action: str
    entity_type: str | None
    entity_id: str | None
    occurred_at: datetime
    times: int


@dataclass(frozen=True, slots=True)
class Entity:
    """Something that was worked on."""

    entity_type: str
    entity_id: str
    events: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Summary:
    """What a person did in a span of days."""

    events: int
    active_days: int
    streak_days: int
    sessions: int
    recent_actions: Sequence[Action]
    most_active_hours: Sequence[tuple[int, int]]
    common_patterns: Sequence[tuple[tuple[str, ...], int]]
    entities: Sequence[Entity]
    projects: Sequence[Entity]
    completions: Sequence[Action]
    completed: int


def summarise(events: Sequence[Any], *, zone: ZoneInfo, now: datetime) -> Summary:
    """Tell a person's activity from their events, in any order. Days and hours are `zone`'s."""
    ordered = sorted(events, key=lambda event: (event.occurred_at, event.event_id))
    local = [event.occurred_at.astimezone(zone) for event in ordered]
    days = {moment.date() for moment in local}
    sessions = list(_sessions(ordered))
    entities = _entities(ordered)
    completions = [event for event in ordered if is_completion(event)]
    return Summary(
        events=len(ordered),
        active_days=len(days),
        streak_days=_streak(days, today=now.astimezone(zone).date()),
        sessions=len(sessions),
        recent_actions=_join_repeated(map(_action, reversed(ordered)))[:RECENT],
        most_active_hours=Counter(moment.hour for moment in local).most_common(HOURS),
        common_patterns=_patterns(sessions),
        entities=entities[:RECENT],
        projects=[entity for entity in entities if entity.entity_type == "project"][:RECENT],
        completions=[_action(event) for event in reversed(completions)][:RECENT],
        completed=len(completions),
    )


def is_completion(event: Any) -> bool:
    """Tell whether an event says that something was completed."""
    return event.event_action in _COMPLETE or event.event_type.endswith("_completed")


def _thing(event: Any) -> tuple[str | None, str | None]:
    """Give what an event is about: its entity, or else its product."""
    if event.entity_type is not None:
        return event.entity_type, event.entity_id
    return ("product", event.product_id) if event.product_id is not None else (None, None)


def _action(event: Any) -> Action:
    kind, name = _thing(event)
    return Action(
        event_type=event.event_type,
        event_category=event.event_category,
        event_action=event.event_action,
        entity_type=kind,
        entity_id=name,
        occurred_at=event.occurred_at,
        times=1,
    )


def _join_repeated(actions: Iterable[Action]) -> list[Action]:
    """Make one of the actions that say the same in a row; its time is that of the first."""
    joined: list[Action] = []
    for action in actions:
        last = joined[-1] if joined else None
        if last is not None and _what(last) == _what(action):
            joined[-1] = replace(last, times=last.times + 1)
        else:
            joined.append(action)
    return joined


def _what(action: Action) -> tuple[str, str | None, str | None]:
    return action.event_type, action.entity_type, action.entity_id


def _sessions(ordered: Sequence[Any]) -> Iterator[list[Any]]:
    session: list[Any] = []
    for event in ordered:
        if session and (
            event.occurred_at - session[-1].occurred_at > SESSION_GAP
            or event.session_id != session[-1].session_id
        ):
            yield session
            session = []
        session.append(event)
    if session:
        yield session


def _patterns(sessions: Sequence[Sequence[Any]]) -> list[tuple[tuple[str, ...], int]]:
    """Count the pairs and triples of types that follow each other; those met more than once.

    A type that is repeated in a row counts once: "view, view, view" says nothing.
    """
    met: Counter[tuple[str, ...]] = Counter()
    for session in sessions:
        types = [event.event_type for event in session]
        steps = types[:1] + [after for before, after in pairwise(types) if after != before]
        for length in (2, 3):
            met.update(zip(*(steps[start:] for start in range(length)), strict=False))
    often = [(pattern, times) for pattern, times in met.items() if times > 1]
    return sorted(often, key=lambda item: (-item[1], -len(item[0]), item[0]))[:TOP]


def _entities(ordered: Sequence[Any]) -> list[Entity]:
    """Give what was worked on, the most used first."""
    times: Counter[tuple[str, str]] = Counter()
    last: dict[tuple[str, str], datetime] = {}
    for event in ordered:
        kind, name = _thing(event)
        if kind is not None and name is not None:
            times[kind, name] += 1
            last[kind, name] = event.occurred_at
    found = [Entity(*key, count, last[key]) for key, count in times.items()]
    return sorted(found, key=lambda entity: (-entity.events, -entity.last_at.timestamp()))


def _streak(days: set[date], *, today: date) -> int:
    """Count the active days in a row that end with today or, so early in it, with yesterday."""
    day = today if today in days else today - timedelta(days=1)
    count = 0
    while day in days:
        day, count = day - timedelta(days=1), count + 1
    return count
