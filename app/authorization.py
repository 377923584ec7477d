"""The Authorization header of a request."""

from __future__ import annotations

from werkzeug.datastructures import Authorization
from werkzeug.wrappers import Request


def read_authorization(request: Request) -> Authorization | None:
    """Read the header; what cannot be decoded names nobody."""
    try:
        return request.authorization
    except ValueError:
        # Werkzeug decodes base64, and that refuses letters that are not ASCII in its own way.
        return None
