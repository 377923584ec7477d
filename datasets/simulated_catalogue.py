"""The catalogue of the simulated shop, with the hidden facts that steer its customers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets.dataset import Product
from datasets.simulated_words import CATEGORIES, COLORS, STYLES

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TASTE_DIMENSIONS = 8
"""Products and people lie in one space of taste; near means liked."""


@dataclass(frozen=True)
class Catalogue:
    """`products` for the shop; the arrays, in the same order, for the simulation.

    `launch_day` counts from the first day; a product is not shown before it.
    """

    products: list[Product]
    category: Ints
    price: Floats
    taste: Floats
    log_popularity: Floats
    launch_day: Ints
    quality: Floats
    queries: list[str]


@dataclass(frozen=True)
class Tastes:
    """Where styles and colours lie in the space of taste."""

    styles: Floats
    colors: Floats


def make_tastes(rng: np.random.Generator) -> Tastes:
    return Tastes(
        styles=rng.normal(size=(len(STYLES), TASTE_DIMENSIONS)),
        colors=rng.normal(size=(len(COLORS), TASTE_DIMENSIONS)),
    )


def category_shares() -> Floats:
    shares = np.array([category.share for category in CATEGORIES])
    return np.asarray(shares / shares.sum())


def make_catalogue(rng: np.random.Generator, tastes: Tastes, count: int, days: int) -> Catalogue:
    """Make `count` products; one in ten is launched within the days."""
    category = np.sort(rng.choice(len(CATEGORIES), size=count, p=category_shares()))
    noun, material, style, color = draw_designs(rng, category)
    price = draw_prices(rng, category)
    level = price / np.array([CATEGORIES[c].price for c in category])
    taste = (
        0.65 * tastes.styles[style]
        + 0.55 * tastes.colors[color]
        + 0.5 * rng.normal(size=(count, TASTE_DIMENSIONS))
    )
    taste[:, 0] += np.log(level)
    new = rng.random(count) < 0.1
    products = []
    names = [
        f"{CATEGORIES[c].materials[m].lower()} {CATEGORIES[c].nouns[n]}"
        for c, m, n in zip(category, material, noun, strict=True)
    ]
    stock = np.where(rng.random(count) < 0.02, 0, rng.poisson(40, size=count))
    for i, name in enumerate(names):
        kind = CATEGORIES[category[i]]
        product: Product = {
            "product_id": f"P{i + 1:05d}",
            "name": f"{STYLES[style[i]].capitalize()} {name}, {COLORS[color[i]]}",
            "category": kind.name,
            "price": float(price[i]),
            "color": COLORS[color[i]],
            "material": kind.materials[material[i]].lower(),
            "size": str(rng.choice(kind.sizes)),
            "attributes": {"department": kind.department, "style": STYLES[style[i]]},
            "active": True,
            "stock": int(stock[i]),
        }
        if kind.genders:
            product["gender"] = str(rng.choice(kind.genders))
        products.append(product)
    return Catalogue(
        products=products,
        category=category,
        price=price,
        taste=taste,
        log_popularity=-0.9 * np.log(1.0 + rng.permutation(count)),
        launch_day=np.where(new, rng.integers(0, days, size=count), 0),
        quality=rng.normal(4.1, 0.45, size=count),
        queries=[
            f"{COLORS[color[i]]} {CATEGORIES[category[i]].nouns[noun[i]]}" if i % 2 else name
            for i, name in enumerate(names)
        ],
    )


def draw_designs(rng: np.random.Generator, category: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Draw noun, material, style and colour; no design comes twice before all have come."""
    designs = np.empty((4, len(category)), dtype=np.int64)
    for c, kind in enumerate(CATEGORIES):
        members = np.flatnonzero(category == c)
        shape = (len(kind.nouns), len(kind.materials), len(STYLES), len(COLORS))
        space = rng.permutation(int(np.prod(shape)))
        designs[:, members] = np.unravel_index(space[np.arange(len(members)) % len(space)], shape)
    return designs[0], designs[1], designs[2], designs[3]


def draw_prices(rng: np.random.Generator, category: Ints) -> Floats:
    """Log-normal around the median of the category, and as shops write it: 34.99."""
    medians = np.array([CATEGORIES[c].price for c in category])
    spreads = np.array([CATEGORIES[c].spread for c in category])
    prices = medians * np.exp(spreads * rng.normal(size=len(category)))
    return np.round(np.maximum(np.round(prices), 3) - 0.01, 2)
