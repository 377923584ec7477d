"""`bench train`: a training in a process of its own, on files and on an installation's events."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from bench.seed import Plan, seed
from bench.train import Job, TrainingFailed, run
from cli.bench_train import train
from models.training_runs import TrainingRun
from settings import Settings

MAPPING = """
name = "habits"
[events]
files = ["log.csv"]
[events.columns]
user_id = "person"
product_id = "product"
[events.type]
constant = "purchase"
[events.time]
kind = "iso"
column = "day"
"""
STAGES = ["read", "content", "tune", "weigh", "evaluate", "refit", "pack"]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Forty people, each with a taste for ten of thirty products."""
    random = np.random.default_rng(5)
    lines = ["person,product,day"]
    for person in range(40):
        for visit in range(24):
            product = 10 * (person % 3) + int(random.integers(10))
            lines.append(f"k{person},p{product},2024-01-{1 + visit:02d}T09:00:00Z")
    (tmp_path / "log.csv").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "mapping.toml").write_text(MAPPING, encoding="utf-8")
    return tmp_path


def test_a_training_on_files_tells_each_stage_and_each_limit(shop: Path) -> None:
    result = CliRunner().invoke(train, ["--data", str(shop), "--json"])

    answer = json.loads(result.stdout)
    assert (answer["interactions"], answer["products"]) == (960, 30)
    assert list(answer["seconds"]) == STAGES
    assert answer["total_s"] == pytest.approx(sum(answer["seconds"].values()), abs=0.01)
    assert [item["name"] for item in answer["limits"]] == [
        "total_s", "peak_memory_mb", "artefact_mb",
    ]  # fmt: skip
    assert all(item["value"] > 0 and item["ok"] for item in answer["limits"])


def test_a_training_on_an_installation_keeps_nothing(
    engine: Engine, session: Session, settings: Settings
) -> None:
    plan = Plan(events=3_000, days=10, products=30, people=40, seed=1, now=datetime.now(UTC))
    seed(engine, plan, advance=lambda events: None)
    told: list[str] = []
    job = Job(0, 60.0, 10**9, database_url=settings.sqlalchemy_url, days=30, most=100_000)

    figures = run(job, tell=lambda stage, share: told.append(stage))

    assert figures.interactions > 500
    assert told[0] == "read"
    assert session.scalar(select(func.count()).select_from(TrainingRun)) == 0


def test_too_little_data_is_said_and_no_figure(engine: Engine, settings: Settings) -> None:
    job = Job(0, 60.0, 10**9, database_url=settings.sqlalchemy_url, days=30, most=100)

    with pytest.raises(TrainingFailed, match="too little data: 0 interactions"):
        run(job, tell=lambda stage, share: None)


def test_files_that_cannot_be_read_are_one_sentence(shop: Path) -> None:
    (shop / "log.csv").unlink()

    result = CliRunner().invoke(train, ["--data", str(shop)])

    assert result.exit_code == 1
    assert "log.csv" in result.output
    assert "Traceback" not in result.output
