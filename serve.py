"""Start the web server: granian, with what its processes load in common loaded once, before them.

They are forked, so they share these pages until one of them writes there. Where Python does not
fork them (from 3.14 on) each loads its own, as with plain `granian`. Arguments are granian's.

All processes take connections from one socket. Granian gives each its own on Linux, and what waits
on that of a process that ends is refused. And a process that is told to end says so to its clients
before it does, see `leaving`.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import socket
from typing import Any

# See wsgi.py: before numpy is loaded.
for _library in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_library, "1")

import granian._signals  # noqa: E402
import granian.cli  # noqa: E402
from granian.net import SocketHolder, SocketSpec  # type: ignore[attr-defined]  # noqa: E402
from granian.server import Server  # noqa: E402

import app.factory  # noqa: E402, F401
import lean_logs  # noqa: E402, F401 - before whatever loads structlog
from leaving import leave  # noqa: E402

#: What making the app loads besides: Flask-Limiter and Celery look for these by themselves.
_LOADED_LATER = ("celery.fixups.django", "celery.worker.worker", "flask_sqlalchemy.cli", "valkey")

#: So long a connection waits in the kernel for its first byte. A server that ends in order closes
#: those on which it has read nothing yet, though a request may be on its way.
_FIRST_BYTE_S = 5
#: The TCP socket that a supervisor passes with LISTEN_PID, see sd_listen_fds(3).
_PASSED = 3


class SharedSocketServer(Server):  # type: ignore[misc, valid-type]
    """Granian's server with one listening socket for all processes.

    That is its own way wherever a port cannot be shared by sockets.
    """

    def _init_shared_socket(self) -> None:
        if self.bind_uds:
            super()._init_shared_socket()
            return
        if os.environ.get("LISTEN_PID") == str(os.getpid()):
            holder = SocketHolder(_PASSED, False, self.backlog)  # type: ignore[call-arg]
        else:
            holder = SocketSpec(self.bind_addr, self.bind_port, self.backlog).build()
        self._ssp, self._shd, self._sfd = None, holder, holder.get_fd()
        self._sso = socket.socket(fileno=self._sfd)
        self._sso.set_inheritable(True)
        if hasattr(socket, "TCP_DEFER_ACCEPT"):
            self._sso.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, _FIRST_BYTE_S)


def _leave_on_signal() -> Any:
    """Do as granian's `set_sync_signals` in a web process, but leave first."""
    ending = granian._signals.WorkerSignal()  # type: ignore[attr-defined]
    granian._signals.set_main_signals(lambda *_: leave(ending.set))  # type: ignore[no-untyped-call]
    return ending


# Not only in the main process: where Python does not fork the others, they load this module too.
granian._signals.set_sync_signals = _leave_on_signal

if __name__ == "__main__":
    for name in _LOADED_LATER:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    # Otherwise the first collection in each process would write to every object, and copy it.
    gc.collect()
    gc.freeze()
    granian.cli.Server = SharedSocketServer  # type: ignore[attr-defined]
    granian.cli.entrypoint()  # type: ignore[no-untyped-call]
