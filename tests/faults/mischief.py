"""Faults that can happen at the same time: each takes a part of the system, and gives it back."""

from __future__ import annotations

import contextlib
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import psutil
import psycopg

from tests.faults.proxy import Proxy
from tests.faults.system import System

POINTS = (
    "drain.taken",
    "drain.before_store",
    "drain.before_commit",
    "drain.committed",
    "drain.before_done",
    "drain.done",
    "door.before_put",
    "door.put",
    "door.before_answer",
)
#: Two faults of one part at a time would only wait for each other.
PART_OF = {"children": "worker", "points": "worker", "stall": "valkey", "backends": "postgres"}


@dataclass
class Mischief:
    """Do one thing after the other, from several threads. What is done is counted in `done`."""

    system: System
    proxy: Proxy
    done: Counter[str]
    kills: int = 0
    errors: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _taken: set[str] = field(default_factory=set)

    def go_on(self, chance: random.Random, end: float) -> None:
        """Do things at random until the end."""
        things: dict[str, Callable[[random.Random], None]] = {
            "worker": self.kill_worker,
            "children": self.kill_children,
            "web": self.kill_web,
            "valkey": self.kill_valkey,
            "stall": self.stall_valkey,
            "postgres": self.kill_postgres,
            "backends": self.end_backends,
            "points": self.arm_a_point,
            "network": self.spoil_the_network,
            "beat": self.kill_beat,
        }
        while time.monotonic() < end:
            name = chance.choice(sorted(things))
            with self._taking(PART_OF.get(name, name)) as taken:
                if taken:
                    try:
                        things[name](chance)
                    except Exception as error:
                        self.errors.append(f"{name}: {error!r}")
                    with self._lock:
                        self.done[name] += 1
            time.sleep(chance.random())

    def repair(self) -> None:
        """Take back what was armed and not obeyed, and let everything run."""
        for point in POINTS:
            self.system.disarm(point)
        self.system.revive()
        self.system.wait_until_ready(within_s=60.0)

    def kill_worker(self, chance: random.Random) -> None:
        """Kill a worker and its children."""
        self.system.kill("worker")
        time.sleep(chance.random())
        self.system.start("worker")
        self._count(1)
        time.sleep(2 + chance.random())

    def kill_children(self, _: random.Random) -> None:
        """Kill the children of a worker."""
        for child in self.system.tree("worker")[1:]:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
                self._count(1)
        time.sleep(1)

    def kill_web(self, chance: random.Random) -> None:
        """Kill a web process, or all of them."""
        if chance.random() < 0.5:
            self.system.kill("web")
            self.system.start("web")
        else:
            for child in self.system.tree("web")[1:2]:
                child.kill()
        self._count(1)
        time.sleep(5 + chance.random())

    def kill_valkey(self, chance: random.Random) -> None:
        """Kill Valkey, and start it on its file."""
        self.system.kill_server("valkey")
        time.sleep(chance.random() * 3)
        self.system.start_server("valkey")
        self._count(1)
        time.sleep(2)

    def stall_valkey(self, chance: random.Random) -> None:
        """Stop Valkey for a while."""
        self.system.kill_server("valkey", signal.SIGSTOP)
        time.sleep(1 + chance.random() * 5)
        self.system.kill_server("valkey", signal.SIGCONT)

    def kill_postgres(self, chance: random.Random) -> None:
        """End PostgreSQL in one of three ways, and start it on its files."""
        how = chance.choice((signal.SIGINT, signal.SIGQUIT, signal.SIGKILL))
        self.system.kill_server("postgres", how)
        time.sleep(chance.random() * 3)
        self.system.start_server("postgres")
        self._count(1)
        time.sleep(2)

    def end_backends(self, _: random.Random) -> None:
        """End the workers' connections to the database."""
        address = self.system.servers["postgres"].url
        with (
            contextlib.suppress(psycopg.Error),
            psycopg.connect(address, autocommit=True) as connection,
        ):
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'millrace worker'"
            )
        time.sleep(1)

    def arm_a_point(self, chance: random.Random) -> None:
        """Let whoever comes to a point die, or fail."""
        point, action = chance.choice(POINTS), chance.choice(("kill", "raise", "sleep 2"))
        before = len(self.system.fired(point))
        self.system.arm(point, action)
        end = time.monotonic() + 5
        while len(self.system.fired(point)) == before and time.monotonic() < end:
            time.sleep(0.05)
        if action == "kill":
            self._count(len(self.system.fired(point)) - before)

    def spoil_the_network(self, chance: random.Random) -> None:
        """Lose answers, cut, slow down or deafen what leads to the door."""
        how = chance.choice(("loses_answers", "cuts", "latency_s", "half_open"))
        with self.proxy.being(**{how: True if how == "half_open" else 0.2}):
            time.sleep(1 + chance.random() * 3)
        self.proxy.cut_all()

    def kill_beat(self, chance: random.Random) -> None:
        """Kill the timetable."""
        self.system.kill("beat")
        time.sleep(chance.random() * 3)
        self.system.start("beat")
        self._count(1)

    def _count(self, kills: int) -> None:
        with self._lock:
            self.kills += kills

    @contextlib.contextmanager
    def _taking(self, part: str) -> Iterator[bool]:
        with self._lock:
            free = part not in self._taken
            self._taken.add(part)
        try:
            yield free
        finally:
            if free:
                with self._lock:
                    self._taken.discard(part)
