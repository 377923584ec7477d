"""Request ids: in the answer's header, in problem documents and in every line of the log."""

from __future__ import annotations

import random
import re
from typing import Any

import structlog

_GOOD = re.compile(r"[A-Za-z0-9._-]{1,64}").fullmatch


def choose_request_id(environ: dict[str, Any]) -> str:
    """Take the client's X-Request-ID, or make one when there is none that can be used."""
    given = environ.get("HTTP_X_REQUEST_ID")
    if given is not None and _GOOD(given):
        return str(given)
    # Python seeds this anew after a fork. An id is no secret.
    return f"{random.getrandbits(64):016x}"


def current_request_id() -> str | None:
    """Give the id of the request that is being answered."""
    return structlog.contextvars.get_contextvars().get("request_id")
