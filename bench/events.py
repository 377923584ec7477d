"""Make events as a shop's SDK sends them: seeded, of 300 to 500 bytes, with skewed ids."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from uuid import UUID

import orjson

from intake.moment import format_ms

PRODUCTS, PEOPLE = 5_000, 20_000
JITTER_MS = 2_000
TYPES = {
    "product_view": 40,
    "product_list_view": 15,
    "page_view": 15,
    "product_click": 12,
    "search": 6,
    "add_to_cart": 6,
    "favorite_add": 2,
    "remove_from_cart": 2,
    "purchase": 2,
}
_NO_PRODUCT = ("page_view", "search")


@dataclass(frozen=True, slots=True)
class Shape:
    """What the events are about: so many products; the first takes `hot_share` by itself."""

    products: int = PRODUCTS
    hot_share: float = 0.0


USUAL = Shape()


@dataclass(frozen=True, slots=True)
class Plan:
    """Which events to make: how many to a batch, from which seed, and when they happened."""

    events: int
    batch: int
    seed: int
    last_ms: int
    span_ms: int = 60_000
    shape: Shape = USUAL


def make_bodies(plan: Plan) -> list[bytes]:
    """Write the bodies of all requests; the same plan gives the same bytes in every process."""
    texts = [orjson.dumps(event) for event in _make_events(plan)]
    if plan.batch == 1:
        return texts
    return [
        b'{"events":[' + b",".join(texts[start : start + plan.batch]) + b"]}"
        for start in range(0, len(texts), plan.batch)
    ]


def _make_events(plan: Plan) -> Iterator[dict[str, object]]:
    chance = random.Random(plan.seed)
    kinds = chance.choices(list(TYPES), weights=list(TYPES.values()), k=plan.events)
    products = _choose_products(chance, plan.shape, plan.events)
    people = _choose_skewed(chance, PEOPLE, plan.events)
    for index, (kind, product, person) in enumerate(zip(kinds, products, people, strict=True)):
        age_ms = plan.span_ms * (plan.events - index) // plan.events
        happened_ms = plan.last_ms - age_ms - chance.randrange(JITTER_MS)
        yield _make_event(chance, kind, product, person, happened_ms)


def _make_event(
    chance: random.Random, kind: str, product: int, person: int, happened_ms: int
) -> dict[str, object]:
    visit = happened_ms // 1_800_000
    event: dict[str, object] = {
        "event_type": kind,
        "message_id": str(UUID(int=chance.getrandbits(128), version=4)),
        "timestamp": format_ms(happened_ms),
        "anonymous_id": str(
            UUID(int=person * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128, version=4)
        ),
        "session_id": f"s-{person:05d}-{visit}",
        "source": "web" if person % 3 else "android",
        "device_type": "mobile" if person % 2 else "desktop",
        "properties": {
            "price": (product * 37 % 9_000 + 99) / 100,
            "currency": "EUR",
            "category": f"category-{product % 40}",
            "position": chance.randrange(60),
        },
        "context": {"page": f"/products/{product}", "locale": "en-GB", "campaign": "spring-sale"},
    }
    if person % 5 < 2:
        event["user_id"] = f"u-{person:05d}"
    if kind not in _NO_PRODUCT:
        event["product_id"] = f"p-{product:05d}"
    if kind == "purchase":
        event |= {"quantity": 1 + person % 3, "value": (product * 37 % 9_000 + 99) / 100}
    return event


def _choose_products(chance: random.Random, shape: Shape, times: int) -> Sequence[int]:
    chosen = _choose_skewed(chance, shape.products, times)
    if not shape.hot_share:
        return chosen
    return [0 if chance.random() < shape.hot_share else product for product in chosen]


def _choose_skewed(chance: random.Random, count: int, times: int) -> Sequence[int]:
    """Choose numbers below `count`, each as often as one over its rank: a few are seen all day."""
    weights = list(accumulate(1 / (rank + 10) for rank in range(count)))
    return chance.choices(range(count), cum_weights=weights, k=times)
