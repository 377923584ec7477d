"""A heartbeat beside long work: a thread that says at times that the process is alive."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy.exc import SQLAlchemyError

from logs import describe_error

log = structlog.get_logger()

EVERY_S = 5.0


@contextmanager
def heartbeat(beat: Callable[[], None], *, every_s: float = EVERY_S) -> Iterator[None]:
    """Call `beat` at once and again and again until the work is done.

    A beat that does not reach the database is left out: the work may end well all the same.
    """
    ended = threading.Event()

    def work() -> None:
        while True:
            try:
                beat()
            except SQLAlchemyError as error:
                log.warning("heartbeat_missed", error=describe_error(error))
            if ended.wait(every_s):
                return

    thread = threading.Thread(target=work, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
