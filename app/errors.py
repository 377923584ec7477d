"""Errors that clients see, all of them problem documents (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import orjson
import structlog
from flask import Flask, Response
from werkzeug.exceptions import HTTPException

log = structlog.get_logger()


class Problem(Exception):
    """An answer to the client that says what was wrong and what to do.

    `code` is a constant for programs, `detail` a text for people; `more` is added to the document.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers or {}
        self.more = more


def problem_response(problem: Problem) -> Response:
    """Write a problem as `application/problem+json`."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
        **problem.more,
    }
    return Response(
        orjson.dumps(document),
        status=problem.status,
        mimetype="application/problem+json",
        headers=problem.headers,
    )


def http_problem(error: HTTPException) -> Problem:
    """Translate an error that Flask, werkzeug or webargs raised."""
    status = error.code or 500
    data = getattr(error, "data", None) or {}
    more: dict[str, Any] = {}
    detail = error.description or HTTPStatus(status).phrase
    messages = data.get("messages")
    if messages:
        more["errors"] = messages
        detail = "the request has fields that cannot be used: see errors"
    headers = {name: value for name, value in error.get_headers() if name == "Allow"}
    code = HTTPStatus(status).phrase.lower().replace(" ", "_")
    return Problem(status, code, detail, headers=headers, **more)


def register_errors(app: Flask) -> None:
    """Answer every error of the app with a problem document."""

    @app.errorhandler(Problem)
    def _problem(problem: Problem) -> Response:
        return problem_response(problem)

    @app.errorhandler(HTTPException)
    def _http(error: HTTPException) -> Response:
        return problem_response(http_problem(error))

    @app.errorhandler(Exception)
    def _unexpected(error: Exception) -> Response:
        log.exception("request_failed", error=type(error).__name__)
        return problem_response(
            Problem(500, "internal_error", "something went wrong here; the log has the details")
        )
