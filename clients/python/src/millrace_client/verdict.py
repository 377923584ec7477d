"""What an answer means for each event of the request."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from millrace_client.errors import DroppedError, MillraceError, RejectedError
from millrace_client.transport import Answer

#: Statuses below 500 that a later attempt may change: time-out, too early, too many.
_LATER = (408, 425, 429)
_TOO_LARGE = 413
#: What Millrace answers when it has taken events, be the answer's body readable or not.
_ACCEPTED = (201, 202)


@dataclass
class Verdict:
    """What became of a request's events, by their place in it."""

    #: Refused or not wanted: not sent again.
    failed: dict[int, MillraceError] = field(default_factory=dict)
    #: To be sent again, and why.
    again: list[int] = field(default_factory=list)
    why: str = ""
    #: The request was too large, and is sent in halves.
    halve: bool = False
    retry_after: str | None = None


def judge(answer: Answer, events: int) -> Verdict:
    """Read the server's answer to a request with so many events."""
    everything = list(range(events))
    status = answer.status
    problem = _read_object(answer.body)
    if status >= 500 or status in _LATER:
        return Verdict(
            again=everything, why=_describe(status, problem), retry_after=answer.retry_after
        )
    if status == _TOO_LARGE and events > 1:
        return Verdict(halve=True)
    if status == 204:
        error = DroppedError("not_collected", "the server collects nothing at present")
        return Verdict(failed=dict.fromkeys(everything, error))
    results = problem.get("results")
    if isinstance(results, list) and (status < 300 or status == 422):
        return _judge_each(results, events)
    if status in _ACCEPTED:
        return Verdict()
    if status < 300:
        return Verdict(again=everything, why=f"it was not Millrace that answered {status}")
    refusal = RejectedError(
        str(problem.get("code") or f"http_{status}"), _describe(status, problem, answer.location)
    )
    return Verdict(failed=dict.fromkeys(everything, refusal))


def _judge_each(results: list[Any], events: int) -> Verdict:
    verdict = Verdict(why="the server did not say what became of it")
    unsaid = set(range(events))
    for result in results:
        index = result.get("index") if isinstance(result, dict) else None
        if not isinstance(index, int) or index not in unsaid:
            continue
        reason = str(result.get("reason") or "rejected")
        if result.get("status") == "rejected":
            verdict.failed[index] = RejectedError(reason, str(result.get("detail") or reason))
        elif result.get("status") == "retry":
            verdict.why = reason
            continue
        unsaid.remove(index)
    verdict.again = sorted(unsaid)
    return verdict


def _read_object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _describe(status: int, problem: dict[str, Any], location: str | None = None) -> str:
    if location:
        return f"the server answered {status} and points to {location}: set host to that"
    detail = problem.get("detail")
    return f"the server answered {status}" + (f": {detail}" if detail else "")
