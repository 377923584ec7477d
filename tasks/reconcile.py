"""Recount product counters: a sample every night, all of them by hand, and correct them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from fail_points import fail_point
from models.counter_drift import SAMPLES, Drift, begin_snapshot, correct_counters, recount
from models.database import transaction
from models.dead_letters import drop_superseded

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild found, and how many products it corrected."""

    drift: Drift
    corrected: int


def reconcile(engine: Engine, *, day: date, zone: str) -> dict[str, Any]:
    """Recount the sample of a day and give the outcome to record. Corrects no counter.

    Dead letters whose sender mended the event and sent it again are dropped. Every product is in
    the sample of one of SAMPLES days that follow each other.
    """
    sample = day.toordinal() % SAMPLES
    drift = _measure(engine, zone=zone, sample=sample, progress=None, correct=False).drift
    with transaction(engine) as session:
        superseded = drop_superseded(session)
    return {
        "sample": sample,
        "checked": drift.checked,
        "drifted": drift.drifted,
        "drift": {name: str(amount) for name, amount in drift.drift.items()},
        "superseded_letters": superseded,
    }


def rebuild(
    engine: Engine, *, zone: str, dry_run: bool = False, progress: Progress | None = None
) -> Rebuilt:
    """Recount every product; add what is missing to its counters, unless `dry_run`."""
    return _measure(engine, zone=zone, sample=None, progress=progress, correct=not dry_run)


def _measure(
    engine: Engine, *, zone: str, sample: int | None, progress: Progress | None, correct: bool
) -> Rebuilt:
    # One connection for both transactions: what is to be corrected waits in a temporary table.
    with engine.connect() as connection, Session(connection) as session:
        with session.begin():
            begin_snapshot(session)
            drift = recount(session, zone=zone, sample=sample, progress=progress)
        with session.begin():
            corrected = correct_counters(session) if correct and drift.drifted else 0
            fail_point("reconcile.product")
            session.execute(text("DROP TABLE corrections"))
    return Rebuilt(drift, corrected)
