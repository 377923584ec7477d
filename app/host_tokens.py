"""Tokens of the host application: a JWT links the events of a request to its user."""

from __future__ import annotations

import jwt
from marshmallow import ValidationError
from werkzeug.wrappers import Request

from app.authorization import read_authorization
from app.errors import Problem
from intake.payload import check_payload


def read_jwt_user(request: Request, *, secret: str, algorithms: list[str]) -> str | None:
    """Give the user that a Bearer token of the host application names, None without one.

    Raises Problem 401 for a token that is not valid. Without a secret set, tokens are ignored.
    """
    header = read_authorization(request)
    if not secret or header is None or header.type != "bearer" or not header.token:
        return None
    try:
        claims = jwt.decode(
            header.token, secret, algorithms=algorithms, options={"verify_aud": False}
        )
        # The user goes past the checks of the event's own fields.
        check_payload(claims.get("sub"))
    except (jwt.PyJWTError, ValidationError) as error:
        raise Problem(
            401,
            "invalid_token",
            f"the Bearer token is not valid: {error}",
            headers={"WWW-Authenticate": "Bearer"},
        ) from None
    subject = claims.get("sub")
    return str(subject)[:200] if subject else None
