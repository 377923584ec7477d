"""A snapshot follows the database, and stands while the database is away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from app.snapshot import Snapshot
from models.database import make_engine

T = TypeVar("T")


@contextmanager
def following(snapshot: Snapshot[T]) -> Iterator[Snapshot[T]]:
    snapshot.watch()
    try:
        yield snapshot
    finally:
        snapshot.stop()


def test_a_wanted_value_does_not_wait_for_its_time(engine: Engine) -> None:
    read = threading.Semaphore(0)

    def count(_: Session, known: int) -> int:
        read.release()
        return known + 1

    with following(Snapshot(engine, count, 0, name="test", refresh_s=3600.0)) as snapshot:
        assert snapshot.wait(10.0)
        assert read.acquire(timeout=10.0)
        snapshot.want()
        assert read.acquire(timeout=10.0)


def test_without_the_database_the_value_is_the_one_to_start_with() -> None:
    away = make_engine("postgresql+psycopg://nobody@127.0.0.1:1/nowhere", application="test")

    tried = threading.Event()

    def ask(session: Session, _: int) -> int:
        tried.set()
        return session.execute(text("SELECT 1")).scalar_one()

    with following(Snapshot(away, ask, 0, name="test")) as snapshot:
        assert tried.wait(10.0)
        assert (snapshot.wait(0.0), snapshot.value) == (False, 0)
