"""A small shop with a known answer, and a larger one that training accepts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml.dataset import Interactions, build_interactions

COLORS = ("red", "blue", "green", "black")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def noon() -> datetime:
    return NOON


@pytest.fixture
def interactions_of() -> Callable[..., Interactions]:
    """Build interactions from rows of (user_id, product_id, days before noon[, weight])."""

    def build(*rows: tuple[Any, ...]) -> Interactions:
        return build_interactions(frame_of(*rows))

    return build


@pytest.fixture
def known_matrix(interactions_of: Callable[..., Interactions]) -> Interactions:
    """Three people met a and b, one of them c too, one person met c and d."""
    return interactions_of(
        ("u1", "a", 0), ("u1", "b", 0),
        ("u2", "a", 0), ("u2", "b", 0),
        ("u3", "a", 0), ("u3", "b", 0), ("u3", "c", 0),
        ("u4", "c", 0), ("u4", "d", 0),
    )  # fmt: skip


@pytest.fixture(scope="session")
def shop() -> tuple[Interactions, pd.DataFrame]:
    """Sixty people, each with a taste for one of four groups of ten products, over 60 days."""
    random = np.random.default_rng(7)
    rows = []
    for person in range(60):
        group = person % 4
        for _ in range(25):
            chosen = group if random.random() < 0.9 else int(random.integers(4))
            number = 10 * chosen + int(random.integers(10))
            rows.append((f"u{person:02d}", f"p{number:02d}", float(random.uniform(0, 60))))
    catalogue = pd.DataFrame(
        {
            "product_id": [f"p{number:02d}" for number in range(41)],
            "name": [f"{COLORS[n // 10 % 4]} bag {n}" for n in range(41)],
            "category": ["bag"] * 41,
            "color": ["red|white", "blue", "green", "black"] * 10 + ["red"],
            "price": [float(number % 7) for number in range(41)],
        }
    )
    return build_interactions(frame_of(*rows)), catalogue


@pytest.fixture(scope="session")
def session_shop() -> tuple[Interactions, pd.DataFrame]:
    """Three hundred visits of three to six products of one group, each by another person."""
    random = np.random.default_rng(11)
    rows = []
    for visit in range(300):
        group, begun = visit % 4, float(random.uniform(0.1, 30))
        for step in range(int(random.integers(3, 7))):
            product = 10 * group + int(random.integers(10))
            rows.append((f"v{visit:03d}", f"p{product:02d}", begun - step / 1440))
    catalogue = pd.DataFrame({"product_id": [f"p{number:02d}" for number in range(40)]})
    return build_interactions(frame_of(*rows)), catalogue


def frame_of(*rows: tuple[Any, ...]) -> pd.DataFrame:
    """Make the frame that `build_interactions` reads; the weight is 1 unless given."""
    full = [(*row, 1.0)[:4] for row in rows]
    frame = pd.DataFrame(full, columns=["user_id", "product_id", "days", "weight"])
    age = pd.to_timedelta(frame.pop("days").astype(float), unit="D")
    return frame.assign(occurred_at=pd.Timestamp(NOON) - age)
