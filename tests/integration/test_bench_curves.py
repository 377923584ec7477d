"""`bench curves`: a Millrace that has events already, measured as a whole."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from sqlalchemy.orm import Session

from bench.seed import Plan
from cli.bench_curves import curves
from cli.bench_stack import fill
from models.dirty_days import read_dirty_days
from settings import Settings
from tests.builders import NOW, count_events


def test_what_is_stored_before_waits_for_no_aggregation(
    settings: Settings, session: Session
) -> None:
    fill(settings, Plan(500, 3, 20, 40, seed=1, now=NOW))

    assert count_events(session) == 500
    assert read_dirty_days(session) == []


def test_a_point_is_measured_from_http_to_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    small = ["--stored", "300", "--days", "2", "--rounds", "1", "--events", "200"]

    result = CliRunner().invoke(curves, ["--only", "stored", *small, "--json"])

    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout.splitlines()[-1])
    (point,) = answer["results"]
    assert (point["stored"], point["batch"], point["hot_share"]) == (300, 100, 0.0)
    assert 0 < point["stored_today"] < 300
    assert point["ratio_to_copy"] > 0
    assert point["cpu_over_copy"] > 0
    assert answer["limits"] == []
