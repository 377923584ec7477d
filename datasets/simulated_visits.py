"""Visits to the simulated shop: when people come, what they are shown, what they open."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from datasets.simulated_catalogue import TASTE_DIMENSIONS, Catalogue
from datasets.simulated_people import KIOSK, TABLET, People
from datasets.simulated_words import CATEGORIES

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

SHOWN = 12
"""Products on one page of a list."""

WEEKDAYS = np.array([1.08, 1.0, 0.97, 0.98, 0.92, 0.95, 1.25])
HOURS = np.array(
    [2.0, 1, 0.6, 0.4, 0.4, 0.6, 1.2, 2.4, 3.4, 4.2, 4.8, 5.2,
     5.8, 5.4, 4.8, 4.6, 4.8, 5.4, 6.2, 7.2, 8.2, 8.0, 6.2, 3.8]
)  # fmt: skip
NEVER, FROM_START, MID_VISIT = range(3)


@dataclass(frozen=True)
class Visits:
    """One row for each visit, in time order; `login` is NEVER, FROM_START or MID_VISIT."""

    person: Ints
    day: Ints
    start_s: Ints
    source: Ints
    device: Ints
    login: Ints
    taste: Floats

    def __len__(self) -> int:
        return len(self.person)


@dataclass(frozen=True)
class Lists:
    """One row for each list that was shown; `shown` holds the products from the top."""

    visit: Ints
    page: Ints
    searched: Bools
    shown: Ints


@dataclass(frozen=True)
class Opened:
    """One row for each product opened from a list; `fit` is how well it suits, near 0."""

    visit: Ints
    page: Ints
    position: Ints
    product: Ints
    fit: Floats


def make_visits(
    rng: np.random.Generator, people: People, count: int, first_day: date, days: int
) -> Visits:
    """Draw `count` visits: Sundays, evenings and the weeks before Christmas are busy."""
    dates = [first_day + timedelta(days=day) for day in range(days)]
    weekday = WEEKDAYS[[day.weekday() for day in dates]]
    weights = weekday * (1 + 0.2 * np.cos(year_angle(dates, 345)))
    day = rng.choice(days, size=count, p=weights / weights.sum())
    hour = rng.choice(24, size=count, p=HOURS / HOURS.sum())
    start_s = day * 86_400 + hour * 3600 + rng.integers(0, 3600, size=count)
    order = np.argsort(start_s, kind="stable")
    day, start_s = day[order], start_s[order]
    person = rng.choice(len(people), size=count, p=people.activity)
    kiosk = rng.random(count) < 0.02
    source = np.where(kiosk, KIOSK, people.source[person])
    chance = rng.random(count)
    login = np.select([chance < 0.6, chance < 0.85], [FROM_START, MID_VISIT], NEVER)
    return Visits(
        person=person,
        day=day,
        start_s=start_s,
        source=source,
        device=np.where(kiosk, TABLET, people.device[person]),
        login=np.where(people.registered[person] & ~kiosk, login, NEVER),
        taste=people.taste[person] + 0.35 * rng.normal(size=(count, TASTE_DIMENSIONS)),
    )


def year_angle(dates: list[date], peak_day: int) -> Floats:
    return np.array([2 * np.pi * (day.timetuple().tm_yday - peak_day) / 365 for day in dates])


def make_lists(
    rng: np.random.Generator, people: People, catalogue: Catalogue, visits: Visits, first_day: date
) -> Lists:
    """Draw the lists of each visit; a visit stays mostly within one or two categories."""
    pages = np.minimum(rng.geometric(0.45, size=len(visits)), 6)
    visit = np.repeat(np.arange(len(visits)), pages)
    page = np.arange(len(visit)) - np.repeat(np.cumsum(pages) - pages, pages)
    chance = people.interest[visits.person] * seasons(visits.day, first_day)
    chance *= np.bincount(catalogue.category, minlength=len(CATEGORIES)) > 0
    limits = np.cumsum(chance, axis=1)
    category = draw_rows(rng, limits)[visit]
    moved = rng.random(len(visit)) < 0.35
    category[moved] = draw_rows(rng, limits[visit[moved]])
    shown = choose_products(rng, catalogue, visits, visit, category)
    return Lists(visit, page, rng.random(len(visit)) < 0.35, shown)


def seasons(day: Ints, first_day: date) -> Floats:
    """Give the demand for each category (columns) on each day (rows), 1 on average."""
    dates = [first_day + timedelta(days=int(d)) for d in range(int(day.max(initial=0)) + 1)]
    by_category = [1 + c.season * np.cos(year_angle(dates, c.peak_day)) for c in CATEGORIES]
    return np.stack(by_category, axis=1)[day]


def draw_rows(rng: np.random.Generator, limits: Floats) -> Ints:
    """Draw one column for each row of cumulated weights."""
    points = rng.random(len(limits)) * limits[:, -1]
    return np.asarray((limits < points[:, None]).sum(axis=1), dtype=np.int64)


def choose_products(
    rng: np.random.Generator, catalogue: Catalogue, visits: Visits, visit: Ints, category: Ints
) -> Ints:
    """Fill each list from its category; -1 where the category has fewer products.

    Popularity, taste and chance add up, as in a Plackett-Luce choice: the top of
    the sums with Gumbel noise is a draw without replacement.
    """
    shown = np.full((len(visit), SHOWN), -1, dtype=np.int64)
    for c in range(len(CATEGORIES)):
        rows = np.flatnonzero(category == c)
        members = np.flatnonzero(catalogue.category == c)
        if not len(rows) or not len(members):
            continue
        scores = 1.1 * visits.taste[visit[rows]] @ catalogue.taste[members].T
        scores += catalogue.log_popularity[members] + rng.gumbel(size=scores.shape)
        early = catalogue.launch_day[members] > visits.day[visit[rows], None]
        scores[early] = -np.inf
        top = np.argsort(-scores, axis=1, kind="stable")[:, :SHOWN]
        chosen = np.where(np.isneginf(np.take_along_axis(scores, top, axis=1)), -1, members[top])
        shown[rows, : chosen.shape[1]] = chosen
    return shown


def open_products(
    rng: np.random.Generator, catalogue: Catalogue, visits: Visits, lists: Lists
) -> Opened:
    """Draw what is opened: the top of a list more often, and what suits the visitor."""
    row, position = np.nonzero(lists.shown >= 0)
    product = lists.shown[row, position]
    visit = lists.visit[row]
    fit = np.tanh((visits.taste[visit] * catalogue.taste[product]).sum(axis=1) / 3)
    opened = rng.random(len(row)) < (0.2 + 0.14 * fit) / (1 + 0.2 * position)
    return Opened(
        visit[opened], lists.page[row[opened]], position[opened], product[opened], fit[opened]
    )
