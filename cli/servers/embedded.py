"""Both servers of one data directory, started and stopped together."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType

from cli.servers.directory import choose_run_dir, hold, holder, make_data_dir, make_run_dir
from cli.servers.keeper import Keeper, KeptServer
from cli.servers.postgres import start_postgres
from cli.servers.process import RunningServer, Tell, be_quiet
from cli.servers.valkey import start_valkey
from settings import Settings


@dataclass(frozen=True, slots=True)
class Servers:
    """The servers of a data directory; an address is empty where none was asked for."""

    database_url: str
    redis_url: str
    _cleanup: contextlib.ExitStack
    _started: tuple[KeptServer, ...] = ()

    def stop(self) -> None:
        """Stop what was started; doing it twice is harmless."""
        self._cleanup.close()

    def keep_running(self, tell: Tell) -> None:
        """Start again what was started and ends, until `stop`."""
        self._cleanup.callback(Keeper(self._started, tell).stop)

    def fill(self, settings: Settings) -> Settings:
        """Put the addresses where the settings have none."""
        return replace(
            settings,
            database_url=settings.database_url or self.database_url,
            redis_url=settings.redis_url or self.redis_url,
        )

    def __enter__(self) -> Servers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def start_servers(
    data_dir: Path,
    *,
    postgres: bool = True,
    valkey: bool = True,
    fast: bool = False,
    tell: Tell = be_quiet,
) -> Servers:
    """Take the data directory and start its servers.

    Raises ServerError if another process holds the directory or a server does
    not start; then everything is stopped again. `fast` is for tests: no fsync.
    """
    data_dir = data_dir.resolve()
    make_data_dir(data_dir)
    with contextlib.ExitStack() as cleanup:
        cleanup.enter_context(hold(data_dir))
        run_dir = choose_run_dir(data_dir)
        make_run_dir(run_dir)
        if run_dir != data_dir / "run":
            cleanup.callback(shutil.rmtree, run_dir, ignore_errors=True)
        started: list[KeptServer] = []

        def start(name: str, how: Callable[..., RunningServer]) -> str:
            server = KeptServer(name, partial(how, data_dir, run_dir=run_dir, fast=fast, tell=tell))
            cleanup.callback(server.stop)
            started.append(server)
            return server.url

        redis_url = start("Valkey", start_valkey) if valkey else ""
        database_url = start("PostgreSQL", start_postgres) if postgres else ""
        cleanup.enter_context(_recorded(data_dir, database_url, redis_url))
        return Servers(database_url, redis_url, cleanup.pop_all(), tuple(started))


def find_servers(data_dir: Path) -> Servers | None:
    """Find the servers that another process runs in this data directory."""
    path = _record(data_dir)
    if holder(data_dir) is None or not path.exists():
        return None
    with contextlib.suppress(OSError, ValueError, KeyError):
        record = json.loads(path.read_text("utf-8"))
        return Servers(record["database_url"], record["redis_url"], contextlib.ExitStack())
    return None


@contextlib.contextmanager
def _recorded(data_dir: Path, database_url: str, redis_url: str) -> Iterator[None]:
    path = _record(data_dir)
    draft = path.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps({"database_url": database_url, "redis_url": redis_url}), "utf-8")
    draft.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _record(data_dir: Path) -> Path:
    return data_dir / "run" / "servers.json"
