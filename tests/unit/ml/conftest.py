"""A small shop with a known answer, and a larger one that training accepts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml.artefact import FORMAT_VERSION, describe, pack, unpack
from ml.catalogue import align_catalogue, list_products
from ml.content import ContentNeighbours
from ml.dataset import Interactions, build_interactions
from ml.parallel import single_threaded_blas
from ml.parts import LISTS, SIMILAR
from ml.recipe import Choices, ListWeights, Recipe
from ml.result import model_arrays
from ml.serving import Model
from ml.signals import SIGNALS, TRENDS
from ml.similar import SimilarTable, make_similar
from ml.sources import ProductWords, Sources, fit_sources
from ml.splits.split import met_matrix

COLORS = ("red", "blue", "green", "black")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True, scope="session")
def single_threads() -> Iterator[None]:
    """Small matrices: more threads would only wait for each other."""
    with single_threaded_blas():
        yield


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


@pytest.fixture(scope="session")
def lively_shop() -> tuple[Interactions, pd.DataFrame]:
    """Forty people who come back to buy again what they viewed, in visits, over 60 days.

    Of the catalogue nobody met p24 to p27, which share words with others, and p28, which has none.
    """
    random = np.random.default_rng(5)
    rows = []
    for person in range(40):
        for visit in range(6):
            began = float(random.uniform(0.1, 60))
            session = f"s{person}-{visit}" if random.random() < 0.5 else None
            for step in range(int(random.integers(2, 6))):
                chosen = person % 3 if random.random() < 0.85 else int(random.integers(3))
                number = 8 * chosen + int(8 * random.random() ** 2)
                bought = bool(random.random() < 0.3)
                rows.append(
                    (f"u{person:02d}", f"p{number:02d}", began - step / 1440, 1.0 + 4.0 * bought,
                     bought, session)
                )  # fmt: skip
    frame = frame_of(*(row[:4] for row in rows)).assign(
        bought=[row[4] for row in rows], session_id=[row[5] for row in rows]
    )
    catalogue = pd.DataFrame(
        {
            "product_id": [f"p{number:02d}" for number in range(29)],
            "name": [f"{COLORS[n % 24 // 8]} shirt {n % 8}" for n in range(28)] + [None],
            "color": [COLORS[n % 24 // 8] for n in range(28)] + [None],
        }
    )
    return build_interactions(frame), catalogue


@dataclass(frozen=True)
class Served:
    """A recipe fitted on a shop, and the model that is served from its packed bytes."""

    data: Interactions
    recipe: Recipe
    sources: Sources
    similar: SimilarTable
    content: ContentNeighbours
    arrays: dict[str, Any]
    manifest: dict[str, Any]
    model: Model


@pytest.fixture(scope="session")
def serve() -> Callable[..., Served]:
    """Fit the sources of a recipe and serve all its lists."""

    def fit(shop: tuple[Interactions, pd.DataFrame], recipe: Recipe) -> Served:
        interactions, catalogue = shop
        data = interactions.with_products(list_products(catalogue, interactions.product_ids))
        products = align_catalogue(catalogue, data.product_ids)
        content = ContentNeighbours(30).fit(products)
        sources = fit_sources(recipe.choices, data, ProductWords.of(products), now=NOON.timestamp())
        weights = recipe.lists.get(SIMILAR, ListWeights())
        similar = make_similar(sources, weights, met_matrix(data), data.product_ids)
        arrays = model_arrays(recipe, sources, similar, content, products, data.product_ids)
        manifest = {
            "format_version": FORMAT_VERSION,
            "recipe": recipe.to_dict(),
            "parts": {name: {"status": "promoted"} for name in recipe.lists},
        }
        packed = pack(arrays, manifest)
        manifest = describe(packed, manifest)
        unpacked = unpack(packed, manifest)
        model = Model(unpacked, manifest)
        return Served(data, recipe, sources, similar, content, unpacked, manifest, model)

    return fit


@pytest.fixture(scope="session")
def every_signal() -> Recipe:
    """A recipe whose every list hears every signal and trend, some of them against the product."""
    random = np.random.default_rng(9)

    def draw(names: Any) -> dict[str, tuple[float, float]]:
        return {name: tuple(random.normal(0.3, 0.5, 2).tolist()) for name in names}

    return Recipe(Choices(), {name: ListWeights(draw(SIGNALS), draw(TRENDS)) for name in LISTS})


@pytest.fixture(scope="session")
def served(
    lively_shop: tuple[Interactions, pd.DataFrame], every_signal: Recipe, serve: Any
) -> Served:
    """The lively shop, served by every signal."""
    return serve(lively_shop, every_signal)
