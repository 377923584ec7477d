"""The export against a plain COPY of the same columns, in turns, and the memory it takes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import orjson
import psycopg
from sqlalchemy import Engine

from bench.limits import Limit
from models.event_list import EventFilter
from models.export import EXPORTED, FORMS, read_chunks

#: The export's rate, as a part of plain COPY's; and its peak memory for five times the rows.
LEAST_RATE, MOST_GROWTH = 0.333, 1.25
_GROWTH = 5
# A process of its own, so that its peak is that of the export.
_ALONE = """
import resource, sys
from bench.export import count_exported
from models.database import make_engine
engine = make_engine(sys.argv[1], application="bench")
rows = count_exported(engine, sys.argv[2], limit=int(sys.argv[3]))
print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@dataclass(frozen=True, slots=True)
class Result:
    """The rates of one form and of plain COPY, and the peak memory at two sizes."""

    format: str
    rows: int
    rows_per_s: float
    copy_rows_per_s: float
    memory_mb: dict[int, float]

    @property
    def ratio(self) -> float:
        """Give the part of plain COPY's rate."""
        return self.rows_per_s / self.copy_rows_per_s

    def as_answer(self) -> dict[str, Any]:
        """Give the figures by name."""
        return {
            "format": self.format,
            "rows": self.rows,
            "rows_per_s": round(self.rows_per_s),
            "copy_rows_per_s": round(self.copy_rows_per_s),
            "ratio_to_copy": round(self.ratio, 3),
            "memory_mb_by_rows": {str(rows): size for rows, size in self.memory_mb.items()},
            "limits": [item.as_answer() for item in self.limits()],
        }

    def limits(self) -> list[Limit]:
        """Hold the figures against the limits."""
        growth = self.memory_mb[max(self.memory_mb)] / self.memory_mb[min(self.memory_mb)]
        return [
            Limit(f"{self.format}: rate / COPY", round(self.ratio, 3), LEAST_RATE, is_most=False),
            Limit(f"{self.format}: memory of all / of a fifth", round(growth, 2), MOST_GROWTH),
        ]


def measure(
    engine: Engine, url: str, *, format_: str, rows: int, rounds: int, tell: Callable[[str], None]
) -> Result:
    """Measure one form: plain COPY and the export in turns, then the memory."""
    plain, exported = [], []
    count = 0
    for number in range(rounds):
        tell(f"{format_}: round {number + 1} of {rounds}")
        count, seconds = _timed(lambda: copy_plainly(url, limit=rows))
        plain.append(count / seconds)
        count, seconds = _timed(lambda: count_exported(engine, format_, limit=rows))
        exported.append(count / seconds)
    tell(f"{format_}: memory")
    sizes = (max(count // _GROWTH, 1), count)
    return Result(
        format=format_,
        rows=count,
        rows_per_s=median(exported),
        copy_rows_per_s=median(plain),
        memory_mb=dict(_peak(url, format_, limit=size) for size in sizes),
    )


def copy_plainly(url: str, *, limit: int) -> int:
    """Read the same columns by one COPY, as fast as the driver does."""
    columns = ", ".join(EXPORTED.values())
    statement = f"COPY (SELECT {columns} FROM events LIMIT {limit}) TO STDOUT (FORMAT csv)"
    with (
        psycopg.connect(
            url.replace("+psycopg", "", 1), autocommit=True, application_name="millrace bench"
        ) as connection,
        connection.cursor().copy(statement.encode()) as copy,
    ):
        return sum(1 for _ in copy)


def count_exported(engine: Engine, format_: str, *, limit: int) -> int:
    """Read an export to its end and throw it away."""
    chunks = read_chunks(engine, EventFilter(), form=FORMS[format_], limit=limit)
    return sum(chunk.rows for chunk in chunks)


def _timed(work: Callable[[], int]) -> tuple[int, float]:
    began_s = time.monotonic()
    count = work()
    return count, time.monotonic() - began_s


def _peak(url: str, format_: str, *, limit: int) -> tuple[int, float]:
    arguments = [sys.executable, "-c", _ALONE, url, format_, str(limit)]
    told = subprocess.run(arguments, check=True, capture_output=True)
    rows, kilobytes = told.stdout.split()
    return int(rows), round(int(kilobytes) / 1024, 1)


def write_answer(results: list[Result], facts: dict[str, Any]) -> str:
    """Write the figures as one JSON object."""
    return orjson.dumps({"results": [item.as_answer() for item in results], **facts}).decode()
