"""CORS for ingestion: pages of other sites may send events, and read the answers.

The reading API has none: a browser on another site cannot read a report. Flask-CORS works on
Flask's responses and never sees the lane in front of Flask, so these few headers stand here.

The page's own origin is named, and never `*`: some SDKs, such as posthog-js for years, send with
credentials, and browsers accept no `*` then. It gives nothing away, since no door reads a cookie.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from werkzeug.wrappers import Response

#: Answers differ by it, those to no page too: a cache must not give one page another's.
_VARY = ("Vary", "Origin")
_WITH_CREDENTIALS = ("Access-Control-Allow-Credentials", "true")
_EXPOSED = ("Access-Control-Expose-Headers", "Retry-After, X-Request-ID")

_OUR_HEADERS = (
    "Authorization, Content-Encoding, Content-Type, Idempotency-Key, X-Client-ANON-ID, "
    "X-Request-ID, X-Write-Key"
)
_NAMES_OF_HEADERS = re.compile(r"[A-Za-z0-9_-]+( *, *[A-Za-z0-9_-]+)*")
_MAX_ASKED = 1000


def answer_preflight(environ: dict[str, Any], methods: Iterable[str]) -> Response:
    """Tell a browser what it may send: the methods of the path, and any headers it asks for.

    Other systems' SDKs send headers of their own, more of them in each version.
    """
    asked = environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "")
    is_usual = len(asked) <= _MAX_ASKED and _NAMES_OF_HEADERS.fullmatch(asked) is not None
    allowed = sorted(methods)
    return Response(
        status=204,
        headers=[
            ("Access-Control-Allow-Origin", environ.get("HTTP_ORIGIN", "*")),
            _WITH_CREDENTIALS,
            _VARY,
            ("Access-Control-Allow-Methods", ", ".join(allowed)),
            (
                "Access-Control-Allow-Headers",
                f"{_OUR_HEADERS}, {asked}" if is_usual else _OUR_HEADERS,
            ),
            # A day; browsers cut it to what they allow.
            ("Access-Control-Max-Age", "86400"),
            ("Allow", ", ".join(sorted([*allowed, "OPTIONS"]))),
        ],
    )


def cors_headers(environ: dict[str, Any]) -> list[tuple[str, str]]:
    """Give the headers of an ingestion answer.

    A page that a write key is not for may read that too: an SDK that cannot takes it for a fault
    of the network, and sends again.
    """
    origin = environ.get("HTTP_ORIGIN")
    if origin is None:
        return [_VARY]
    return [("Access-Control-Allow-Origin", origin), _WITH_CREDENTIALS, _VARY, _EXPOSED]
