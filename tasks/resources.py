"""What a worker process holds: settings, engine, inbox. Made after the fork, on first use."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import redis
from sqlalchemy import Engine

import inbox
from models.database import make_engine
from settings import Settings, read_settings, resolve_spool_dir
from spool import Spool
from tasks.ingest import Drainer


@dataclass(frozen=True, slots=True)
class Resources:
    """The connections of one process."""

    settings: Settings
    engine: Engine
    redis: redis.Redis
    drainer: Drainer
    #: That of the web processes on this machine, if there are any.
    spool: Spool | None


def resources() -> Resources:
    """Give this process's resources. Keyed by process: nothing crosses a fork."""
    return _make(os.getpid())


@lru_cache(maxsize=1)
def _make(pid: int) -> Resources:
    settings = read_settings()
    engine = make_engine(settings.sqlalchemy_url, application="worker")
    client = inbox.connect(settings.redis_url, timeout_s=10.0)
    drainer = Drainer(
        engine=engine,
        client=client,
        # Process ids come again after a restart, so a random part keeps consumers apart.
        consumer=f"{socket.gethostname()}-{pid}-{os.urandom(4).hex()}",
        zone=settings.report_timezone,
        secret_key=settings.secret_key,
        max_rows=settings.drain_rows,
        reclaim_s=settings.inbox_reclaim_s,
        within_s=settings.store_timeout_s,
    )
    folder = resolve_spool_dir(settings, root=Path(__file__).resolve().parents[1])
    spool = None if folder is None else Spool(folder, max_bytes=settings.spool_max_bytes)
    return Resources(settings=settings, engine=engine, redis=client, drainer=drainer, spool=spool)
