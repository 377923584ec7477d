"""What people do with the products they open: steps of a visit, orders, and what follows them.

A step has a `place`, its order within the visit; the clock comes later.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datasets.simulated_catalogue import Catalogue
from datasets.simulated_people import KIOSK
from datasets.simulated_visits import MID_VISIT, Lists, Opened, Visits
from datasets.simulated_words import CATEGORIES

Ints = NDArray[np.int64]

PAGE_SIZE = 1000
LIST_END = 900
CHECKOUT = 90_000
MAX_LINES = 10
"""Products of one order: its event stays well below the door's size limit."""


@dataclass(frozen=True)
class Orders:
    """The lines of all orders, sorted by order; `order` counts from 0."""

    order: Ints
    visit: Ints
    product: Ints
    quantity: Ints
    value: NDArray[np.float64]

    def starts(self) -> Ints:
        """Give the first line of each order, and the end of the last."""
        count = int(self.order.max(initial=-1)) + 1
        return np.searchsorted(self.order, np.arange(count + 1))


def step(
    kind: str, visit: Ints, place: Ints | int, *, product: Ints | int = -1, other: Ints | int = -1
) -> pd.DataFrame:
    """Make steps of one type; `other` is the row of the list or the number of the order."""
    columns = {"visit": visit, "place": place, "product": product, "other": other}
    return pd.DataFrame(columns, index=np.arange(len(visit))).assign(event_type=kind)


def browsing_steps(
    rng: np.random.Generator, catalogue: Catalogue, visits: Visits, lists: Lists, opened: Opened
) -> list[pd.DataFrame]:
    """Landing, searches, lists, clicks, views and recommendations."""
    rows = np.arange(len(lists.visit))
    top = lists.page * PAGE_SIZE
    asked = lists.searched
    landed = np.flatnonzero(rng.random(len(visits)) < 0.6)
    place = opened.page * PAGE_SIZE + 10 + opened.position * 10
    similar = similar_products(catalogue)[opened.product]
    chosen = (rng.random(len(place)) < 0.06) & (
        catalogue.launch_day[similar] <= visits.day[opened.visit]
    )
    visit, product = opened.visit[chosen], similar[chosen]
    return [
        step("page_view", landed, -1),
        step("search", lists.visit[asked], top[asked], other=rows[asked]),
        step("product_list_view", lists.visit, top + 1, other=rows),
        step("product_click", opened.visit, place, product=opened.product),
        step("product_view", opened.visit, place + 1, product=opened.product),
        step("rec_clicked", visit, place[chosen] + 4, product=product),
        step("product_view", visit, place[chosen] + 5, product=product),
    ]


def similar_products(catalogue: Catalogue) -> Ints:
    """Give each product its nearest neighbour in taste within its category."""
    nearest = np.arange(len(catalogue.category))
    for c in range(len(CATEGORIES)):
        members = np.flatnonzero(catalogue.category == c)
        if len(members) > 1:
            taste = catalogue.taste[members]
            distance = (taste**2).sum(axis=1) - 2 * taste @ taste.T
            np.fill_diagonal(distance, np.inf)
            nearest[members] = members[distance.argmin(axis=1)]
    return nearest


def basket_steps(
    rng: np.random.Generator, catalogue: Catalogue, visits: Visits, opened: Opened
) -> tuple[list[pd.DataFrame], Orders]:
    """Favourites, carts and orders; what suits people they like and buy more often."""
    place = opened.page * PAGE_SIZE + 10 + opened.position * 10
    browser = visits.source[opened.visit] != KIOSK
    liked = (rng.random(len(place)) < 0.07 + 0.05 * opened.fit) & browser
    added = rng.random(len(place)) < 0.14 + 0.1 * opened.fit
    lines = pd.DataFrame({"visit": opened.visit, "place": place, "product": opened.product})
    lines = lines[added].drop_duplicates(["visit", "product"])
    removed = rng.random(len(lines)) < 0.13
    buys = rng.random(len(visits)) < 0.45
    kept = lines[~removed & buys[lines["visit"]]]
    kept = kept[kept.groupby("visit").cumcount() < MAX_LINES].sort_values(["visit", "place"])
    orders = make_orders(rng, catalogue, kept)
    first = orders.starts()[:-1]
    visit, product = column(lines, "visit"), column(lines, "product")
    place_added = column(lines, "place") + 3
    place_removed = place_added[removed] // PAGE_SIZE * PAGE_SIZE + LIST_END
    return [
        step("favorite_add", opened.visit[liked], place[liked] + 2, product=opened.product[liked]),
        step("add_to_cart", visit, place_added, product=product),
        step("remove_from_cart", visit[removed], place_removed, product=product[removed]),
        step("purchase", orders.visit[first], CHECKOUT, other=np.arange(len(first))),
    ], orders


def make_orders(rng: np.random.Generator, catalogue: Catalogue, lines: pd.DataFrame) -> Orders:
    """People buy one of most things, and sometimes several for the home."""
    order, _ = pd.factorize(lines["visit"])
    product = column(lines, "product")
    home = np.array([kind.department == "Home" for kind in CATEGORIES])[catalogue.category[product]]
    several = rng.random(len(product)) < np.where(home, 0.35, 0.06)
    quantity = np.where(several, rng.integers(2, 5, size=len(product)), 1)
    value = np.round(quantity * catalogue.price[product], 2)
    return Orders(order.astype(np.int64), column(lines, "visit"), product, quantity, value)


def login_steps(rng: np.random.Generator, visits: Visits, lists: Lists) -> pd.DataFrame:
    """Those who log in during a visit do so before a page, or on the way to the checkout."""
    visit = np.flatnonzero(visits.login == MID_VISIT)
    pages = np.bincount(lists.visit, minlength=len(visits))[visit]
    page = rng.integers(0, pages + 1)
    return step("login", visit, np.where(page == pages, CHECKOUT - 1, page * PAGE_SIZE - 1))


def column(frame: pd.DataFrame, name: str) -> Ints:
    return np.asarray(frame[name], dtype=np.int64)
