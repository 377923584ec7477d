"""The bell: tell the workers that the inbox has something, without keeping the client waiting."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import redis
import structlog
from celery import Celery

import inbox

log = structlog.get_logger()

#: A worker takes the bell down when it has drained. A drain that takes longer than this, or whose
#: worker has died, is joined by another one: the bell falls by itself.
HELD_MS = 5_000
#: Requests within this time share one look at the bell, which costs as much as storing an event.
PAUSE_S = 0.01


class Bell:
    """Ring from a thread of its own: a slow broker delays the bell, never an answer."""

    def __init__(self, client: redis.Redis, *, broker_url: str) -> None:
        self._client = client
        self._wanted = threading.Event()
        self._lock = threading.Lock()
        self._pid: int | None = None
        self._celery = Celery(
            "millrace", broker=broker_url, config_source="celeryconfig", set_as_current=False
        )

    def ring(self) -> None:
        """Ask for a drain. Many requests become one message."""
        if self._pid != os.getpid():
            self._start()
        self._wanted.set()

    def send(self, task: str, *, queue: str, kwargs: dict[str, Any]) -> None:
        """Send one task and wait until the broker has it."""
        self._celery.send_task(task, queue=queue, kwargs=kwargs)

    def _start(self) -> None:
        # Threads do not survive a fork, and servers fork after loading the app.
        with self._lock:
            if self._pid != os.getpid():
                threading.Thread(target=self._work, name="bell", daemon=True).start()
                self._pid = os.getpid()

    def _work(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            try:
                if self._client.set(inbox.BELL, b"1", nx=True, px=HELD_MS):
                    self._celery.send_task("ingest.drain", queue="ingest", expires=60)
            except Exception as error:
                # The events are safe in the inbox and Beat's sweep drains them within seconds.
                log.warning("bell_failed", error=type(error).__name__)
            time.sleep(PAUSE_S)
