"""A heartbeat beats until the work is done, whether it reaches the database or not."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy.exc import OperationalError

from tasks.heartbeat import heartbeat


def test_it_beats_until_the_work_is_done_and_a_missed_beat_does_no_harm() -> None:
    beats: list[int] = []
    third = threading.Event()

    def beat() -> None:
        beats.append(1)
        if len(beats) == 3:
            third.set()
        raise OperationalError("", {}, Exception("the database is away"))

    with heartbeat(beat, every_s=0.001):
        assert third.wait(30)

    assert all(thread.name != "heartbeat" for thread in threading.enumerate())


def test_it_ends_with_work_that_fails() -> None:
    with pytest.raises(ZeroDivisionError), heartbeat(lambda: None):
        _ = 1 / 0

    assert all(thread.name != "heartbeat" for thread in threading.enumerate())
