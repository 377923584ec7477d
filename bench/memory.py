"""How much memory each process of a Millrace takes, as Linux shares it out among processes.

PSS counts a page that several processes share once, in parts: what a worker has from before its
fork, a library, PostgreSQL's buffers. So the sums are what the machine really has to give.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

MB = 1_000_000
_FIGURES = re.compile(r"^(Rss|Pss|Pss_Shmem):\s+(\d+) kB", re.M)


class MemoryUnreadable(Exception):
    """This system does not tell how processes share their memory."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What the processes of a group take, in megabytes.

    `shared_mb` is the part of `pss_mb` in shared memory: the pages that PostgreSQL keeps, up to its
    shared_buffers.
    """

    group: str
    processes: int
    pss_mb: float
    rss_mb: float
    shared_mb: float


@dataclass(frozen=True, slots=True)
class Total:
    """The memory of some groups together, beside its limit."""

    name: str
    groups: list[Memory]
    limit_mb: int

    @property
    def pss_mb(self) -> float:
        """Give what all groups take."""
        return round(sum(group.pss_mb for group in self.groups), 1)

    @property
    def ok(self) -> bool:
        """Tell whether it is within the limit."""
        return self.pss_mb <= self.limit_mb


def read_memory(groups: Mapping[str, Iterable[int]]) -> list[Memory]:
    """Read the memory of processes by group. Raises MemoryUnreadable where Linux does not tell."""
    return [_read_group(name, list(pids)) for name, pids in groups.items()]


def _read_group(name: str, pids: list[int]) -> Memory:
    found = [figures for pid in pids if (figures := _read_process(pid))]
    if pids and not found:
        raise MemoryUnreadable(f"/proc/{pids[0]}/smaps_rollup cannot be read: PSS needs Linux")
    sums = {key: sum(item[key] for item in found) / MB for key in ("Pss", "Rss", "Pss_Shmem")}
    return Memory(
        group=name,
        processes=len(found),
        pss_mb=round(sums["Pss"], 1),
        rss_mb=round(sums["Rss"], 1),
        shared_mb=round(sums["Pss_Shmem"], 1),
    )


def _read_process(pid: int) -> dict[str, int]:
    # Between the list of processes and this one may have ended.
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        return {name: int(kb) * 1024 for name, kb in _FIGURES.findall(text)}
    return {}
