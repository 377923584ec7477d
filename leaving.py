"""A process that is about to end says so: its answers ask clients to close their connections.

Otherwise a client that keeps its connection may send a request at the very moment in which the
process closes it, and gets no answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

#: Set from the first signal on.
LEAVING = threading.Event()
#: So long requests are still taken then: who keeps a connection has sent the next one meanwhile,
#: or is idle.
LEAVE_S = 1.0


def leave(end: Callable[[], None]) -> None:
    """End after a moment; asked a second time, at once."""
    if LEAVING.is_set():
        end()
        return
    LEAVING.set()
    timer = threading.Timer(LEAVE_S, end)
    timer.daemon = True
    timer.start()
