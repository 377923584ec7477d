"""Memory by process: what is shared counts once."""

from __future__ import annotations

import os
import sys

import pytest

from bench.memory import Memory, MemoryUnreadable, Total, read_memory

linux = pytest.mark.skipif(sys.platform != "linux", reason="PSS is Linux's")
NOBODY = 2**22 + 1


@linux
def test_the_memory_of_a_process_is_read_with_its_shared_part() -> None:
    (mine,) = read_memory({"tests": [os.getpid()]})

    assert (mine.group, mine.processes) == ("tests", 1)
    assert 0 <= mine.shared_mb <= mine.pss_mb <= mine.rss_mb
    assert mine.pss_mb > 1


@linux
def test_a_process_that_has_ended_counts_nothing() -> None:
    (mine,) = read_memory({"tests": [os.getpid(), NOBODY]})

    assert mine.processes == 1


def test_a_system_that_tells_nothing_is_no_small_figure() -> None:
    with pytest.raises(MemoryUnreadable, match="PSS needs Linux"):
        read_memory({"gone": [NOBODY]})


@pytest.mark.parametrize(("limit_mb", "ok"), [(30, True), (29, False)])
def test_a_total_stands_beside_its_limit(limit_mb: int, ok: bool) -> None:
    groups = [Memory("web", 2, 10.5, 20.0, 0.0), Memory("worker", 1, 19.5, 30.0, 0.0)]

    total = Total("production", groups, limit_mb)

    assert (total.pss_mb, total.ok) == (30.0, ok)
