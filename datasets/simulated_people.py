"""The customers of the simulated shop: who they are and what they like."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets.simulated_catalogue import TASTE_DIMENSIONS, Tastes, category_shares
from datasets.simulated_words import CATEGORIES, COLORS, STYLES

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SOURCES = ("web", "android", "ios", "kiosk", "server")
DEVICES = ("desktop", "mobile", "tablet")
WEB, ANDROID, IOS, KIOSK, SERVER = range(5)
DESKTOP, MOBILE, TABLET = range(3)
LIFESTYLES = 10


@dataclass(frozen=True)
class People:
    """One row each: how often they come, what they like, and what they come with."""

    activity: Floats
    taste: Floats
    interest: Floats
    registered: NDArray[np.bool_]
    source: Ints
    device: Ints

    def __len__(self) -> int:
        return len(self.activity)


def make_people(rng: np.random.Generator, tastes: Tastes, count: int) -> People:
    """Make `count` customers; each follows one of a few lifestyles, with its own turn."""
    lifestyle = rng.integers(0, LIFESTYLES, size=count)
    interests = category_shares() * rng.gamma(0.35, size=(LIFESTYLES, len(CATEGORIES)))
    interest = interests[lifestyle] + 0.03 * category_shares()
    interest *= rng.gamma(1.5, size=interest.shape)
    style = rng.integers(0, len(STYLES), size=(count, 2))
    color = rng.integers(0, len(COLORS), size=(count, 2))
    taste = (
        0.6 * tastes.styles[style].mean(axis=1)
        + 0.6 * tastes.colors[color].mean(axis=1)
        + 0.35 * rng.normal(size=(count, TASTE_DIMENSIONS))
    )
    activity = rng.lognormal(0.0, 1.1, size=count)
    source = rng.choice(3, size=count, p=[0.58, 0.2, 0.22])
    device = np.where(
        source == WEB,
        rng.choice(3, size=count, p=[0.57, 0.37, 0.06]),
        rng.choice([MOBILE, TABLET], size=count, p=[0.93, 0.07]),
    )
    return People(
        activity=activity / activity.sum(),
        taste=taste,
        interest=interest / interest.sum(axis=1, keepdims=True),
        registered=rng.random(count) < 0.62,
        source=source,
        device=device,
    )
