"""Log requests that take long, by their route: a path may name a person."""

from __future__ import annotations

import time

import structlog
from flask import Flask, Response, g, request

log = structlog.get_logger()

SLOW_S = 1.0


def watch_requests(app: Flask) -> None:
    """Measure each request from its first hook to its answer; a stream's time is not in it."""
    app.before_request(_note_start)
    app.after_request(_log_when_slow)


def _note_start() -> None:
    g.started_s = time.perf_counter()


def _log_when_slow(response: Response) -> Response:
    duration_s = time.perf_counter() - g.get("started_s", time.perf_counter())
    if duration_s >= SLOW_S:
        log.warning(
            "slow_request",
            method=request.method,
            route=request.url_rule.rule if request.url_rule else None,
            status=response.status_code,
            duration_ms=round(duration_s * 1000),
        )
    return response
