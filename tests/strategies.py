"""Events as JSON texts: good, odd and hostile ones, written out so that nothing tidies them up."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import strategies as st

from event_types import CATALOGUE, SYNONYMS
from tests.builders import DAY_MS, NOW, NOW_MS, uuid7_at

_texts = st.text(max_size=8).map(json.dumps)
_odd_texts = st.sampled_from(
    [
        '""', '" "', r'"\u0000"', r'"a\\u0000"', r'"\ud800"', r'"\udc00x"', r'"\ud83d\ude00"',
        '"😀"', '"\ufffe"', '"\x7f"', '"=1+1"', '"' + "x" * 100 + '"', '"' + "x" * 101 + '"',
        '"' + "€" * 200 + '"', '"' + "€" * 201 + '"', '"' + "y" * 3000 + '"',
        '"\\ud800\\u0041"', '"İstanbul"', '"12345"', '"null"',
    ]
)  # fmt: skip
_numbers = st.one_of(
    st.integers(-3, 2**33).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(
        [
            "0", "-0", "-0.0", "1.0", "1e2", "1E+2", "2147483647", "2147483648", "-1", "1e15",
            "1.1e15", "9223372036854775808", "18446744073709551616", "9" * 30, "9" * 250, "1" * 400,
            "1e308", "1e309", "-1e400", "1e-400", "1e-20000", "1e-9999999999", "0e9999999999",
            "0.0E+99999999999", "0." + "3" * 500, "0." + "0" * 20_000 + "1",
        ]
    ),
)  # fmt: skip
_atoms = st.one_of(_texts, _odd_texts, _numbers, st.sampled_from(["null", "true", "false"]))


def write_object(pairs: list[tuple[str, str]]) -> str:
    """Write a JSON object from names and texts, doubled names and all."""
    return "{" + ",".join(f"{json.dumps(name)}:{text}" for name, text in pairs) + "}"


def _objects(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    names = st.one_of(st.sampled_from(["a", "price", "quantity", ""]), st.text(max_size=4))
    return st.lists(st.tuples(names, values), max_size=4).map(write_object)


_values = st.recursive(
    _atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda texts: "[" + ",".join(texts) + "]"), _objects(inner)
    ),
    max_leaves=6,
)
_money = st.sampled_from(
    ["quantity", "value", "revenue", "total", "amount", "price", "rating", "stars"]
)
_payloads = st.one_of(
    _objects(_values),
    st.lists(st.tuples(_money, _atoms), max_size=3).map(write_object),
    st.sampled_from(
        [
            "{}", "null", "[]", '{"a":' * 31 + "{}" + "}" * 31, '{"a":' * 33 + "{}" + "}" * 33,
            '{"a":' + "[" * 400 + "]" * 400 + "}",
            "{" + ",".join(f'"k{n}":{n}' for n in range(500)) + "}",
            "{" + ",".join(f'"k{n}":{n}' for n in range(501)) + "}",
            r'{"a\u0000":1}', r'{"a":"\u0000"}', r'{"\ud800":1}', '{"a":1,"a":2}',
            ' { "a" : [ 1 ] } ',
        ]
    ),
)  # fmt: skip
_names = st.one_of(
    st.sampled_from([*CATALOGUE, *SYNONYMS, "Product View", "ADD-TO-CART", "made_up_thing"]).map(
        json.dumps
    ),
    _texts,
)
_ids = st.one_of(
    st.sampled_from(["p1", "p2", "u1", "a b", ""]).map(json.dumps),
    st.integers(-5, 10**20).map(str),
    st.uuids().map(lambda found: json.dumps(str(found))),
    st.integers(NOW_MS - 3 * DAY_MS, NOW_MS + 3 * DAY_MS).map(lambda ms: json.dumps(uuid7_at(ms))),
    st.sampled_from([uuid7_at(0), uuid7_at(2**48 - 1), uuid7_at(NOW_MS).upper()]).map(json.dumps),
)
_moments = st.one_of(
    st.integers(-4 * 86_400, 2 * 86_400).map(
        lambda seconds: json.dumps((NOW + timedelta(seconds=seconds)).isoformat())
    ),
    st.integers(NOW_MS - 4 * DAY_MS, NOW_MS + 2 * DAY_MS).map(str),
    st.integers(NOW_MS // 1000 - 4 * 86_400, NOW_MS // 1000 + 86_400).map(lambda s: f"{s}.5"),
    st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat).map(json.dumps),
    st.sampled_from(
        [
            '"2026-03-15T11:00:00"', '"2026-03-15"', '"20260315T110000Z"',
            '"2026-03-15 11:00+05:30"',
            '"9999-12-31T23:59:59-23:59"', '"0001-01-01T00:00:00+23:59"', '"yesterday"',
            "253402300799000", "253402300799001", "1e300", "-5",
        ]
    ),
)  # fmt: skip
_amounts = st.one_of(
    st.integers(0, 50).map(str), st.decimals(-100, 100, places=2).map(str), _numbers
)
_lines = st.lists(
    st.tuples(
        st.sampled_from(["product_id", "quantity", "value", "position", "name", "x"]),
        st.one_of(_ids, _amounts, _atoms),
    ),
    max_size=4,
).map(lambda pairs: write_object([("product_id", '"p1"'), *pairs]))
_items = st.one_of(
    st.lists(_lines, max_size=3).map(lambda texts: "[" + ",".join(texts) + "]"),
    st.sampled_from(["[]", "[null]", '[{"product_id":""}]', "[{}]", '[{"quantity":1}]']),
)

_GOOD = {
    **dict.fromkeys(("event_type", "event_category", "event_action", "event"), _names),
    **dict.fromkeys(("source", "device_type", "entity_type"), _names),
    **dict.fromkeys(("event_id", "message_id", "messageId", "id", "user_id", "userId"), _ids),
    **dict.fromkeys(("anonymous_id", "session_id", "product_id", "entity_id", "anonymousId"), _ids),
    **dict.fromkeys(("quantity", "value", "duration_ms"), _amounts),
    **dict.fromkeys(("occurred_at", "timestamp", "created_at"), _moments),
    **dict.fromkeys(("properties", "payload", "metadata"), _payloads),
    **dict.fromkeys(("context", "context_snapshot"), _payloads),
    "items": _items,
}  # fmt: skip


def _field(name: str) -> st.SearchStrategy[tuple[str, str]]:
    good = _GOOD.get(name, _values)
    text = st.one_of(good, good, good, good, _values)
    return st.tuples(st.just(name), text)


_fields = st.one_of(
    st.sampled_from([*_GOOD]), st.sampled_from(["colour", "price", "events", "", "receivedAt"])
).flatmap(_field)
_types: st.SearchStrategy[list[tuple[str, str]]] = st.one_of(
    _names.map(lambda text: [("event_type", text)]),
    st.sampled_from(["purchase", "refund", "rate"]).map(
        lambda name: [("event_type", json.dumps(name))]
    ),
    st.just([]),
)


def is_json(text: str) -> bool:
    """Tell whether a text can stand in a body at all."""
    try:
        msgspec.json.decode(text.encode(), type=msgspec.Raw)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return False
    return True


#: The JSON text of one event, anything from good to hostile.
event_texts = (
    st.tuples(_types, st.lists(_fields, max_size=7))
    .map(lambda parts: write_object([*parts[0], *parts[1]]))
    .filter(is_json)
)
