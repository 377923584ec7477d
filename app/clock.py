"""The time of the app's clock: the moment, and the day it lies in."""

from __future__ import annotations

from datetime import UTC, date, datetime

from app.state import state


def now() -> datetime:
    """Give the moment, in UTC."""
    return datetime.fromtimestamp(state().clock(), UTC)


def today() -> date:
    """Give the day in the reporting time zone, by which reports go."""
    return now().astimezone(state().settings.zone).date()


def today_utc() -> date:
    """Give the day in UTC, by which ids and partitions go."""
    return now().date()
