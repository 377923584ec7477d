"""Keep embedded servers running: one that ends by itself is started again, on its files."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence

import psutil

from cli.backoff import Backoff, how_ended
from cli.servers.process import RunningServer, ServerError, Tell

LOOK_EVERY_S = 0.1


class KeptServer:
    """A server and how it is started. Its address stays the same: others have it."""

    def __init__(self, name: str, start: Callable[[], RunningServer]) -> None:
        self.name = name
        self._start = start
        self._running: RunningServer | None = start()
        self.url = self._running.url
        self._began = time.monotonic()
        self._backoff = Backoff()
        self._due = 0.0

    def stop(self) -> None:
        """Stop it, if it runs."""
        if self._running:
            self._running.stop()
            self._running = None

    def look_after(self, tell: Tell) -> None:
        """See whether it has ended, and start it again when it is time to."""
        if self._running and (code := self._running.poll()) is not None:
            log = self._running.log
            # Takes away what it left beside its files.
            with contextlib.suppress(psutil.Error, OSError):
                self.stop()
            self._running = None
            tell(f"{self.name} ended ({how_ended(code)}); {self._wait()} (log: {log})")
        elif self._running is None and time.monotonic() >= self._due:
            self._began = time.monotonic()
            try:
                self._running = self._start()
            except (ServerError, OSError) as error:
                tell(f"{self.name} does not start ({error}); {self._wait()}")
            else:
                tell(f"{self.name} runs again")

    def _wait(self) -> str:
        now = time.monotonic()
        wait_s = self._backoff.next_wait_s(ran_s=now - self._began)
        self._due = now + wait_s
        return f"starting it again in {wait_s:.0f} s"


class Keeper:
    """Look after servers in a thread, until `stop`."""

    def __init__(self, servers: Sequence[KeptServer], tell: Tell) -> None:
        self._servers = servers
        self._tell = tell
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="servers", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Start no server any more. Waits for one that is being started."""
        self._ending.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._ending.wait(LOOK_EVERY_S):
            for server in self._servers:
                if not self._ending.is_set():
                    server.look_after(self._tell)
