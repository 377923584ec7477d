"""What the database tells of itself: for /readyz and /metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, Gauge
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.letter_figures import RECENT, note_dead_letters, show_dead_letters
from app.look import Look, SilentError
from models.dead_letter_list import LetterFilter, count_by_reason, count_up_to
from models.job_runs import JobRun, read_last_done
from models.migrate import newest_revision, read_revision


@dataclass(frozen=True, slots=True)
class Readiness:
    """The revision of the schema, and how many dead letters wait when it is the newest."""

    revision: str | None
    letters: int = 0


@dataclass(frozen=True, slots=True)
class Figures:
    """The dead letters by reason, and the last recount of product counters."""

    letters: Sequence[Any]
    reconcile: JobRun | None


def readiness_reader(letters_alarm: int) -> Callable[[Session], Readiness]:
    """Give the function that reads what /readyz says."""

    def read(session: Session) -> Readiness:
        revision = read_revision(session.connection())
        if revision != newest_revision():
            return Readiness(revision)
        return Readiness(revision, count_up_to(session, letters_alarm))

    return read


def figures_reader(clock: Callable[[], float]) -> Callable[[Session], Figures]:
    """Give the function that reads what /metrics shows."""

    def read(session: Session) -> Figures:
        since = datetime.fromtimestamp(clock(), UTC) - RECENT
        return Figures(
            letters=count_by_reason(session, LetterFilter(), recent_since=since),
            reconcile=read_last_done(session, "reconcile"),
        )

    return read


def check_database(look: Look[Readiness], *, letters_alarm: int) -> dict[str, dict[str, Any]]:
    """Tell whether the database can be used, and how many dead letters wait, as checks."""
    try:
        found = look.ask()
    except SilentError as error:
        return {"database": {"ok": False, "detail": str(error)}}
    except SQLAlchemyError as error:
        detail = f"cannot be reached ({type(error).__name__})"
        return {"database": {"ok": False, "detail": detail}}
    newest = newest_revision()
    if found.revision != newest:
        detail = f"schema is at {found.revision}, needs {newest}: ./millrace migrate"
        return {"database": {"ok": False, "detail": detail}}
    return {
        "database": {"ok": True, "revision": found.revision},
        "dead_letters": note_dead_letters(found.letters, limit=letters_alarm),
    }


def show_database(registry: CollectorRegistry, look: Look[Figures], *, now_s: float) -> None:
    """Write what the database knows, as far as it says so in time."""
    up = Gauge(
        "millrace_database_up", "1 when the database gave its figures in time", registry=registry
    )
    try:
        found = look.ask()
    except (SilentError, SQLAlchemyError):
        up.set(0)
        return
    up.set(1)
    show_dead_letters(registry, found.letters)
    _show_reconcile(registry, found.reconcile, now_s=now_s)


def _show_reconcile(registry: CollectorRegistry, last: JobRun | None, *, now_s: float) -> None:
    """Write what the last recount of product counters found: drift above zero is an alarm."""
    if last is None or last.outcome is None or last.finished_at is None:
        return
    figures = {
        "checked_products": ("Products in the last nightly recount", last.outcome["checked"]),
        "drift_products": ("Products whose counters were wrong in it", last.outcome["drifted"]),
        "age_seconds": (
            "Seconds since the last nightly recount",
            now_s - last.finished_at.timestamp(),
        ),
    }
    for name, (text, value) in figures.items():
        Gauge(f"millrace_reconcile_{name}", text, registry=registry).set(value)
