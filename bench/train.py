"""One training in a process of its own: `python -m bench.train`, its job on standard input.

A process of its own, so that its peak of memory is that of the training. It writes a line of JSON
for each stage that begins, and the figures as the last line.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bench.limits import Limit

if TYPE_CHECKING:
    import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
MB = 1_000_000
MOST_S, MOST_MEMORY_MB = 60.0, 1500.0
#: Megabytes that the artefact may have for each so many products; fewer products count as these.
MOST_ARTEFACT_MB, ARTEFACT_PRODUCTS = 20.0, 10_000


class TrainingFailed(Exception):
    """Say why there are no figures."""


class Job(msgspec.Struct):
    """What to train on: the files of `data`, or the last days of a database."""

    seed: int
    budget_s: float
    memory_bytes: int
    data: str | None = None
    mapping: str | None = None
    database_url: str = ""
    days: int = 0
    most: int = 0


class Figures(msgspec.Struct):
    """What a training took, and what came of it. `seconds` are by stage, reading is the first."""

    status: str
    reason: str
    interactions: int
    products: int
    seconds: dict[str, float]
    cpu_s: float
    peak_memory_mb: float
    artefact_mb: float

    @property
    def total_s(self) -> float:
        """Give the seconds of all stages."""
        return round(sum(self.seconds.values()), 2)

    def limits(self) -> list[Limit]:
        """Hold the figures against the limits."""
        most_mb = MOST_ARTEFACT_MB * max(1.0, self.products / ARTEFACT_PRODUCTS)
        return [
            Limit("total_s", self.total_s, MOST_S),
            Limit("peak_memory_mb", self.peak_memory_mb, MOST_MEMORY_MB),
            Limit("artefact_mb", self.artefact_mb, round(most_mb, 1)),
        ]


def run(job: Job, *, tell: Callable[[str, float], None]) -> Figures:
    """Train in another process; `tell(stage, share)` follows it.

    Raises TrainingFailed when there is nothing to train on; a crash tells itself on stderr.
    """
    arguments = [sys.executable, "-m", "bench.train"]
    with subprocess.Popen(
        arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode(job) + b"\n")
        process.stdin.close()
        last = b""
        for last in process.stdout:
            stage = msgspec.json.decode(last)
            if "share" in stage:
                tell(stage["stage"], stage["share"])
    if process.returncode:
        raise TrainingFailed("the training ended; its message is above")
    answer = msgspec.json.decode(last)
    if "failed" in answer:
        raise TrainingFailed(answer["failed"])
    return msgspec.convert(answer, Figures)


def main() -> None:
    """Carry out the job of standard input."""
    from datasets.dataset import DatasetError

    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)
    try:
        _write(_train(job))
    except (DatasetError, TrainingFailed) as error:
        _write({"failed": str(error)})


def _train(job: Job) -> Figures:
    from ml.budget import Budget
    from ml.dataset import build_interactions
    from ml.train import train

    _tell("read", 0.0)
    began_s = time.monotonic()
    frame, catalogue, now = _read_files(job) if job.data else _read_database(job)
    interactions = build_interactions(frame)
    del frame
    read_s = round(time.monotonic() - began_s, 3)
    result = train(
        interactions,
        catalogue,
        now=now,
        seed=job.seed,
        budget=Budget(job.budget_s, job.memory_bytes),
        progress=_tell,
    )
    if result.artefact is None:
        raise TrainingFailed(result.reason)
    spent = os.times()
    return Figures(
        status=result.status,
        reason=result.reason,
        interactions=result.num_interactions,
        products=result.num_products,
        seconds={"read": read_s, **result.seconds},
        cpu_s=round(spent.user + spent.system + spent.children_user + spent.children_system, 2),
        peak_memory_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MB, 1),
        artefact_mb=round(len(result.artefact) / MB, 2),
    )


def _read_files(job: Job) -> tuple[pd.DataFrame, pd.DataFrame, datetime]:
    """Read a data set as its first task has it; it is trained on as of its last event."""
    from datasets.interest import read_shop

    shop = read_shop(Path(str(job.data)), Path(job.mapping) if job.mapping else None)
    frame = shop.interactions(shop.tasks[0])
    last_s = frame["occurred_at"].max().timestamp()
    return frame, shop.catalogue, datetime.fromtimestamp(last_s, UTC) + timedelta(seconds=1)


def _read_database(job: Job) -> tuple[pd.DataFrame, pd.DataFrame, datetime]:
    from models.database import make_engine
    from tasks.training_frames import read_frames

    now = datetime.now(UTC)
    engine = make_engine(job.database_url, application="bench")
    since = now - timedelta(days=job.days)
    frames = read_frames(engine, since=since, until=now, most=job.most)
    engine.dispose()
    return frames.interactions, frames.catalogue, now


def _tell(stage: str, share: float) -> None:
    _write({"stage": stage, "share": share})


def _write(answer: object) -> None:
    print(msgspec.json.encode(answer).decode(), flush=True)


if __name__ == "__main__":
    main()
