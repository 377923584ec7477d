"""`./millrace run` from outside: a real process tree, real signals."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pytest

from cli.processes import MARK
from cli.servers.embedded import find_servers
from cli.servers.process import is_alive
from cli.stack import StackError, check_ports, stack
from settings import read_settings

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def environ(tmp_path):
    """Give the environment of a Millrace of its own, and kill what a failed test leaves."""
    own = {
        "MILLRACE_DATA_DIR": str(tmp_path / "data"),
        "PORT": str(free_port()),
        "FLOWER_PORT": str(free_port()),
        "WORKER_PROCESSES": "1",
    }
    yield own
    for process in processes_of(own):
        process.kill()


def processes_of(environ: dict[str, str]) -> list[psutil.Process]:
    """Find all processes that belong to a data directory."""
    data_dir = environ["MILLRACE_DATA_DIR"]
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            ours = process.environ().get(MARK) == data_dir or process.cwd().startswith(data_dir)
            words = " ".join(process.cmdline())
            if (ours or data_dir in words) and is_alive(process) and process.pid != os.getpid():
                found.append(process)
    return found


class Run:
    """`./millrace run` in a process of its own."""

    def __init__(self, environ: dict[str, str], output: Path) -> None:
        self.output = output
        with output.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "cli.main", "run"],
                env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
                stdout=file,
                stderr=file,
                cwd=output.parent,
            )

    def wait_for(self, text: str) -> str:
        """Wait until the terminal shows a text and give all it shows."""
        until(lambda: text in self.output.read_text() or self.process.poll() is not None)
        said = self.output.read_text()
        assert text in said, said
        return said

    def stop(self, number: int = signal.SIGINT) -> tuple[int, float]:
        """Stop it and give its exit code and the seconds it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(20), time.monotonic() - began


def until(holds: Callable[[], bool], *, timeout_s: float = 40.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def send_as_told(said: str) -> str:
    """Send the event of the curl line on the terminal, and give the event's id."""
    line = re.search(r"^\s*(curl .*)$", said, re.MULTILINE)
    assert line
    words = shlex.split(line.group(1))
    headers = dict(words[i + 1].split(": ", 1) for i, word in enumerate(words) if word == "-H")
    request = urllib.request.Request(words[1], words[words.index("-d") + 1].encode(), headers)
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert answer.status == 201
        return str(json.load(answer)["event_id"])


def is_stored(environ: dict[str, str], event_id: str) -> bool:
    servers = find_servers(Path(environ["MILLRACE_DATA_DIR"]))
    assert servers
    with psycopg.connect(servers.database_url) as db:
        found = db.execute("SELECT count(*) FROM events WHERE event_id = %s", [event_id]).fetchone()
    return found == (1,)


def test_run_takes_an_event_and_ctrl_c_leaves_nothing(environ, tmp_path):
    millrace = Run(environ, tmp_path / "first")
    said = millrace.wait_for("Ctrl-C stops everything")
    event_id = send_as_told(said)
    until(lambda: is_stored(environ, event_id))

    flower = f"http://127.0.0.1:{environ['FLOWER_PORT']}/"
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        urllib.request.urlopen(flower, timeout=5)
    refused.value.close()
    password = re.search(r"admin / (\S+)", said).group(1)
    assert not any(password in " ".join(p.cmdline()) for p in processes_of(environ))

    code, seconds = millrace.stop()

    assert code == 0
    assert seconds < 10
    assert processes_of(environ) == []
    left = {path.name for path in (tmp_path / "data" / "run").iterdir()}
    assert {name for name in left if not name.startswith("beat-schedule")} == set()

    again = Run(environ, tmp_path / "second")
    said = again.wait_for("Ctrl-C stops everything")
    assert "shown once" not in said
    assert send_as_told(said)
    assert again.stop(signal.SIGTERM)[0] == 0


def test_a_start_after_kill_9_of_the_supervisor_stops_the_rest(environ, tmp_path):
    killed = Run(environ, tmp_path / "killed")
    killed.wait_for("Ctrl-C stops everything")
    killed.process.kill()
    killed.process.wait()
    before = {process.pid for process in processes_of(environ)}
    assert len(before) > 5

    again = Run(environ, tmp_path / "again")
    said = again.wait_for("Ctrl-C stops everything")

    assert before.isdisjoint(process.pid for process in processes_of(environ))
    assert said.count("left behind by an earlier run") == 3
    again.stop()


def test_a_killed_process_is_started_again(environ, tmp_path):
    settings = read_settings({**os.environ, **environ})
    told = []
    only = ("web", "worker")
    with stack(settings, tmp_path / "data", only=only, fast=True, tell=told.append) as running:
        old = {name: running.kill(name) for name in only}

        until(lambda: all(set(running.pids(name)) - set(old[name]) for name in only))
        for name in only:
            assert any(line.startswith(f"{name} ended (signal 9)") for line in told)
        until(lambda: is_stored(environ, post_event(running.url)))
    assert processes_of(environ) == []


def test_killed_servers_are_started_again_and_nothing_accepted_is_lost(environ, tmp_path):
    millrace = Run(environ, tmp_path / "output")
    said = millrace.wait_for("Ctrl-C stops everything")
    until(lambda: is_stored(environ, send_as_told(said)))

    for name in ("valkey/valkey.pid", "postgres/postmaster.pid"):
        os.kill(int((tmp_path / "data" / name).read_text().split()[0]), signal.SIGKILL)
    event_id = send_as_told(said)
    for name in ("Valkey", "PostgreSQL"):
        millrace.wait_for(f"{name} ended (signal 9); starting it again in 1 s")
        millrace.wait_for(f"{name} runs again")

    until(lambda: is_stored(environ, event_id))
    assert millrace.stop()[0] == 0
    assert processes_of(environ) == []


def post_event(url: str) -> str:
    """Send one event, trying again while the web server is not back."""
    deadline = time.monotonic() + 20
    body = b'{"event_type": "product_view", "product_id": "p1", "anonymous_id": "me"}'
    request = urllib.request.Request(
        f"{url}/api/v1/analytics/events/", body, {"Content-Type": "application/json"}
    )
    while True:
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                event_id = str(json.load(answer)["event_id"])
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
            continue
        time.sleep(1.0)
        return event_id


def test_a_taken_port_is_named_with_the_variable_to_set(environ):
    for variable in ("PORT", "FLOWER_PORT"):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", int(environ[variable])))
            taken.listen(1)
            settings = read_settings(environ)
            with pytest.raises(StackError) as refused:
                check_ports(settings, ("web", "flower"))
        assert f"Set {variable} to a free port" in str(refused.value)
        assert f"process {os.getpid()}" in str(refused.value)


def test_a_program_that_cannot_start_is_named_with_its_last_words(environ, tmp_path, monkeypatch):
    monkeypatch.setenv("GRANIAN_RUNTIME_MODE", "nonsense")
    settings = read_settings({**os.environ, **environ})

    with (
        pytest.raises(StackError, match=r"(?s)web ended \(exit code 2\).*runtime-mode"),
        stack(settings, tmp_path / "data", only=("web",), fast=True),
    ):
        pytest.fail("it must not be ready")
    assert processes_of(environ) == []


def test_ctrl_c_while_starting_stops_what_was_started(environ, tmp_path):
    millrace = Run(environ, tmp_path / "output")
    millrace.wait_for("Starting web")

    code, _ = millrace.stop()

    assert (code, processes_of(environ)) == (0, [])


def test_a_second_ctrl_c_does_not_wait(environ, tmp_path):
    settings = read_settings({**os.environ, **environ})
    at_once = threading.Event()
    with stack(settings, tmp_path / "data", only=("web", "worker"), fast=True, at_once=at_once):
        at_once.set()
    assert processes_of(environ) == []
