"""An event nested too deeply is rejected alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intake.brackets import LONGEST_BYTES, cut_deep_values, split_by_brackets
from intake.request import read_request
from tests.builders import RULES, SENDER

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(events=st.lists(JSON, min_size=1, max_size=5), other=JSON)
def test_a_list_is_parted_into_what_it_holds(events: list[Any], other: Any) -> None:
    body = json.dumps({"sent_at": other, "events": events, "more": other}).encode()

    parts = split_by_brackets(body)

    assert parts is not None
    assert [json.loads(part) for part in parts] == events


@pytest.mark.parametrize(
    "body", [b"[" * 5000, b'{"event":[1]}', b"", b'{"events":[1,', b'{"events":{}}']
)
def test_what_is_no_list_of_events_is_not_parted(body: bytes) -> None:
    assert split_by_brackets(body) is None


def test_a_long_body_is_not_parted() -> None:
    assert split_by_brackets(b'{"events":[' + b" " * LONGEST_BYTES + b"]}") is None


@pytest.mark.parametrize(("depth", "reason"), [(900, "invalid"), (100_000, "too_large")])
def test_a_deep_event_does_not_hurt_its_batch(depth: int, reason: str) -> None:
    deep = b'{"event_type":"x","properties":' + b"[" * depth + b"]" * depth + b"}"
    good = b'{"event_type":"product_view","product_id":"p1"}'

    reading = read_request(
        b'{"events":[' + b",".join((good, deep, good)) + b"]}", sender=SENDER, rules=RULES
    )

    assert [result["status"] for result in reading.results] == ["ok", "rejected", "ok"]
    assert reading.results[1]["reason"] == reason


def test_a_text_without_an_end_is_read_once() -> None:
    # Were each of its quotation marks tried as a beginning, this would take an hour.
    text = b'"' + rb"\"" * 400_000

    assert split_by_brackets(b'{"events":[' + b"[" * 5000 + text) is None
    assert cut_deep_values(b"[" * 5000 + text).endswith(text)
