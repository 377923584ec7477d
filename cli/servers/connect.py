"""Give a command that a person runs by hand the servers it needs."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from cli.servers.directory import holder
from cli.servers.embedded import Servers, find_servers, start_servers
from cli.servers.environment import environment_of
from cli.servers.process import ServerError, Tell, be_quiet
from cli.servers.secrets import ensure_secrets
from settings import Settings, resolve_data_dir

ROOT = Path(__file__).resolve().parents[2]
STARTING_WITHIN_S = 10.0


@contextlib.contextmanager
def connect(settings: Settings, *, root: Path = ROOT, tell: Tell = be_quiet) -> Iterator[Settings]:
    """Yield settings with both addresses and the secret key filled in.

    Uses the servers that a running Millrace has in the data directory, or starts
    them for as long as the command takes. Until then the process environment holds
    the same values, for modules that read it when they are imported (Celery's).
    """
    data_dir = resolve_data_dir(settings, root=root).resolve()
    if settings.database_url and settings.redis_url:
        # The key that `run` made with servers of others; where none was made it stays empty.
        if not settings.secret_key and (data_dir / "secrets.json").exists():
            settings = replace(settings, secret_key=ensure_secrets(data_dir).secret_key)
        with _exported(settings):
            yield settings
        return
    with _servers_of(data_dir, settings, tell) as servers:
        filled = servers.fill(settings)
        if not filled.secret_key:
            filled = replace(filled, secret_key=ensure_secrets(data_dir).secret_key)
        with _exported(filled):
            yield filled


def _servers_of(data_dir: Path, settings: Settings, tell: Tell) -> Servers:
    deadline = time.monotonic() + STARTING_WITHIN_S
    while holder(data_dir) is not None:
        running = find_servers(data_dir)
        if running and running.fill(settings).database_url and running.fill(settings).redis_url:
            return running
        if time.monotonic() > deadline:
            raise ServerError(
                f"{data_dir} is held by process {holder(data_dir)}, which runs no servers there. "
                f"Set DATABASE_URL and REDIS_URL to the ones it uses."
            )
        time.sleep(0.1)
    return start_servers(
        data_dir, postgres=not settings.database_url, valkey=not settings.redis_url, tell=tell
    )


@contextlib.contextmanager
def _exported(settings: Settings) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(environment_of(settings))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
