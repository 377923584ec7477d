"""Errors that clients see, all of them problem documents (RFC 9457)."""

from __future__ import annotations

import json
from typing import Any

import orjson
import structlog
from flask import Flask, request
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.wrappers import Response

from app.request_id import current_request_id
from logs import describe_error

log = structlog.get_logger()


#: The SQLSTATE of a statement that was stopped: it reached its timeout.
QUERY_CANCELED = "57014"
#: Statuses that are said in other words than theirs: those of our own checks.
_CODES = {413: "request_too_large", 500: "internal_error"}


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
        "title": HTTP_STATUS_CODES[problem.status],
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
        "request_id": current_request_id(),
        **problem.more,
    }
    return Response(
        _encode(document),
        status=problem.status,
        mimetype="application/problem+json",
        headers=problem.headers,
    )


def _encode(document: dict[str, Any]) -> bytes:
    try:
        # Errors in a list are named by their place, a number.
        return orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        # Errors name fields as they were sent: half of an emoji can be one.
        return json.dumps(document, default=str).encode()


def http_problem(error: HTTPException) -> Problem:
    """Translate an error that Flask, werkzeug or webargs raised."""
    status = error.code or 500
    data = getattr(error, "data", None) or {}
    more: dict[str, Any] = {}
    # Werkzeug's names: those of Python's http module differ between its versions.
    name = HTTP_STATUS_CODES.get(status, "Unknown Error")
    code = _CODES.get(status) or name.lower().replace(" ", "_")
    detail = error.description or name
    messages = data.get("messages")
    if messages:
        more["errors"] = messages
        code = "invalid"
        detail = "the request has fields that cannot be used: see errors"
    headers = {key: value for key, value in error.get_headers() if key == "Allow"}
    if "Allow" in headers:
        detail = f"this path takes {headers['Allow']}"
    return Problem(status, code, detail, headers=headers, **more)


def error_response(error: Exception) -> Response:
    """Answer any error of a view with a problem document."""
    return problem_response(problem_of(error))


def problem_of(error: Exception) -> Problem:
    """Give any error as a problem, and log those that are not the client's."""
    match error:
        case Problem():
            return error
        case HTTPException():
            return http_problem(error)
        case RecursionError():
            return Problem(400, "bad_request", "the body is nested too deeply")
        case OperationalError() if getattr(error.orig, "sqlstate", None) == QUERY_CANCELED:
            log.warning("question_too_long", error=describe_error(error))
            return Problem(
                504,
                "took_too_long",
                "the database needs too long for this answer: ask for fewer days, or less at once",
            )
        case OperationalError():
            log.error("database_unavailable", error=describe_error(error))
            return Problem(
                503,
                "database_unavailable",
                "the database cannot be used now: please try again",
                headers={"Retry-After": "2"},
            )
    log.error("request_failed", error=describe_error(error))
    return Problem(500, "internal_error", "something went wrong here; the log has the details")


def register_errors(app: Flask) -> None:
    """Answer every error of the app with a problem document."""
    for kind in (Problem, HTTPException, Exception):
        app.register_error_handler(kind, error_response)


def refuse_nul() -> None:
    """Refuse an address with the character NUL: no text in PostgreSQL can hold it."""
    if "\0" in request.path or b"%00" in request.query_string:
        raise Problem(400, "bad_request", "the address must not contain the character NUL")
