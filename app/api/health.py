"""Is it alive, is it ready, and how full is the inbox."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from redis.exceptions import RedisError

import inbox
from app.auth import public
from app.blueprint import ApiBlueprint
from app.database_figures import check_database, show_database
from app.liveness import find_degraded, show_canary
from app.spool_state import check_spool, show_spool, takes_events
from app.state import state
from canary import read_arrival
from door_counts import ACCEPTED, RECEIVED, DoorCounts, read_door_counts

blueprint = ApiBlueprint("health", __name__, description="Liveness, readiness, metrics")

_TEXT = {"schema": {"type": "string"}}
_JSON = {"description": "OK", "content": {"application/json": {"schema": {"type": "object"}}}}


@blueprint.route("/healthz")
@blueprint.doc(summary="The process answers", responses={"200": _JSON})
@public
def healthz() -> dict[str, str]:
    """Answer without asking anybody."""
    return {"status": "ok"}


@blueprint.route("/readyz")
@blueprint.doc(
    summary="Inbox and database can be used",
    responses={"200": _JSON, "503": {**_JSON, "description": "One of them cannot; see checks"}},
)
@public
def readyz() -> tuple[Response, int]:
    """Ask the inbox and the database.

    `degraded` says why what is accepted waits to be stored; requests may be sent here all the same.
    """
    alarm = state().settings.dead_letters_alarm
    checks = {"inbox": _check_inbox()}
    checks |= check_database(state().readiness, letters_alarm=alarm)
    checks |= check_spool(state().spool)
    ready = takes_events(checks)
    answer = {"ready": ready, "degraded": checks["inbox"].pop("degraded", []), "checks": checks}
    return jsonify(answer), 200 if ready else 503


@blueprint.route("/metrics")
@blueprint.doc(
    summary="Figures for Prometheus",
    responses={"200": {"description": "OK", "content": {"text/plain": _TEXT}}},
)
@public
def metrics() -> Response:
    """Write the inbox's depth, what the workers have done, and how the counters are.

    What a server does not tell in time is left out, and its figure `up` is 0.
    """
    registry = CollectorRegistry()
    show_database(registry, state().figures, now_s=state().clock())
    show_spool(registry, state().spool)
    try:
        depth = inbox.read_depth(state().redis)
        totals = inbox.read_totals(state().redis)
        doors = read_door_counts(state().redis)
        room = inbox.read_room(state().redis, max_bytes=state().settings.inbox_max_bytes)
        canary = read_arrival(state().redis)
    except RedisError:
        Gauge("millrace_inbox_up", "1 when the inbox can be reached", registry=registry).set(0)
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
    figures = {
        "millrace_inbox_up": ("1 when the inbox can be reached", 1.0),
        "millrace_inbox_batches": ("Batches in the inbox", float(depth.batches)),
        "millrace_inbox_pending": ("Batches taken and not yet stored", float(depth.pending)),
        "millrace_inbox_bytes": ("Memory the inbox takes", float(depth.size_bytes)),
        "millrace_inbox_oldest_age_seconds": ("Age of the oldest batch", depth.oldest_age_s),
        "millrace_inbox_fullness": ("At 1 the doors answer 503", room),
    }
    for name, (text, value) in figures.items():
        Gauge(name, text, registry=registry).set(value)
    events = Gauge(
        "millrace_events", "Events by what became of them", ["outcome"], registry=registry
    )
    for outcome, count in totals.items():
        events.labels(outcome).set(count)
    _show_doors(registry, doors)
    if state().settings.canary:
        show_canary(registry, canary, now_s=state().clock())
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _show_doors(registry: CollectorRegistry, doors: list[DoorCounts]) -> None:
    """Write what became of the events at each door, counted as their batches are stored."""
    came = Gauge(
        "millrace_door_events",
        "Events at a door that are received, and those accepted",
        ["door", "outcome"],
        registry=registry,
    )
    rejected = Gauge(
        "millrace_door_rejected",
        "Events that a door did not accept",
        ["door", "reason"],
        registry=registry,
    )
    for item in doors:
        came.labels(item.door, RECEIVED).set(item.received)
        came.labels(item.door, ACCEPTED).set(item.accepted)
        for reason, count in item.rejected.items():
            rejected.labels(item.door, reason).set(count)


def _check_inbox() -> dict[str, Any]:
    try:
        depth = inbox.read_depth(state().redis)
        policy = inbox.read_policy(state().redis)
        settings = state().settings
        room = inbox.read_room(state().redis, max_bytes=settings.inbox_max_bytes)
        degraded = find_degraded(
            state().redis,
            depth,
            max_age_s=settings.inbox_max_age_s,
            wants_canary=settings.canary,
            now_s=state().clock(),
        )
    except RedisError as error:
        return {"ok": False, "detail": f"cannot be reached ({type(error).__name__})"}
    if policy != "noeviction":
        return {
            "ok": False,
            "detail": f"maxmemory-policy is {policy}: accepted events could be dropped. "
            "Set it to noeviction",
        }
    found = {
        "ok": room < 1,
        "batches": depth.batches,
        "pending": depth.pending,
        "size_bytes": depth.size_bytes,
        "oldest_age_s": round(depth.oldest_age_s, 3),
        "degraded": degraded,
    }
    return found if room < 1 else {**found, "detail": "is full: the doors answer 503"}
