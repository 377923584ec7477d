"""The deny list: named fields go, at any depth and however they are written."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_lines import as_json
from intake.deny import DenyList
from intake.request import encode_batch, read_request, read_values
from intake.rows import Row, Sender
from tests.builders import NOW_MS, SENDER, WIDE_RULES

RULES = replace(WIDE_RULES, deny_list=DenyList.parse("email, Phone,straße"))


def kept(text: str) -> dict[str, Any]:
    """Read an event as the door does and give its row as it is stored."""
    reading = read_request(text.encode(), sender=SENDER, rules=RULES)
    assert reading.rejected == []
    (event,) = orjson.loads(as_json(encode_batch(reading.rows, sender=SENDER)))["events"]
    return dict(event)


@pytest.mark.parametrize(
    ("payload", "left"),
    [
        ('{"email":"x","a":1}', {"a": 1}),
        ('{"EMail":"x","PHONE":1}', {}),
        (r'{"\u0065mail":"x","em\u0061il2":1}', {"email2": 1}),
        ('{"a":{"b":[{"email":{"c":1}},{"d":2}]}}', {"a": {"b": [{}, {"d": 2}]}}),
        ('{"STRASSE":1,"Straße":2,"strasse":3,"street":4}', {"street": 4}),
        ('{"a":"email","b":"\\"phone\\":1"}', {"a": "email", "b": '"phone":1'}),
        ('{ "email" : 1 , "a" : 2 }', {"a": 2}),
        ('{"emails":1,"telephone":2}', {"emails": 1, "telephone": 2}),
        ('{"email":1,"email":2}', {}),
    ],
)
def test_denied_names_are_taken_out_of_properties_and_context(
    payload: str, left: dict[str, Any]
) -> None:
    event = kept(f'{{"event_type":"a","properties":{payload},"context":{payload}}}')

    assert (event["properties"], event["context"]) == (left, left)


def test_a_field_that_the_contract_does_not_name_is_denied_too() -> None:
    event = kept('{"event_type":"a","email":"x","colour":"red","user_id":"u1"}')

    assert event["properties"] == {"colour": "red"}
    assert event["user_id"] == "u1"


def test_an_items_own_fields_are_denied_and_those_of_the_contract_stay() -> None:
    rules = replace(WIDE_RULES, deny_list=DenyList.parse("email,quantity"))
    items = [{"product_id": "p", "quantity": 2, "email": "x", "gift": {"email": "y", "to": "z"}}]

    (row,) = read_values([{"event_type": "a", "items": items}], sender=SENDER, rules=rules).rows

    assert row.items == [{"product_id": "p", "quantity": 2, "gift": {"to": "z"}}]


def test_a_denied_amount_is_not_read_either() -> None:
    rules = replace(WIDE_RULES, deny_list=DenyList.parse("revenue"))
    event = {"event_type": "purchase", "properties": {"revenue": 9}}

    (row,) = read_values([event], sender=SENDER, rules=rules).rows

    assert (row.value, row.properties) == (None, {})


@pytest.mark.parametrize("text", ["", " ", ",", " , ,"])
def test_an_empty_list_is_none(text: str) -> None:
    assert DenyList.parse(text) is None


_names = st.sampled_from(["email", "EMAIL", "e", "\u212a", "\u017ftraße", "phone", "\u017f", "İ"])
_payloads = st.recursive(
    st.one_of(st.integers(-5, 5), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(_names, inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(_names, _payloads, max_size=4), st.booleans())
def test_both_ways_of_reading_deny_the_same(payload: dict[str, Any], escaped: bool) -> None:
    rules = replace(WIDE_RULES, deny_list=DenyList.parse("email,k,strasse,\u017f,i\u0307"))
    sender = Sender(received_ms=NOW_MS, idempotency_key="r")
    event = {"event_type": "a", "properties": payload, "context": payload}
    text = json.dumps(event, ensure_ascii=escaped).encode()

    fast = read_request(text, sender=sender, rules=rules).rows
    slow = read_values([json.loads(text)], sender=sender, rules=rules).rows

    assert [plain(row) for row in fast] == [plain(row) for row in slow]
    assert '"email"' not in json.dumps(plain(fast[0])["properties"]).lower()


def plain(row: Row) -> dict[str, Any]:
    return dict(orjson.loads(msgspec.json.encode(row)))
