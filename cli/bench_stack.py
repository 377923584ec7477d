"""A whole Millrace that a measurement fills: in a temporary directory, with servers of its own."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
from sqlalchemy import select, text

import inbox
from bench import seed as seeding
from bench.cpu import Meter, tree_of
from bench.ingest import BenchError, Target
from bench.yardstick import Yardstick
from cli.servers import start_servers
from cli.servers.process import read_pid
from cli.stack import ALL, Stack, stack
from intake.rows import Rules
from models.api_keys import WRITE, ApiKey
from models.database import make_engine, transaction
from models.migrate import migrate
from settings import Settings, read_settings


@contextlib.contextmanager
def running_stack(
    *, workers: int | None = None, filled: seeding.Plan | None = None
) -> Iterator[tuple[Stack, Target]]:
    """Run it with its servers as `run` sets them up; with `filled`, events are stored before."""
    settings = read_settings()
    if settings.database_url or settings.redis_url:
        raise click.ClickException(
            "the bench writes millions of rows into servers of its own: "
            "unset DATABASE_URL and REDIS_URL"
        )
    # Sockets need short paths, and root's database must be able to pass through.
    folder = Path(tempfile.mkdtemp(prefix="millrace-bench-"))
    settings = replace(
        settings,
        port=_free_port(),
        flower_port=_free_port(),
        worker_processes=workers or settings.worker_processes,
    )
    try:
        if filled is not None and filled.events:
            with start_servers(folder, valkey=False) as servers:
                fill(servers.fill(settings), filled)
        with stack(settings, folder, only=ALL) as running:
            target = make_target(running)
            try:
                yield running, target
            finally:
                target.client.close()
                target.yardstick.close()
    except BenchError as error:
        raise click.ClickException(str(error)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fill(settings: Settings, plan: seeding.Plan) -> None:
    """Store and count the events of a plan. Its days count as aggregated: storing reads no report,
    and their aggregation would run into the measurement.
    """
    engine = make_engine(settings.sqlalchemy_url, application="bench")
    try:
        migrate(engine)
        seeding.seed(engine, plan, advance=lambda events: None)
        with transaction(engine) as session:
            session.execute(text("DELETE FROM dirty_days"))
    finally:
        engine.dispose()


def make_target(running: Stack) -> Target:
    """Gather what the measurements need of a running Millrace."""
    postmaster = read_pid(running.data_dir / "postgres" / "postmaster.pid")
    valkey = read_pid(running.data_dir / "valkey" / "valkey.pid")
    if postmaster is None or valkey is None:
        raise click.ClickException(f"the servers of {running.data_dir} cannot be found")
    groups: dict[str, Callable[[], list[int]]] = {name: partial(running.pids, name) for name in ALL}
    settings = running.settings
    return Target(
        host="127.0.0.1",
        port=settings.port,
        write_key=running.secrets.write_key,
        key_id=_key_id(settings),
        client=inbox.connect(settings.redis_url, timeout_s=10.0),
        meter=Meter({**groups, "valkey": lambda: tree_of(valkey)}, postmaster=postmaster),
        yardstick=Yardstick(settings.database_url),
        rules=Rules(
            max_event_bytes=settings.max_event_bytes,
            max_batch_events=settings.max_batch_events,
            retention_days=settings.open_days,
        ),
    )


def _key_id(settings: Settings) -> str:
    engine = make_engine(settings.sqlalchemy_url, application="bench")
    with transaction(engine) as session:
        found = session.scalars(select(ApiKey.key_id).where(ApiKey.kind == WRITE)).first()
    engine.dispose()
    return found or ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
