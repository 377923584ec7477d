"""The fast reader and the contract: two ways to read an event, one result."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intake.compiled import read_fast
from intake.request import Reading, read_request, read_values
from intake.rows import Row, Sender
from tests.builders import NOW_MS, WIDE_RULES
from tests.strategies import event_texts

# With an idempotency key each event has an id that can be compared.
SENDER = Sender(received_ms=NOW_MS, idempotency_key="request")


def read_texts(*texts: str) -> Reading:
    body = '{"events":[' + ",".join(texts) + "]}"
    return read_request(body.encode(), sender=SENDER, rules=WIDE_RULES)


def plain(row: Row) -> dict[str, Any]:
    """Give a row as PostgreSQL will read it; a null in an item is as good as none."""
    fields: dict[str, Any] = orjson.loads(msgspec.json.encode(row))
    for item in fields.get("items", []):
        for name in [name for name, value in item.items() if value is None]:
            del item[name]
    return fields


@given(event_texts)
def test_both_ways_of_reading_give_the_same_row(text: str) -> None:
    fast = read_texts(text)
    slow = read_values([_decoded(text)], sender=SENDER, rules=WIDE_RULES)

    assert [plain(row) for row in fast.rows] == [plain(row) for row in slow.rows]
    assert [result["status"] for result in fast.results] == [
        result["status"] for result in slow.results
    ]


def _decoded(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        # What cannot be decoded is no event.
        return None


@given(st.lists(event_texts, min_size=1, max_size=5), st.data())
def test_a_bad_event_never_changes_the_verdict_on_another(texts: list[str], data: Any) -> None:
    place = data.draw(st.integers(0, len(texts) - 1))

    together = read_texts(*texts).results[place]
    alone = read_texts(*["null"] * place, texts[place]).results[place]

    assert together == alone


@given(st.lists(event_texts, min_size=1, max_size=5))
def test_each_event_gets_one_verdict_in_its_place(texts: list[str]) -> None:
    reading = read_texts(*texts)

    assert [result["index"] for result in reading.results] == list(range(len(texts)))
    accepted = [result["event_id"] for result in reading.results if result["status"] == "ok"]
    assert accepted == [row.event_id for row in reading.rows]
    assert all(result["reason"] and result["detail"] for result in reading.rejected)


@given(event_texts)
def test_the_verdicts_can_be_written_as_json(text: str) -> None:
    assert orjson.dumps(read_texts(text).results)


@pytest.mark.parametrize(
    "text",
    [
        '{"event_type":"product_view","product_id":"p1","user_id":7}',
        '{"event_type":"purchase","items":[{"product_id":1,"quantity":2,"value":9.5}]}',
        '{"event_type":"purchase","items":[{"product_id":"p","price":0.0,"value":5,"gift":null}]}',
        '{"event_type":"purchase","items":[{"product_id":"p","sizes":[1]}],"context":null}',
        '{"event_type":"search","payload":{"q":"red"},"timestamp":"2026-03-15T11:00:00Z"}',
        '{"event_type":"rate","metadata":{"stars":5},"context":null}',
    ],
)
def test_the_usual_events_take_the_fast_way(text: str) -> None:
    assert read_fast(text.encode()) is not None


@pytest.mark.parametrize(
    "text",
    [
        '{"event_type":"a","colour":"red"}',
        '{"event":"a"}',
        r'{"event_type":"a","properties":{"x":"\u0000"}}',
        '{"event_type":"a","quantity":"2"}',
        '{"event_type":"purchase","items":[{"price":1}]}',
        '{"event_type":"purchase","items":[{"product_id":"p","quantity":-1}]}',
        '{"event_type":"purchase","items":0}',
        '{"event_type":"a","properties":' + '{"a":' * 40 + "1" + "}" * 41,
        '{"event_type":"a","properties":{"a":' + "[" * 5000 + "]" * 5000 + "}}",
    ],
)
def test_the_fast_way_leaves_the_rest_to_the_contract(text: str) -> None:
    assert read_fast(text.encode()) is None


@pytest.mark.parametrize("item", ["{}", "1", '{"product_id":"p","quantity":"x"}'])
def test_of_many_bad_items_the_first_ones_are_told(item: str) -> None:
    many = '{"event_type":"purchase","items":[' + ",".join([item] * 200) + "]}"

    (result,) = read_texts(many).results

    assert list(result["errors"]["items"]) == ["0", "1", "2", "3", "4", "_schema"]
    assert result["errors"]["items"]["_schema"] == ["Items from 5 on were not looked at."]


def test_a_bad_item_behind_many_good_ones_is_told_by_its_place() -> None:
    items = [{"product_id": number} for number in range(199)] + [{}]
    text = orjson.dumps({"event_type": "purchase", "items": items}).decode()

    (result,) = read_texts(text).results

    assert result["errors"] == {
        "items": {"199": {"product_id": ["Missing data for required field."]}}
    }


@pytest.mark.parametrize(
    "item",
    [
        r'{"product_id":"p\u0000"}',
        r'{"product_id":"p","note":"\u0000"}',
        r'{"product_id":"p","\u0000":1}',
        '{"product_id":"p","a":' + "[" * 40 + "]" * 40 + "}",
    ],
)
def test_an_item_is_judged_alike_in_an_event_that_the_contract_reads(item: str) -> None:
    fast = '{"event_type":"purchase","items":[{"product_id":"q"},' + item + "]}"
    slow = '{"event":"purchase","items":[{"product_id":"q"},' + item + "]}"

    results = read_texts(fast, slow).results

    assert results[0]["errors"] == results[1]["errors"]
    assert list(results[0]["errors"]["items"]) == ["1"]
