"""The supervisor, on small shell programs."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from cli.processes import Program, Supervisor, stop_leftovers
from cli.servers.process import be_quiet, is_alive
from cli.stack import programs_for
from settings import read_settings

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def supervise(tmp_path):
    """Make supervisors that are stopped in the end."""
    (tmp_path / "run").mkdir()
    made = []

    def make(*programs: Program, tell=be_quiet, on_log=None) -> Supervisor:
        supervisor = Supervisor(programs, dict(os.environ), tmp_path, tmp_path, tell, on_log)
        made.append(supervisor)
        supervisor.start()
        return supervisor

    yield make
    for supervisor in made:
        supervisor.stop()


def shell(name: str, script: str, **rules: float) -> Program:
    return Program(name, ["/bin/sh", "-c", script], **rules)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def test_a_program_that_ends_before_all_are_ready_is_reported_with_its_last_words(supervise):
    supervisor = supervise(shell("bad", "echo because; exit 3"), shell("good", "sleep 60"))
    until(lambda: supervisor.first_death() is not None)
    time.sleep(0.3)
    assert str(supervisor.first_death()).startswith("bad ended (exit code 3)")
    assert str(supervisor.first_death()).endswith("because")
    assert supervisor.pids("bad") == []
    assert supervisor.pids("good")


def test_a_program_that_ends_is_started_again_after_a_pause_that_grows(supervise):
    told = []
    supervisor = supervise(shell("short", "exit 1"), tell=told.append)
    supervisor.restarts = True
    until(lambda: len(told) == 2)
    assert told[0].startswith("short ended (exit code 1); starting it again in 1 s")
    assert told[1].startswith("short ended (exit code 1); starting it again in 2 s")


def test_programs_are_stopped_in_their_order_with_their_children(supervise, tmp_path):
    script = "trap 'echo {0} >> order; exit' TERM; sleep 60 & wait"
    supervisor = supervise(
        shell("last", script.format("last"), stop_order=1),
        shell("first", script.format("first"), stop_order=0),
    )
    until(lambda: all(len(supervisor.pids(name)) == 2 for name in ("first", "last")))
    pids = supervisor.pids("first") + supervisor.pids("last")

    supervisor.stop()

    assert (tmp_path / "order").read_text().split() == ["first", "last"]
    until(lambda: not any(psutil.pid_exists(pid) and is_alive(psutil.Process(pid)) for pid in pids))
    assert list((tmp_path / "run").iterdir()) == []


def test_a_program_that_does_not_listen_is_killed_in_the_end(supervise, tmp_path):
    script = "trap '' TERM; touch deaf; while :; do sleep 1; done"
    supervisor = supervise(shell("deaf", script, patience_s=0.3))
    until((tmp_path / "deaf").exists)
    pids = supervisor.pids("deaf")

    supervisor.stop()

    until(lambda: not any(psutil.pid_exists(pid) and is_alive(psutil.Process(pid)) for pid in pids))


def test_log_lines_are_handed_on_whole(supervise):
    seen = []
    supervise(
        shell("chatty", "printf 'one\\ntw'; sleep 0.3; printf 'o\\n'; sleep 60"),
        on_log=lambda name, line: seen.append((name, line)),
    )
    until(lambda: len(seen) == 2)
    assert seen == [("chatty", "one"), ("chatty", "two")]


def test_only_marked_processes_of_recorded_groups_are_stopped(supervise, tmp_path):
    supervisor = supervise(shell("ours", "sleep 60 & wait"))
    until(lambda: len(supervisor.pids("ours")) == 2)
    left = [psutil.Process(pid) for pid in supervisor.pids("ours")]
    record = {"ours": left[0].pid, "other": os.getpgid(0)}
    (tmp_path / "run" / "processes.json").write_text(json.dumps(record))
    told = []

    stop_leftovers(tmp_path, told.append)

    assert not any(is_alive(process) for process in left)
    assert told == ["Stopping ours, left behind by an earlier run"]
    assert not (tmp_path / "run" / "processes.json").exists()


def test_the_procfile_names_the_same_processes():
    programs = programs_for(read_settings({}), Path("var"))
    lines = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
    assert list(lines) == [program.name for program in programs]
    for program in programs:
        words = [word for word in program.command if word not in (sys.executable, "-m")]
        assert words[0] in lines[program.name]
        for queue in ("ingest,default", "training"):
            assert (queue in words) == (queue in lines[program.name])
