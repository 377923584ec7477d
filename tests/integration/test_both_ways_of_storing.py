"""Door, inbox, and both ways of storing: hostile events and senders give the same either way."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from event_lines import as_json, is_lines
from intake.deny import DenyList
from intake.envelope import BodyError
from intake.request import encode_batch, read_request
from intake.rows import Rules
from models.database import transaction
from tests.builders import DAY_MS, NOW_MS, SENDER, WIDE_RULES, empty, store
from tests.strategies import event_texts

RULES = replace(WIDE_RULES, retention_days=10)
#: Everything that a store changes, as texts: equal numbers may be written in two ways.
TABLES = {
    "events": "SELECT events::text, tableoid::regclass::text FROM events ORDER BY event_id",
    "metrics": "SELECT product_metrics::text FROM product_metrics ORDER BY product_id",
    "days": "SELECT DISTINCT day FROM dirty_days ORDER BY day",
    "links": "SELECT anonymous_id, user_id FROM identities ORDER BY anonymous_id",
    "relinked": "SELECT DISTINCT anonymous_id FROM dirty_identities ORDER BY anonymous_id",
    "dead": "SELECT event_id, reason, event::text FROM dead_letters ORDER BY event_id",
}

Wire = tuple[dict[str, Any], list[str]]

awkward = st.one_of(
    st.sampled_from(
        [
            "null", "NULL", " null ", "\\N", "\\.", '"', '""', "\\", "\\\\", '\\"', "],[", "]\n[",
            ",", "{}", "{null}", "", " ", "'", "'' OR 1", "%s", ":name", "$1", "E'\\\\x'", "\\x41",
            "\\u0041", "=1+1", "\n", "\r\n", "\t", "\x1f", "\x7f", "a\u2028b", "a\u2029", "\u0085",
            "\u00a0", "\ufeff", "\u202e", "😀", "x" * 190,
        ]
    ),
    st.text(alphabet='"\\,[]{}nul.N\n\t\u2028\u0085\x07:%', max_size=12),
    st.text(max_size=10),
)  # fmt: skip
numbers = st.sampled_from(
    [
        0, -0.0, 0.1, 1e-7, 1e-300, 123456789012345, 999999999999999.9, 0.123456789012345,
        1e15, -1e15, 3, 1e308, 10**30, -1, 1.10, 2**63, 10**300,
    ]
)  # fmt: skip
counts = st.sampled_from([0, 1, 7, 2147483647])
values = st.recursive(
    st.one_of(awkward, numbers, st.none(), st.booleans()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(awkward, inner, max_size=3)
    ),
    max_leaves=5,
)
items = st.fixed_dictionaries(
    {"product_id": awkward},
    optional={
        "quantity": st.sampled_from([0, 1, 2147483647, -1, "2", 1.0, 2.5, None]),
        "value": numbers,
        "position": st.sampled_from([0, 1, 5, 2147483647, None]),
        "x": values,
    },
)
types = st.sampled_from(
    [
        "product_view", "product_list_view", "product_click", "purchase", "refund", "rate", "login",
        "identify", "signup", "alias", "add_to_cart", "remove_from_cart", "favorite", "own",
    ]
)  # fmt: skip
names = ("session_id", "source", "device_type", "entity_type", "entity_id")
events = st.fixed_dictionaries(
    {"event_type": st.one_of(types, awkward)},
    optional={
        **dict.fromkeys((*names, "event_category", "event_action", "product_id"), awkward),
        "message_id": st.integers(1, 6).map(str),
        "occurred_at": st.integers(NOW_MS - 5 * DAY_MS, NOW_MS + DAY_MS - 1),
        "user_id": st.one_of(st.sampled_from(["u1", "u2"]), awkward),
        "anonymous_id": st.one_of(st.sampled_from(["a1", "a2"]), awkward),
        "duration_ms": counts,
        "quantity": counts,
        "value": numbers,
        "items": st.lists(items, max_size=3),
        "properties": st.dictionaries(awkward, values, max_size=3),
        "context": st.dictionaries(awkward, values, max_size=2),
        "excluded": st.sampled_from([None, "bot", "internal", True, False]),
    },
)
written = st.one_of(
    event_texts,
    st.builds(
        lambda event, ascii_only, indent: json.dumps(event, ensure_ascii=ascii_only, indent=indent),
        events,
        st.booleans(),
        st.sampled_from([None, None, 1, "\t"]),
    ),
)
senders = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("user_id", "anonymous_id", "source", "user_agent"), awkward),
        "idempotency_key": awkward,
        "ip_address": st.sampled_from(["10.0.0.1", "::1"]),
        "excluded": st.sampled_from(["bot", "internal"]),
        "skew_ms": st.sampled_from([0, 5000, -3_600_000, 2 * DAY_MS]),
        "sent_ms": st.just(NOW_MS - 5),
        "key_id": st.sampled_from(["", "k1"]),
    },
)
requests = st.tuples(senders, st.lists(written, min_size=1, max_size=5))
groups = st.lists(st.lists(requests, min_size=1, max_size=3), min_size=1, max_size=2)
zones = st.sampled_from(
    ["UTC", "Europe/Berlin", "Asia/Kathmandu", "Pacific/Apia", "America/St_Johns"]
)


def receive(request: Wire, rules: Rules) -> bytes | None:
    """Make the inbox entry of a request; None when the door refuses it or all its events."""
    sender, texts = request
    try:
        body = ('{"events":[' + ",".join(texts) + "]}").encode()
        reading = read_request(body, sender=replace(SENDER, **sender), rules=rules)
        if not reading.rows:
            return None
        return encode_batch(reading.rows, sender=reading.sender, is_plain=reading.is_plain)
    except (BodyError, UnicodeEncodeError):
        # Half an emoji is no text: the server's own texts of a request have none.
        return None


def store_afresh(
    engine: Engine, stored_at_once: list[list[bytes]], zone: str
) -> tuple[list[dict[str, int]], dict[str, list[Any]]]:
    """Store groups of batches in empty tables; give the results, and what the tables hold."""
    empty(engine)
    results = [store(engine, *bodies, zone=zone).as_dict() for bodies in stored_at_once]
    with transaction(engine) as session:
        return results, {name: list(session.execute(text(sql))) for name, sql in TABLES.items()}


@hypothesis_settings(max_examples=60)
@given(sent=groups, zone=zones, denies=st.booleans())
def test_what_any_sender_says_is_the_same_by_copy_and_by_statement(
    engine: Engine, sent: list[list[Wire]], zone: str, denies: bool
) -> None:
    deny_list = DenyList(frozenset({"secret", "a", "null"})) if denies else None
    rules = replace(RULES, deny_list=deny_list)
    received = [[receive(request, rules) for request in group] for group in sent]
    bodies = [kept for group in received if (kept := [body for body in group if body])]
    assume(any(is_lines(body) for group in bodies for body in group))

    by_copy = store_afresh(engine, bodies, zone)

    assert by_copy == store_afresh(engine, [list(map(as_json, group)) for group in bodies], zone)
