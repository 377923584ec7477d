"""CORS for ingestion: pages of other sites may send events, and read the answers.

The reading API has none: a browser on another site cannot read a report. Flask-CORS works on
Flask's responses and never sees the lane in front of Flask, so these few headers stand here.
"""

from __future__ import annotations

from typing import Any

_ORIGIN = "millrace.cors_origin"
_EXPOSED = ("Access-Control-Expose-Headers", "Retry-After, X-Request-ID")
_ANY = [("Access-Control-Allow-Origin", "*"), _EXPOSED]

PREFLIGHT = [
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "POST"),
    (
        "Access-Control-Allow-Headers",
        "Authorization, Content-Encoding, Content-Type, Idempotency-Key, X-Client-ANON-ID, "
        "X-Request-ID, X-Write-Key",
    ),
    # A day; browsers cut it to what they allow.
    ("Access-Control-Max-Age", "86400"),
    ("Allow", "OPTIONS, POST"),
]


def allow_origin(environ: dict[str, Any], origin: str) -> None:
    """Let only this origin read the answer: the write key names the pages it is for."""
    environ[_ORIGIN] = origin


def deny_origin(environ: dict[str, Any]) -> None:
    """Let no page read the answer: the write key is not for the page that sent it."""
    environ[_ORIGIN] = None


def cors_headers(environ: dict[str, Any]) -> list[tuple[str, str]]:
    """Give the headers of an ingestion answer; none when no browser asks for them."""
    if "HTTP_ORIGIN" not in environ:
        return []
    origin = environ.get(_ORIGIN, "*")
    if origin == "*":
        return _ANY
    if origin is None:
        return [("Vary", "Origin")]
    return [("Access-Control-Allow-Origin", origin), ("Vary", "Origin"), _EXPOSED]
