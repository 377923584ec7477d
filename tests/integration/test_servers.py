"""The embedded servers: started, stopped, killed and started again, on real processes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
import redis

from cli.servers import ServerError, Servers, connect, start_servers
from cli.servers.directory import choose_run_dir, holder
from cli.servers.embedded import find_servers
from cli.servers.process import is_alive
from cli.servers.secrets import ensure_secrets
from settings import read_settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def data_dir(tmp_path):
    """Give a data directory and stop whatever a test has left running in it."""
    directory = tmp_path / "data"
    yield directory
    for process in servers_in(directory):
        process.kill()


def servers_in(data_dir: Path) -> list[psutil.Process]:
    """Find every process of the data directory's servers, by directory or command line."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            inside = process.cwd().startswith(str(data_dir)) or any(
                str(data_dir) in word for word in process.cmdline()[:5]
            )
            started_here = process.name() in ("postgres", "valkey-server")
            if inside and started_here and is_alive(process):
                found.append(process)
    return found


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def database(servers: Servers) -> psycopg.Connection:
    return psycopg.connect(servers.database_url, autocommit=True)


def postmaster_of(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0])


def select_one(servers: Servers) -> int:
    with database(servers) as db:
        return db.execute("SELECT 1").fetchone()[0]


def inbox(servers: Servers) -> redis.Redis:
    return redis.Redis.from_url(servers.redis_url)


def ping(servers: Servers) -> bool:
    with inbox(servers) as client:
        return client.ping()


def run_elsewhere(data_dir: Path) -> subprocess.Popen[str]:
    """Start the servers in another process and wait until they are up."""
    code = (
        "import sys, time, pathlib, cli.servers as s\n"
        "with s.start_servers(pathlib.Path(sys.argv[1]), fast=True):\n"
        "    print('up', flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(data_dir)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_both_servers_answer_and_keep_their_data(data_dir):
    with start_servers(data_dir) as servers, database(servers) as db, inbox(servers) as client:
        db.execute("CREATE TABLE kept (n int)")
        db.execute("INSERT INTO kept VALUES (1)")
        client.xadd("inbox", {"batch": b"1"})

    with start_servers(data_dir) as servers, database(servers) as db, inbox(servers) as client:
        assert db.execute("SELECT n FROM kept").fetchall() == [(1,)]
        assert client.xlen("inbox") == 1


def test_servers_that_are_killed_are_started_again_on_their_files(data_dir):
    told = []
    with start_servers(data_dir) as servers:
        with database(servers) as db, inbox(servers) as client:
            db.execute("CREATE TABLE kept (n int)")
            client.xadd("inbox", {"batch": b"1"})
            client.config_set("appendfsync", "always")
            client.xadd("inbox", {"batch": b"2"})
        servers.keep_running(told.append)

        for name in ("postgres/postmaster.pid", "valkey/valkey.pid"):
            os.kill(int((data_dir / name).read_text().split()[0]), signal.SIGKILL)
        until(lambda: {"PostgreSQL runs again", "Valkey runs again"} <= set(told))

        with database(servers) as db, inbox(servers) as client:
            assert db.execute("SELECT count(*) FROM kept").fetchone() == (0,)
            assert client.xlen("inbox") == 2
    ended = "{} ended (signal 9); starting it again in 1 s (log: {})"
    for name, log in {"PostgreSQL": "postgres.log", "Valkey": "valkey.log"}.items():
        assert (data_dir / "log" / log).exists()
        assert ended.format(name, data_dir / "log" / log) in told
    assert servers_in(data_dir) == []


def test_a_server_that_does_not_start_again_is_tried_again_later(data_dir):
    told = []
    with start_servers(data_dir, postgres=False, fast=True) as servers:
        config = data_dir / "valkey" / "valkey.conf"
        config.unlink()
        config.mkdir()
        servers.keep_running(told.append)
        os.kill(int((data_dir / "valkey" / "valkey.pid").read_text()), signal.SIGKILL)
        until(lambda: any(line.startswith("Valkey does not start") for line in told))
        config.rmdir()

        until(lambda: "Valkey runs again" in told)

        assert ping(servers)
    assert any(line.endswith("starting it again in 2 s") for line in told)


def test_the_servers_are_safe_by_configuration(data_dir):
    with start_servers(data_dir) as servers, database(servers) as db, inbox(servers) as client:
        for name, value in {
            "listen_addresses": "",
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "server_encoding": "UTF8",
            "TimeZone": "UTC",
        }.items():
            assert db.execute(f"SHOW {name}").fetchall() == [(value,)], name
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("port") == {"port": "0"}


def test_nothing_is_left_after_a_stop(data_dir):
    servers = start_servers(data_dir, fast=True)
    servers.stop()
    servers.stop()

    assert servers_in(data_dir) == []
    assert list((data_dir / "run").iterdir()) == []
    assert not (data_dir / "postgres" / "postmaster.pid").exists()


def test_strangers_cannot_reach_the_sockets(data_dir):
    with start_servers(data_dir, fast=True):
        run = choose_run_dir(data_dir)
        assert stat.S_IMODE((run / "pg").stat().st_mode) == 0o700
        assert stat.S_IMODE((run / "valkey.sock").stat().st_mode) == 0o700


def test_the_servers_are_out_of_reach_of_ctrl_c(data_dir):
    with start_servers(data_dir, fast=True):
        sessions = {os.getsid(process.pid) for process in servers_in(data_dir)}
        assert sessions
        assert os.getsid(0) not in sessions


def test_a_start_after_kill_9_of_us_stops_what_was_left(data_dir):
    with_servers = run_elsewhere(data_dir)
    before = {process.pid for process in servers_in(data_dir)}
    kill(with_servers)
    told = []

    with start_servers(data_dir, fast=True, tell=told.append) as servers:
        assert before.isdisjoint(process.pid for process in servers_in(data_dir))
        assert select_one(servers) == 1
    assert [line.split()[1] for line in told if "left behind" in line] == ["Valkey", "PostgreSQL"]


def test_a_start_after_kill_9_of_everything_recovers_what_was_committed(data_dir):
    servers = start_servers(data_dir)
    with database(servers) as db:
        db.execute("CREATE TABLE kept (n int)")
        db.execute("INSERT INTO kept SELECT generate_series(1, 1000)")
    for process in servers_in(data_dir):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    servers.stop()
    leave_stale_files(data_dir)

    with start_servers(data_dir) as again, database(again) as db:
        assert db.execute("SELECT count(*) FROM kept").fetchall() == [(1000,)]


def leave_stale_files(data_dir: Path) -> None:
    """Put back what a power cut would leave: sockets, and pid files that name a live process."""
    cluster, run = data_dir / "postgres", data_dir / "run"
    (cluster / "postmaster.pid").write_text(f"{os.getpid()}\n{cluster}\n0\n5432\n{run / 'pg'}\n")
    (data_dir / "valkey" / "valkey.pid").write_text(f"{os.getpid()}\n")
    (run / "pg").mkdir(exist_ok=True)
    (run / "pg" / ".s.PGSQL.5432.lock").write_text(f"{os.getpid()}\n")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(run / "valkey.sock"))


def test_processes_of_a_killed_database_server_do_not_stop_the_next(data_dir):
    servers = start_servers(data_dir, fast=True)
    with contextlib.suppress(psycopg.OperationalError), database(servers) as db:
        backend = psutil.Process(db.execute("SELECT pg_backend_pid()").fetchone()[0])
        backend.suspend()
        os.kill(postmaster_of(data_dir), signal.SIGKILL)
        servers.stop()
        assert is_alive(backend)

        with start_servers(data_dir, fast=True):
            assert not is_alive(backend)


def test_a_start_killed_while_making_the_database_is_repaired(data_dir):
    half = data_dir / "postgres.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")

    with start_servers(data_dir, fast=True) as servers:
        assert select_one(servers) == 1
    assert not half.exists()


def test_a_directory_in_use_names_its_process(data_dir):
    with_servers = run_elsewhere(data_dir)
    try:
        with pytest.raises(
            ServerError, match=f"in use by another Millrace .process {with_servers.pid}"
        ):
            start_servers(data_dir)
        assert holder(data_dir) == with_servers.pid
    finally:
        with_servers.send_signal(signal.SIGINT)
        kill(with_servers)


def test_a_long_path_and_one_with_spaces_work(tmp_path):
    for name in ("a path with späces", "long-" + "x" * 100):
        data_dir = tmp_path / name
        with start_servers(data_dir, fast=True) as servers:
            run = choose_run_dir(data_dir)
            assert run != data_dir / "run"
            assert select_one(servers) == 1
            assert ping(servers)
        assert not run.exists()


def test_a_database_of_another_version_is_refused(data_dir):
    (data_dir / "postgres").mkdir(parents=True)
    (data_dir / "postgres" / "PG_VERSION").write_text("17\n")

    with pytest.raises(ServerError, match="written by PostgreSQL 17, this is 18"):
        start_servers(data_dir)
    assert servers_in(data_dir) == []


def test_a_broken_database_shows_its_last_words(data_dir):
    start_servers(data_dir, fast=True).stop()
    (data_dir / "postgres" / "global" / "pg_control").unlink()

    with pytest.raises(ServerError, match="pg_control"):
        start_servers(data_dir)
    assert servers_in(data_dir) == []
    assert holder(data_dir) is None


def test_only_the_missing_server_is_started(data_dir):
    with start_servers(data_dir, postgres=False, fast=True) as servers:
        assert servers.database_url == ""
        assert ping(servers)


def test_a_command_by_hand_uses_the_running_servers(data_dir):
    settings = read_settings({"MILLRACE_DATA_DIR": str(data_dir)})
    with start_servers(data_dir, fast=True) as servers, connect(settings) as filled:
        assert (filled.database_url, filled.redis_url) == (servers.database_url, servers.redis_url)
        assert len(filled.secret_key) > 30
        assert read_settings().database_url == servers.database_url
    assert os.environ.get("DATABASE_URL") != servers.database_url


def test_a_command_by_hand_starts_the_servers_for_its_duration(data_dir):
    settings = read_settings({"MILLRACE_DATA_DIR": str(data_dir)})
    with connect(settings) as filled, psycopg.connect(filled.database_url) as db:
        assert find_servers(data_dir) is not None
        assert db.execute("SELECT 1").fetchall() == [(1,)]
    assert servers_in(data_dir) == []


def test_servers_that_are_given_are_left_alone(data_dir):
    settings = read_settings(
        {
            "DATABASE_URL": "postgresql://db/x",
            "REDIS_URL": "redis://r",
            "MILLRACE_DATA_DIR": str(data_dir),
        }
    )
    with connect(settings) as filled:
        assert filled == settings
    assert not data_dir.exists()


def test_a_command_on_servers_of_others_signs_with_the_key_that_run_made(tmp_path: Path) -> None:
    addresses = {"DATABASE_URL": "postgresql://there", "REDIS_URL": "redis://there"}
    settings = read_settings({**addresses, "MILLRACE_DATA_DIR": str(tmp_path)})

    with connect(settings) as before:
        assert before.secret_key == ""
    made = ensure_secrets(tmp_path)
    with connect(settings) as after:
        assert after.secret_key == made.secret_key


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs the tests")
def test_root_runs_the_database_as_another_account_and_says_what_it_opened(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    told = []

    with start_servers(closed / "data", fast=True, tell=told.append) as servers:
        postmaster = postmaster_of(closed / "data")
        assert psutil.Process(postmaster).uids().effective != 0
        assert select_one(servers) == 1
    assert stat.S_IMODE(closed.stat().st_mode) == 0o701
    assert any(str(closed) in line for line in told)

    told.clear()
    with start_servers(closed / "data", fast=True, tell=told.append):
        assert told == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_directory_of_another_user_is_refused_with_its_owner(tmp_path):
    data_dir = tmp_path / "data"
    with start_servers(data_dir, fast=True):
        pass
    for directory in (tmp_path, *tmp_path.parents[:2]):
        directory.chmod(0o755)

    os.seteuid(65534)
    try:
        with pytest.raises(ServerError, match="belongs to root"):
            start_servers(data_dir)
    finally:
        os.seteuid(0)


def test_both_servers_listen_on_unix_sockets_only(data_dir):
    with start_servers(data_dir) as servers:
        assert urlsplit(servers.redis_url).scheme == "unix"
        assert urlsplit(servers.database_url).hostname is None
