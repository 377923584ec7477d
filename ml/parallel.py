"""Two things at a time: numpy and scipy let other threads run while they compute."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from threadpoolctl import threadpool_limits

THREADS = 2

Result = TypeVar("Result")


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Let each linear algebra call use one thread.

    Sums of floats depend on how many threads share them: with one, equal data
    give equal bytes on any machine with the same libraries.
    """
    with threadpool_limits(limits=1):
        yield


def run_all(jobs: Iterable[Callable[[], Result]], *, threads: int = THREADS) -> list[Result]:
    """Run jobs that do not depend on each other; return their results in order.

    The first exception is raised, after all have ended.
    """
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(job) for job in jobs]
    return [future.result() for future in futures]
