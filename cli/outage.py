"""Say which server a command could not use, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from sqlalchemy.exc import OperationalError

from cli.servers import ServerError

#: SQLSTATEs of a server that cannot be used, and not of a statement: the connection failed, it
#: shuts down or starts, it knows not this user or this database.
_AWAY = ("08", "57P", "28", "3D")


@contextmanager
def naming_servers() -> Iterator[None]:
    """Raise ServerError in the place of the driver's error when a server is away."""
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError) as error:
        raise _away("Redis", "REDIS_URL", error) from error
    except OperationalError as error:
        if not _is_away(error):
            raise
        raise _away("PostgreSQL", "DATABASE_URL", error.orig or error) from error


def _is_away(error: OperationalError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    return state is None or state.startswith(_AWAY)


def _away(server: str, setting: str, error: BaseException) -> ServerError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return ServerError(
        f"{server} cannot be used: {reason}. Start it, or set {setting} to the server that runs; "
        "`./millrace doctor` looks further."
    )
