"""The simulated shop that the project ships: no real person or product is in it.

People have tastes, products have styles, and both meet: people open, buy and
return what is popular, what is in season and what suits them. The same
arguments give the same shop.
"""

import zlib
from datetime import UTC, date, datetime, timedelta

import numpy as np

from datasets.dataset import Dataset, DatasetError
from datasets.simulated_catalogue import make_catalogue, make_tastes
from datasets.simulated_clock import Stream, put_aftermath, put_times
from datasets.simulated_columns import make_columns
from datasets.simulated_people import make_people
from datasets.simulated_steps import basket_steps, browsing_steps, login_steps
from datasets.simulated_visits import make_lists, make_visits, open_products

EVENTS_PER_VISIT = 13.7
"""Measured with the default sizes; it turns a number of events into one of visits."""


def simulate_shop(
    *,
    last_day: date,
    seed: int = 1,
    products: int = 3000,
    customers: int = 8000,
    days: int = 90,
    events: int = 150_000,
) -> Dataset:
    """Simulate a shop over `days` days that end with `last_day`, in UTC.

    `events` is a target: the number of events comes within a few per cent of it.
    """
    sizes = {"products": products, "customers": customers, "days": days, "events": events}
    for name, size in sizes.items():
        if size < 1:
            raise DatasetError(f"{name} must be >= 1, got {size}")
    if seed < 0:
        raise DatasetError(f"seed must be >= 0, got {seed}")
    rng = np.random.default_rng(seed)
    first_day = last_day - timedelta(days=days - 1)
    tastes = make_tastes(rng)
    catalogue = make_catalogue(rng, tastes, products, days)
    people = make_people(rng, tastes, customers)
    visits = make_visits(rng, people, max(1, round(events / EVENTS_PER_VISIT)), first_day, days)
    lists = make_lists(rng, people, catalogue, visits, first_day)
    opened = open_products(rng, catalogue, visits, lists)
    basket, orders = basket_steps(rng, catalogue, visits, opened)
    steps = [
        *browsing_steps(rng, catalogue, visits, lists, opened),
        *basket,
        login_steps(rng, visits, lists),
    ]
    timed = put_times(rng, visits, steps)
    stream = Stream(put_aftermath(rng, catalogue, visits, orders, timed, days))
    start = datetime(first_day.year, first_day.month, first_day.day, tzinfo=UTC)
    times_ms = stream.times_s * 1000 + int(start.timestamp()) * 1000
    tag = zlib.crc32(repr((seed, *sizes.values(), last_day.isoformat())).encode())
    table = make_columns(
        f"simulated-{tag:08x}-", times_ms, stream, people, catalogue, visits, lists, orders
    )
    return Dataset(
        name="simulated-shop",
        simulated=True,
        description=f"A simulated shop: {products:,} made-up products and {customers:,} "
        f"made-up customers over {days} days, seed {seed}.",
        products=catalogue.products,
        table=table,
        notes=["All of this is simulated: no real person, product or purchase is in it."],
    )
