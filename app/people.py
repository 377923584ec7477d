"""What the views about people share: the salts, a patient inbox, the person of a request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.exceptions import RedisError

import inbox
from app.errors import Problem
from app.state import state
from models.person import Person
from models.suppressions import Salts, SecretKeyMissingError
from spool import SpoolError

#: To read a full inbox takes longer than the door would wait.
_PATIENCE_S = 10.0


def installation_salts() -> Salts:
    """Give the salts of this installation. Raises Problem 503 without a SECRET_KEY."""
    try:
        return Salts.of(state().settings.secret_key)
    except SecretKeyMissingError as error:
        raise Problem(503, "secret_key_missing", str(error)) from None


def person_of(fields: dict[str, Any]) -> Person:
    """Give the person that a checked request names."""
    return Person.of(fields["user_id"], fields["anonymous_id"])


def connect_inbox() -> redis.Redis:
    """Give a client that waits for the inbox. Raises Problem 503 when it is away."""
    client = inbox.connect(state().settings.redis_url, timeout_s=_PATIENCE_S)
    try:
        client.ping()
    except RedisError:
        client.close()
        raise inbox_away() from None
    return client


@contextmanager
def open_inbox() -> Iterator[redis.Redis]:
    """Open the inbox to look through it. Raises Problem 503 when it or the spool cannot be read."""
    client = connect_inbox()
    try:
        yield client
    except (RedisError, SpoolError):
        raise inbox_away() from None
    finally:
        client.close()


def inbox_away() -> Problem:
    """Say that the inbox cannot be looked at."""
    return Problem(
        503,
        "inbox_unavailable",
        "the inbox cannot be reached: please try again",
        headers={"Retry-After": "2"},
    )
