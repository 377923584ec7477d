"""Restart, break, lock and fill up the database under load."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

import inbox
from cli.servers.account import choose_account
from tests.faults.conftest import Judge
from tests.faults.plan import Plan
from tests.faults.recorder import Recorder, load
from tests.faults.system import HOST, System
from tests.faults.timetable import look, wait_for

MB = 1 << 20


@pytest.mark.smoke
@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL], ids=["fast", "immediate", "killed"]
)
def test_postgres_restarted(
    system: System,
    recorder: Recorder,
    judge: Judge,
    port: int,
    seed: int,
    chance: random.Random,
    plan: Plan,
    number: signal.Signals,
) -> None:
    times = plan.pick(smoke=1, usual=2, all_=6)
    with load(HOST, port, recorder, seed=seed):
        for _ in range(times):
            time.sleep(1 + chance.random())
            system.kill_server("postgres", number)
            time.sleep(chance.random())
            system.start_server("postgres")
    system.wait_until_ready()
    verdict = judge(f"the server, by {number.name}, {times} times", kills=times)

    assert verdict.ok, verdict
    assert verdict.dead == 0


def test_backends_terminated_at_random(
    system: System,
    recorder: Recorder,
    judge: Judge,
    port: int,
    seed: int,
    chance: random.Random,
    plan: Plan,
) -> None:
    ended = 0
    with load(HOST, port, recorder, seed=seed):
        for _ in range(plan.pick(smoke=10, usual=40, all_=200)):
            time.sleep(chance.random() * 0.1)
            ended += len(
                look(
                    system,
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name LIKE 'millrace%' AND pid <> pg_backend_pid() "
                    "AND (state <> 'idle' OR random() < 0.1)",
                )
            )
    verdict = judge("connections of all processes, most of them at work", kills=ended)

    assert verdict.ok, verdict
    assert (ended > 0, verdict.dead) == (True, 0)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_backends_terminated_in_the_middle_of_their_commit(
    system: System, recorder: Recorder, judge: Judge, port: int, seed: int, plan: Plan, moment: str
) -> None:
    wanted = plan.pick(smoke=3, usual=8, all_=40)
    stuck = {"before": "query = 'COMMIT' AND wait_event = 'PgSleep'", "after": _IS_COMMITTED}
    slow = {"before": _slow_commits, "after": _commits_that_wait_for_a_standby}
    ended = 0
    with load(HOST, port, recorder, seed=seed), slow[moment](system):
        deadline = time.monotonic() + 120
        while ended < wanted and time.monotonic() < deadline:
            found = look(
                system,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                f"WHERE application_name = 'millrace worker' AND {stuck[moment]}",
            )
            ended += len(found)
            time.sleep(0.02)
    verdict = judge(f"workers' connections, in their COMMIT {moment} it held", kills=ended)

    assert verdict.ok, verdict
    assert (ended >= wanted, verdict.dead) == (True, 0)


_IS_COMMITTED = "wait_event = 'SyncRep'"


@contextlib.contextmanager
def _slow_commits(system: System) -> Iterator[None]:
    """Make the server sleep in the commit of each store, before it holds."""
    with system.engine.begin() as connection:
        connection.execute(
            text(
                "CREATE FUNCTION doze() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN PERFORM pg_sleep(0.1); RETURN NULL; END $$"
            )
        )
        connection.execute(
            text(
                "CREATE CONSTRAINT TRIGGER dozing AFTER INSERT ON dirty_days "
                "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION doze()"
            )
        )
    try:
        yield
    finally:
        with system.engine.begin() as connection:
            connection.execute(text("DROP TRIGGER dozing ON dirty_days"))
            connection.execute(text("DROP FUNCTION doze"))


@contextlib.contextmanager
def _commits_that_wait_for_a_standby(system: System) -> Iterator[None]:
    """Make each commit hold here, and then wait for a standby that there is not."""
    _configure(system, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    try:
        yield
    finally:
        _configure(system, "ALTER SYSTEM RESET synchronous_standby_names")


def _configure(system: System, command: str) -> None:
    outside = system.engine.execution_options(isolation_level="AUTOCOMMIT")
    with outside.connect() as connection:
        connection.execute(text(command))
        connection.execute(text("SELECT pg_reload_conf()"))


@pytest.mark.parametrize("table", ["events", "product_metrics", "dirty_days"])
def test_table_locked(
    system: System, recorder: Recorder, judge: Judge, port: int, seed: int, plan: Plan, table: str
) -> None:
    seconds = plan.pick(smoke=3, usual=8, all_=60)
    with load(HOST, port, recorder, seed=seed), system.engine.begin() as locking:
        time.sleep(1)
        locking.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        time.sleep(seconds)
        waiting = inbox.read_depth(system.client).batches
    verdict = judge(f"{table} for {seconds} s")

    assert verdict.ok, verdict
    assert (waiting > 0, verdict.dead) == (True, 0)


def test_no_room_for_tables(
    system: System, recorder: Recorder, judge: Judge, port: int, seed: int, plan: Plan
) -> None:
    seconds = plan.pick(smoke=3, usual=6, all_=30)
    outside = system.engine.execution_options(isolation_level="AUTOCOMMIT")
    with _small_disk(system, size_mb=256) as disk, load(HOST, port, recorder, seed=seed):
        with outside.connect() as connection:
            connection.execute(text(f"CREATE TABLESPACE small LOCATION '{disk}'"))
        try:
            _move_events(system, "small")
            said = len(_log_of(system))
            ballast = _fill(disk)
            wait_for(system, "refusal", lambda: "No space left" in _log_of(system)[said:])
            time.sleep(seconds)
            waiting = inbox.read_depth(system.client).batches
            ballast.unlink()
            wait_for(system, "rest", lambda: inbox.read_depth(system.client).batches < waiting)
        finally:
            _move_events(system, "pg_default")
            with outside.connect() as connection:
                connection.execute(text("DROP TABLESPACE small"))
    verdict = judge(f"no room on the disk of the events for {seconds} s")

    assert verdict.ok, verdict
    assert (waiting > 0, verdict.dead) == (True, 0)


def test_no_room_for_the_write_ahead_log(
    system: System, recorder: Recorder, judge: Judge, port: int, seed: int, plan: Plan
) -> None:
    seconds = plan.pick(smoke=2, usual=4, all_=20)
    log = system.data_dir / "postgres" / "pg_wal"
    # The more was written before, the more segments there are that are used again.
    size_mb = 256 + sum(path.stat().st_size for path in log.rglob("*")) // MB
    with _small_disk(system, size_mb=size_mb) as disk, load(HOST, port, recorder, seed=seed):
        _move_log(system, log, disk / "pg_wal")
        try:
            said = len(_log_of(system))
            ballast = _fill(disk)
            with contextlib.suppress(DBAPIError):
                # What is left of the segments that exist goes by.
                for _ in range(size_mb):
                    look(system, "SELECT pg_logical_emit_message(false, 'x', repeat('x', 1000000))")
            wait_for(system, "end of the server", lambda: "PANIC" in _log_of(system)[said:])
            time.sleep(seconds)
            waiting = inbox.read_depth(system.client).batches
            ballast.unlink()
            system.start_server("postgres")
            wait_for(system, "rest", lambda: inbox.read_depth(system.client).batches < waiting)
        finally:
            _move_log(system, log, None)
    verdict = judge(f"no room for the write-ahead log for {seconds} s: the server ends", kills=1)

    assert verdict.ok, verdict
    assert (waiting > 0, verdict.dead) == (True, 0)


@contextlib.contextmanager
def _small_disk(system: System, *, size_mb: int) -> Iterator[Path]:
    """Mount a small file system that PostgreSQL may write to; skip where nobody may mount."""
    disk = system.data_dir / "small"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode=0755", "tmpfs", str(disk)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        disk.rmdir()
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    try:
        account = choose_account(system.data_dir / "postgres")
        place = disk / "postgres"
        place.mkdir(mode=0o700)
        if account:
            os.chown(place, account.uid, account.gid)
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
        disk.rmdir()


def _fill(place: Path) -> Path:
    """Take all the room there is."""
    ballast = place.parent / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(MB))
    return ballast


def _move_events(system: System, place: str) -> None:
    """Move the partitions of the events; stores wait for each move."""
    names = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'events'::regclass"
    for (name,) in look(system, names):
        with system.engine.begin() as connection:
            connection.execute(text(f"ALTER TABLE {name} SET TABLESPACE {place}"))


def _log_of(system: System) -> str:
    return (system.data_dir / "log" / "postgres.log").read_text()


def _move_log(system: System, log: Path, target: Path | None) -> None:
    """Put the write-ahead log somewhere else, or back where it belongs, and start the server."""
    system.servers["postgres"].stop()
    if target is None:
        if log.is_symlink():
            real = log.resolve()
            log.unlink()
            _copy(real, log)
    else:
        _copy(log, target)
        shutil.rmtree(log)
        log.symlink_to(target)
    system.start_server("postgres")


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)
