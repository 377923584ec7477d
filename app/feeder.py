"""Feed the inbox from the spool when it can be reached again."""

from __future__ import annotations

import os
import threading
import time
from itertools import takewhile

import redis
import structlog

import inbox
from app.bell import Bell
from fail_points import fail_point
from spool import Spool

log = structlog.get_logger()

#: One chunk is one round trip to Redis, and one commit of the spool.
CHUNK_BATCHES = 200
CHUNK_BYTES = 1 << 20


class Feeder:
    """Move batches from the spool of this machine into the inbox, oldest first.

    Each web process has one, and whichever holds the spool's lock feeds. A batch leaves the spool
    after the inbox has answered: a crash in between puts it there twice, and its events are
    stored once. A full inbox is waited for.
    """

    def __init__(
        self, spool: Spool, client: redis.Redis, bell: Bell, *, max_bytes: int, every_s: float = 1.0
    ) -> None:
        self.spool = spool
        self._client = client
        self._bell = bell
        self._max_bytes = max_bytes
        self.every_s = every_s
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._pid: int | None = None

    def watch(self) -> None:
        """Begin to look at the spool, once in each process: threads do not survive a fork."""
        if self._pid == os.getpid():
            return
        with self._lock:
            if self._pid != os.getpid():
                threading.Thread(target=self._work, name="feeder", daemon=True).start()
                self._pid = os.getpid()

    def stop(self) -> None:
        """Let the thread end after the chunk that it is at."""
        self._stopped.set()

    def feed(self) -> int:
        """Feed until the spool is empty or the inbox is full; give how many batches went over.

        Raises RedisError, and SpoolError.
        """
        begun, fed = time.monotonic(), 0
        while (moved := self._feed_chunk()) and not self._stopped.is_set():
            fed += moved
            self._bell.ring()
        if fed:
            log.info("spool_fed", batches=fed, seconds=round(time.monotonic() - begun, 3))
        return fed

    def _feed_chunk(self) -> int:
        with self.spool.taking() as mine:
            if not mine:
                return 0
            batches = self.spool.read(count=CHUNK_BATCHES, max_bytes=CHUNK_BYTES)
            if not batches or inbox.read_room(self._client, max_bytes=self._max_bytes) >= 1:
                return 0
            with self._client.pipeline(transaction=False) as pipe:
                for batch in batches:
                    inbox.put(
                        pipe,
                        batch.body,
                        events=batch.events,
                        days=batch.days,
                        counts=batch.counts,
                    )
                answers = pipe.execute(raise_on_error=False)
            fail_point("feeder.put")
            put = len(list(takewhile(lambda answer: isinstance(answer, bytes), answers)))
            if put:
                self.spool.remove(batches[:put])
                if put == len(batches) and not self.spool.read(count=1, max_bytes=1):
                    self.spool.shrink()
            if put < len(batches):
                raise answers[put]
            return put

    def _work(self) -> None:
        said = ""
        while not self._stopped.wait(self.every_s):
            try:
                self.feed()
                said = ""
            except Exception as error:
                # Nobody else would feed. The batches are safe where they are.
                if said != (said := str(error)):
                    log.warning("spool_not_fed", error=type(error).__name__, detail=said)
