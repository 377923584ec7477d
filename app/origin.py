"""Where a client reached us: what an answer says that names our own address."""

from __future__ import annotations

from werkzeug.wrappers import Request


def read_origin(request: Request, *, trusted_proxies: int) -> tuple[str, str]:
    """Give protocol and host as the client wrote them, believing the last proxy if one is trusted.

    The host has its port, and is empty when the request names none.
    """
    protocol, host = request.scheme, request.host
    if trusted_proxies:
        protocol = _last(request, "X-Forwarded-Proto") or protocol
        host = _last(request, "X-Forwarded-Host") or host
    return ("https" if protocol.lower() == "https" else "http"), host


def _last(request: Request, name: str) -> str:
    return request.headers.get(name, "").rpartition(",")[2].strip()
