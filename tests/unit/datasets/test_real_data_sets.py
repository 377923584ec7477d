"""The real data sets have their published counts; they are read where they are present."""

import os
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from datasets import read_dataset

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("MILLRACE_DATA_DIR", ROOT / ".." / "shared" / "data"))
LAST_DAY = date(2026, 3, 31)

pytestmark = pytest.mark.data

PUBLISHED = {
    "online-retail-uci": (541_909, 4_037, 374),
    "eshop-clothing-2008": (165_474, 217, 135),
    "tmall-brand-events-2014": (182_880, 9_531, 123),
    "movielens-100k": (100_000, 1_682, 215),
    "amazon-beauty-2014": (198_502, 12_101, 90),
    "diginetica-sessions": (906_140, 43_097, 90),
}
TYPES = {
    "online-retail-uci": {"purchase": 531_283, "refund": 10_626},
    "eshop-clothing-2008": {"product_click": 165_474},
    "tmall-brand-events-2014": {
        "product_click": 174_539,
        "purchase": 6_984,
        "favorite_add": 1_204,
        "add_to_cart": 153,
    },
    "movielens-100k": {"rate": 100_000},
    "amazon-beauty-2014": {"review_submit": 198_502},
    "diginetica-sessions": {"product_view": 906_140},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_real_data_set_has_its_published_counts(name):
    if not (DATA / name).is_dir():
        pytest.skip(f"{name} is not present")

    dataset = read_dataset(DATA / name, last_day=LAST_DAY)

    days = (dataset.last_day - dataset.first_day).days + 1
    assert dataset.name == name
    assert (dataset.event_count, len(dataset.products), days) == PUBLISHED[name]
    assert dataset.last_day == LAST_DAY
    catalogue = {product["product_id"] for product in dataset.products}
    types: Counter[str] = Counter()
    ids, before = set(), ""
    for event in dataset.events():
        types[event["event_type"]] += 1
        ids.add(event["message_id"])
        assert event["occurred_at"] >= before
        assert event.get("product_id") in catalogue or "entity_id" in event
        assert "user_id" in event or "anonymous_id" in event
        before = event["occurred_at"]
    assert types == TYPES[name]
    assert len(ids) == dataset.event_count
