"""A type of a team's own moves its counter when it is stored, in the one fused statement."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from models.product_metrics import ProductMetrics
from settings import Settings

ROOT = Path(__file__).resolve().parents[2]

STORE = """
import sys
from models.database import make_engine
from tests.builders import store_events

engine = make_engine(sys.argv[1], application="tests")
saved = [{"event_type": name, "product_id": "p1"} for name in ("job_saved", "bookmark")]
print(store_events(engine, *saved).stored)
"""


def test_an_own_type_moves_its_counter(
    engine: Engine, settings: Settings, session: Session, tmp_path: Path
) -> None:
    path = tmp_path / "types.toml"
    path.write_text('[job_saved]\ncounter = "favorites"\nsynonyms = ["bookmark"]\n')

    done = subprocess.run(
        [sys.executable, "-c", STORE, settings.sqlalchemy_url],
        cwd=ROOT,
        env={**os.environ, "EVENT_TYPES_FILE": str(path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "2\n"
    assert session.get_one(ProductMetrics, "p1").total_favorites == 2
