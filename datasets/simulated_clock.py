"""The clock of the simulated shop: when each step happened, and what came days later."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datasets.simulated_catalogue import Catalogue
from datasets.simulated_people import SERVER
from datasets.simulated_steps import CHECKOUT, Orders, column, step
from datasets.simulated_visits import FROM_START, Visits
from datasets.simulated_words import CATEGORIES

Ints = NDArray[np.int64]

DAY_S = 86_400
WAIT_S = {
    "page_view": 0, "login": 12, "search": 8, "product_list_view": 3, "product_click": 14,
    "product_view": 1, "rec_clicked": 18, "favorite_add": 20, "add_to_cart": 24,
    "remove_from_cart": 20, "purchase": 75,
}  # fmt: skip
"""Mean seconds from the step before."""
RETURN_DAYS = (3, 15)
RATING_DAYS = (4, 26)
RATED = 0.3


@dataclass(frozen=True)
class Stream:
    """All events in time order, one row each.

    `other` is the list of searches and lists, the order of purchases, refunds and
    ratings; `line` the order line of refunds and ratings; `known` says that the
    person was logged in.
    """

    frame: pd.DataFrame

    @property
    def times_s(self) -> Ints:
        return column(self.frame, "time_s")


def put_times(rng: np.random.Generator, visits: Visits, steps: list[pd.DataFrame]) -> pd.DataFrame:
    """Join the steps of each visit, put seconds between them, and say who was logged in."""
    frame = pd.concat(steps, ignore_index=True)
    frame = frame.sort_values(["visit", "place"], kind="stable", ignore_index=True)
    visit = column(frame, "visit")
    means = frame["event_type"].map(WAIT_S).to_numpy(dtype=np.float64)
    waits = np.ceil(rng.exponential(1.0, size=len(frame)) * means).astype(np.int64)
    passed = np.cumsum(waits)
    first = np.searchsorted(visit, visit, side="left")
    login = (frame["event_type"] == "login").to_numpy(dtype=bool)
    logins = np.cumsum(login)
    known = (visits.login[visit] == FROM_START) | (logins - logins[first] + login[first] > 0)
    return frame.assign(
        time_s=visits.start_s[visit] + passed - passed[first], known=known, line=-1, stars=0
    )


def put_aftermath(
    rng: np.random.Generator,
    catalogue: Catalogue,
    visits: Visits,
    orders: Orders,
    timed: pd.DataFrame,
    days: int,
) -> pd.DataFrame:
    """Add refunds and ratings some days after their purchase, and end with the last day."""
    bought = timed[timed["event_type"] == "purchase"].set_index("other")
    lines = np.arange(len(orders.order))
    rates = np.array([kind.return_rate for kind in CATEGORIES])
    returned = rng.random(len(lines)) < rates[catalogue.category[orders.product]]
    rated = rng.random(len(lines)) < RATED
    stars = catalogue.quality[orders.product] + rng.normal(0, 0.8, len(lines)) - 0.9 * returned
    parts = [timed]
    for kind, chosen, window in (
        ("refund", returned, RETURN_DAYS),
        ("rate", rated, RATING_DAYS),
    ):
        line = lines[chosen]
        order = orders.order[line]
        part = step(
            kind, orders.visit[line], CHECKOUT + 1, product=orders.product[line], other=order
        )
        delay_s = rng.integers(window[0] * DAY_S, window[1] * DAY_S, size=len(line))
        parts.append(
            part.assign(
                time_s=bought["time_s"].loc[order].to_numpy() + delay_s,
                known=bought["known"].loc[order].to_numpy(),
                line=line,
                stars=np.clip(np.round(stars[line]), 1, 5).astype(np.int64),
            )
        )
    frame = pd.concat(parts, ignore_index=True)
    frame = frame[frame["time_s"] < days * DAY_S]
    frame = frame.sort_values(["time_s", "visit", "place"], kind="stable", ignore_index=True)
    source = visits.source[column(frame, "visit")]
    return frame.assign(source=np.where(frame["event_type"] == "refund", SERVER, source))
