"""Known layouts are found by file names and columns, and read as their mapping says."""

import re
import tomllib
from datetime import date
from pathlib import Path

import pytest

from datasets import DatasetError, layouts, read_dataset
from datasets.mapping import EventsRule, ProductsRule
from datasets.rules import TimeRule

DOCS = Path(__file__).parents[3] / "docs" / "data-sets.md"

LINES = """\
invoice,stock_code,quantity,ts,unit_price,customer_id,country
1,85123A,6,2010-12-01 08:26,2.55,17850,France
1,85123A,6,2010-12-01 08:26,2.55,17850,France
2,85123A,1,2010-12-02 08:26,2.55,,France
C3,85123A,-1,2010-12-03 08:26,2.55,17850,France
4,POST,1,2010-12-04 08:26,18,17850,France
5,85123A,-9,2010-12-05 08:26,0,,France
"""
GOODS = """\
stock_code,description,price,first_sold,lines,colour,material,size,category
85123A,WHITE HEART,2.95,2010-12-01 08:26,9,white|red,,,heart
POST,POSTAGE,18,2010-12-01 08:26,9,,,,other
"""


def test_lines_of_invoices_are_found_and_each_becomes_one_event(tiny):
    tiny.write("lines.csv.gz", LINES)
    tiny.write("products.csv", GOODS)

    dataset = tiny.read()
    events = list(dataset.events())

    assert dataset.name == "online-retail-uci"
    assert [event["event_type"] for event in events] == [
        "purchase", "purchase", "purchase", "refund", "purchase", "refund",
    ]  # fmt: skip
    assert [event["value"] for event in events] == [15.3, 15.3, 2.55, 2.55, 18.0, 0.0]
    assert events[2]["anonymous_id"] == "guest-2"
    assert events[3]["session_id"] == "C3"
    assert events[4]["entity_id"] == "POST"
    assert [item["product_id"] for item in dataset.products] == ["85123A"]
    assert dataset.products[0]["color"] == "white"


def test_the_directory_name_does_not_matter_but_the_columns_do(tiny):
    tiny.write("lines.csv", LINES.replace("stock_code", "sku"))
    tiny.write("products.csv", GOODS)

    with pytest.raises(DatasetError, match="has none of the known layouts") as error:
        tiny.read()

    assert "docs/data-sets.md" in str(error.value)
    assert "it has: lines.csv, products.csv" in str(error.value)


def test_a_directory_that_fits_two_layouts_is_refused(tiny):
    tiny.write("lines.csv", LINES)
    tiny.write("products.csv", GOODS)
    tiny.write("train.csv", "session_id,items\n1,a b\n")

    with pytest.raises(DatasetError, match=r"several layouts \(diginetica-sessions, online-retail"):
        tiny.read()


def test_a_mapping_in_the_directory_goes_before_the_known_layouts(tiny):
    tiny.write("train.csv", "session_id,items\n1,a b\n")
    tiny.map(files="train.csv", columns='user_id = "session_id"', time='kind = "order"')

    assert tiny.read().name == "tiny"


def test_an_empty_directory_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="it has: nothing"):
        read_dataset(tmp_path, last_day=date(2026, 1, 1))


def test_every_bundled_mapping_is_described_and_documented():
    text = DOCS.read_text(encoding="utf-8")

    for mapping in layouts.bundled_mappings():
        assert mapping.description
        assert f"`{mapping.name}`" in text


def test_every_key_of_a_mapping_is_documented():
    text = DOCS.read_text(encoding="utf-8")

    for rule in (EventsRule, ProductsRule, TimeRule):
        for key in rule.__dataclass_fields__:
            assert re.search(rf"\b{key}\b", text), key


def test_the_worked_example_of_the_docs_works(tiny):
    text = DOCS.read_text(encoding="utf-8")
    blocks = dict(
        re.findall(r"`(orders\.csv|goods\.csv|mapping\.toml)`:\n\n```\w+\n(.*?)```", text, re.S)
    )
    for name, block in blocks.items():
        tiny.write(name, block)

    dataset = tiny.read()

    assert len(blocks) == 3
    assert dataset.name == tomllib.loads(blocks["mapping.toml"])["name"]
    assert [event["event_type"] for event in dataset.events()] == [
        "product_view", "purchase", "refund",
    ]  # fmt: skip
    for note in dataset.notes:
        assert note in text
