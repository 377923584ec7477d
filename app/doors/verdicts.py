"""Say what became of the events of a request, where its sender reads verdicts."""

from __future__ import annotations

from typing import Any

from app.errors import Problem
from intake.request import Reading


def answer_reading(reading: Reading, *, is_single: bool) -> dict[str, Any]:
    """Say what was accepted: one event's id, or a verdict for each of a list."""
    if is_single:
        return {"event_id": reading.rows[0].event_id}
    return {
        "events_created": len(reading.rows),
        "event_ids": [row.event_id for row in reading.rows],
        "results": reading.results,
    }


def nothing_accepted(reading: Reading, *, is_single: bool, status: int) -> Problem:
    """Make the refusal of a request in which no event is good; `status` is that of bad events."""
    if not is_single:
        return Problem(
            status,
            "all_rejected",
            "no event could be accepted: see results",
            results=reading.results,
        )
    verdict = reading.results[0]
    more = {"errors": verdict["errors"]} if "errors" in verdict else {}
    is_large = verdict["reason"] == "too_large"
    return Problem(413 if is_large else status, verdict["reason"], verdict["detail"], **more)
