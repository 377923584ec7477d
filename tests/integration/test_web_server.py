"""The web server's processes: one socket for all of them, theirs or a supervisor's."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from cli.servers.environment import environment_of
from cli.stack import ROOT, programs_for
from settings import Settings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux shares ports otherwise")

#: What systemd does with a socket that it holds, see sd_listen_fds(3).
PASSED = 'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@" 3<&0 0</dev/null'
GET = b"GET /healthz HTTP/1.1\r\nHost: millrace\r\nConnection: close\r\n\r\n"


@contextmanager
def web_server(settings: Settings, held: socket.socket) -> Iterator[subprocess.Popen[bytes]]:
    web = programs_for(replace(settings, web_processes=2), Path())[0]
    process = subprocess.Popen(
        ["sh", "-c", PASSED, "sh", *web.command],
        cwd=ROOT,
        env={**os.environ, **environment_of(settings), "PYTHONPATH": str(ROOT)},
        stdin=held,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def ask(held: socket.socket) -> socket.socket:
    client = socket.create_connection(held.getsockname(), timeout=60)
    client.sendall(GET)
    return client


def status_of(client: socket.socket) -> int:
    with client:
        answer = http.client.HTTPResponse(client)
        answer.begin()
        return answer.status


def test_who_waits_on_a_held_socket_is_answered_by_the_next_server(settings):
    with socket.create_server(("127.0.0.1", 0)) as held:
        early = ask(held)
        with web_server(settings, held):
            assert status_of(early) == 200
        late = ask(held)
        with web_server(settings, held):
            assert status_of(late) == 200


def test_all_web_processes_take_connections_from_one_socket(settings):
    with socket.create_server(("127.0.0.1", 0)) as held:
        inode = os.fstat(held.fileno()).st_ino
        with web_server(settings, held) as process:
            assert status_of(ask(held)) == 200
            listening = [_sockets(child) for child in psutil.Process(process.pid).children()]

    assert len(listening) == 2
    assert all(inode in sockets for sockets in listening)


def _sockets(process: psutil.Process) -> set[int]:
    return {item.stat().st_ino for item in Path(f"/proc/{process.pid}/fd").iterdir()}


def test_who_keeps_a_connection_is_asked_to_close_it_before_its_process_ends(settings):
    with (
        socket.create_server(("127.0.0.1", 0)) as held,
        web_server(settings, held) as process,
        closing(http.client.HTTPConnection(*held.getsockname(), timeout=60)) as client,
    ):
        first = _asks_to_close(client)
        process.send_signal(signal.SIGHUP)
        while not _asks_to_close(client):
            pass
        # The client connects anew. Until it has ended, the old process may take that too.
        while _asks_to_close(client):
            pass

    assert first is False


def _asks_to_close(client: http.client.HTTPConnection) -> bool:
    client.request("GET", "/healthz")
    answer = client.getresponse()
    answer.read()
    assert answer.status == 200
    return answer.getheader("Connection") == "close"


def test_a_client_that_falls_silent_is_ended(settings):
    with (
        socket.create_server(("127.0.0.1", 0)) as held,
        web_server(replace(settings, request_timeout_s=1), held),
        socket.create_connection(held.getsockname(), timeout=60) as silent,
    ):
        silent.sendall(b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")

        assert silent.recv(65_536) == b""
