"""A person's activity as a short plain text, made to be put into the prompt of a language model.

Names in it come from outside. Each is quoted, cut short and on one line, without any character
that steers a terminal or a reader; free properties never appear.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from datetime import datetime, timedelta

from models.activity_summary import Action, Entity, Summary

MAX_TEXT, MAX_NAME = 1200, 40
_TOLD = 5


def write_summary(summary: Summary, *, days: int, now: datetime) -> str:
    """Write a summary in a few sentences; one that would be too much is left out, not cut."""
    told = ""
    for sentence in _sentences(summary, days=days, now=now):
        longer = f"{told} {sentence}".strip()
        if len(longer) <= MAX_TEXT:
            told = longer
    return told


def plain(name: str) -> str:
    """Give a name from outside as quoted text of one line: no controls, no quotes, not long."""
    letters = name[: 4 * MAX_NAME].replace('"', "'").replace("`", "'")
    kept = (" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in letters)
    line = " ".join("".join(kept).split())
    return f'"{line if len(line) <= MAX_NAME else line[: MAX_NAME - 1] + "…"}"'


def ago(moment: datetime, *, now: datetime) -> str:
    """Say how long ago something was, in the largest whole unit."""
    passed = max(now - moment, timedelta(0))
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        count = int(passed.total_seconds() // length)
        if count:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def _sentences(summary: Summary, *, days: int, now: datetime) -> Iterator[str]:
    if not summary.events:
        yield f"No activity in the last {_count(days, 'day')}."
        return
    yield (
        f"In the last {_count(days, 'day')}: {_count(summary.events, 'event')} in "
        f"{_count(summary.sessions, 'session')} on {_count(summary.active_days, 'day')}, "
        f"{_count(summary.streak_days, 'day')} in a row up to now."
    )
    recent = ", ".join(_describe(action, now=now) for action in summary.recent_actions[:_TOLD])
    yield f"Latest actions: {recent}."
    hours = ", ".join(f"{hour:02d}:00" for hour, _ in summary.most_active_hours)
    yield f"Most active hours: {hours}."
    if summary.entities:
        worked = ", ".join(_describe_entity(entity) for entity in summary.entities[:_TOLD])
        yield f"Worked on: {worked}."
    if summary.completions:
        done = ", ".join(_describe(action, now=now) for action in summary.completions[:_TOLD])
        yield f"Completed {_count(summary.completed, 'thing')}, lately: {done}."
    if summary.common_patterns:
        patterns = "; ".join(
            f"{' then '.join(map(plain, pattern))} ({times} times)"
            for pattern, times in summary.common_patterns[:_TOLD]
        )
        yield f"Common patterns: {patterns}."


def _describe(action: Action, *, now: datetime) -> str:
    thing = ""
    if action.entity_type is not None:
        named = f" {plain(action.entity_id)}" if action.entity_id is not None else ""
        thing = f" on {plain(action.entity_type)}{named}"
    times = f" {action.times} times" if action.times > 1 else ""
    return f"{plain(action.event_type)}{thing}{times} ({ago(action.occurred_at, now=now)})"


def _describe_entity(entity: Entity) -> str:
    return (
        f"{plain(entity.entity_type)} {plain(entity.entity_id)} ({_count(entity.events, 'event')})"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
