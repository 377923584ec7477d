"""Ask a running Millrace for its jobs, as Beat does, and wait for what comes of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from celery import Celery
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

import celeryconfig
from tests.faults.system import System

#: Of the broker's keys.
KEY_PREFIX = celeryconfig.broker_transport_options["global_keyprefix"]


def ask(system: System, task: str, *, times: int = 1, **arguments: Any) -> None:
    """Send a task so many times at once."""
    app = Celery("faults", config_source="celeryconfig", set_as_current=False)
    app.conf.broker_url = system.settings.celery_broker_url
    with app.connection_for_write() as connection:
        for _ in range(times):
            app.send_task(task, kwargs=arguments, connection=connection)
    app.close()


def look(system: System, question: str, **values: Any) -> list[Any]:
    """Give the rows of a question, in a transaction of its own."""
    with system.engine.connect() as connection:
        return list(connection.execute(text(question), values).all())


def wait_for(
    system: System, what: str, is_there: Callable[[], object], *, within_s: float = 240.0
) -> None:
    """Wait until something is there; what has ended meanwhile is started again.

    Jobs stand in line behind drains of up to 20 s and behind each other.
    """
    deadline = time.monotonic() + within_s
    while True:
        system.revive()
        try:
            if is_there():
                return
        except DBAPIError:
            # The scenario may have taken the database away.
            pass
        assert time.monotonic() < deadline, f"no {what} within {within_s:.0f} s"
        time.sleep(0.05)
