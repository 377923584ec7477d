"""What the fork and the end of a process mean to its clients."""

from __future__ import annotations

import atexit
import os
import sys
import time
from typing import Protocol
from weakref import WeakSet


class Living(Protocol):
    """What a client does when its process forks or ends."""

    shutdown_s: float

    def _begin_in_child(self) -> None:
        """Start with an empty queue and a thread of its own."""

    def _close(self, *, within_s: float) -> None:
        """Take no more events, and hurry."""

    def shutdown(self, timeout_s: float | None = None) -> bool:
        """Send what waits, and end."""


_clients: WeakSet[Living] = WeakSet()
_first_process = os.getpid()
_hooked_process: int | None = None


def watch(client: Living) -> None:
    """Have a client begin anew in forked children, and end with its process."""
    _clients.add(client)


def watch_exit() -> None:
    """Have the clients end with a child of multiprocessing or Celery, which runs no atexit.

    Called when there is something to send: such a child forgets what was asked for before.
    """
    global _hooked_process
    util = sys.modules.get("multiprocessing.util")
    if util is None or _hooked_process == os.getpid():
        return
    _hooked_process = os.getpid()
    parent = getattr(sys.modules.get("multiprocessing.process"), "parent_process", None)
    if _hooked_process != _first_process or (parent is not None and parent() is not None):
        util.Finalize(None, _shut_down_all, exitpriority=10)


def _begin_in_child() -> None:
    """Start anew: the queue is the parent's, and so are thread and locks."""
    for client in list(_clients):
        client._begin_in_child()


def _shut_down_all() -> None:
    """Give all clients of the process their time together."""
    clients = list(_clients)
    started = time.monotonic()
    for client in clients:
        client._close(within_s=client.shutdown_s)
    for client in clients:
        client.shutdown(max(0.0, started + client.shutdown_s - time.monotonic()))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_in_child)
atexit.register(_shut_down_all)
