"""The quick way to store: what COPY stores and counts is what the fused statement does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

import tasks.store
from event_lines import as_json, is_lines
from intake.request import encode_batch, read_request
from models.database import transaction
from models.store import CONFLICTING
from models.store_lines import AlreadyStoredError, copy_lines, read_batches
from models.suppressions import Salts
from tasks.store import store_bodies
from tests.builders import NOW_MS, SENDER, WIDE_RULES, body_of, empty, store
from tests.strategies import event_texts

RULES = replace(WIDE_RULES, retention_days=10)
TABLES = {
    "events": "SELECT * FROM events ORDER BY event_id",
    "metrics": "SELECT * FROM product_metrics ORDER BY product_id",
    "days": "SELECT DISTINCT day FROM dirty_days ORDER BY day",
    "links": "SELECT anonymous_id, user_id FROM identities ORDER BY anonymous_id",
    "dead": "SELECT event_id FROM dead_letters",
}


def body_of_texts(texts: list[str], **sender: Any) -> bytes | None:
    """Make the inbox entry of events as a client sent them; None when none is accepted."""
    request = ('{"events":[' + ",".join(texts) + "]}").encode()
    reading = read_request(request, sender=replace(SENDER, **sender), rules=RULES)
    if not reading.rows:
        return None
    return encode_batch(reading.rows, sender=reading.sender, is_plain=reading.is_plain)


def stored(engine: Engine) -> dict[str, list[Any]]:
    """Give everything that a store changes."""
    with transaction(engine) as session:
        return {name: list(session.execute(text(sql))) for name, sql in TABLES.items()}


def store_afresh(engine: Engine, *bodies: bytes) -> dict[str, list[Any]]:
    empty(engine)
    for body in bodies:
        store(engine, body)
    return stored(engine)


BODY = body_of({"event_type": "product_view", "product_id": "p"})

plain_events = st.fixed_dictionaries(
    {
        "event_type": st.sampled_from(
            ["product_view", "product_list_view", "purchase", "refund", "rate", "login", "own"]
        ),
        "occurred_at": st.integers(NOW_MS - 90_000_000, NOW_MS),
        "message_id": st.integers(1, 12).map(str),
    },
    optional={
        "product_id": st.sampled_from(["p1", 'p"2', "p\\3", "null", "NULL", "{}", "p,4"]),
        "user_id": st.sampled_from(["u1", "u2"]),
        "anonymous_id": st.sampled_from(["a1", "a\n2", "a3"]),
        "quantity": st.integers(0, 3),
        "value": st.sampled_from([0, 9.99, -2.5, 1e15]),
        "items": st.just([{"product_id": "p1", "quantity": 2, "value": 5, "position": 1}]),
        "excluded": st.sampled_from([None, "bot"]),
        "properties": st.sampled_from([{}, {"price": 3, "quantity": 2}, {"a": 'say "\\\n'}]),
    },
)


@hypothesis_settings(max_examples=60)
@given(batches=st.lists(st.lists(plain_events, min_size=1, max_size=6), min_size=1, max_size=3))
def test_both_ways_give_the_same_rows_counters_links_and_days(
    engine: Engine, batches: list[list[dict[str, Any]]]
) -> None:
    bodies = [body_of(*[{**event} for event in batch]) for batch in batches]

    quick = store_afresh(engine, *bodies)

    assert quick == store_afresh(engine, *map(as_json, bodies))
    assert quick["dead"] == []


@given(texts=st.lists(event_texts, min_size=1, max_size=8))
def test_whatever_the_door_accepts_is_the_same_either_way(engine: Engine, texts: list[str]) -> None:
    body = body_of_texts(texts)
    if body is None:
        return

    assert store_afresh(engine, body) == store_afresh(engine, as_json(body))


@pytest.mark.parametrize(
    "written",
    [
        r'{"event_type":"a","user_id":"a\nb"}',
        r'{"event_type":"a","product_id":"\u0007"}',
        r'{"event_type":"a","user_id":"a\\nb","properties":{"t":"x\ny\\n\t\u0001 \"q\""}}',
        '{"event_type":"a",\n\t"properties":{\r\n "a":\t[1,\n 2]},"items":[{"product_id":"p"}]}',
        '{"event_type":"null","user_id":"NULL","source":"\\\\N","device_type":"\\\\."}',
        '{"event_type":"],[","user_id":"]\\\\","properties":{"a":"],["}}',
        '{"event_type":"ä😀\\u2028","user_id":"\x7f","properties":{"ä":"\\ud83d\\ude00"}}',
    ],
)
def test_texts_that_csv_could_misread_are_stored_as_they_were_sent(
    engine: Engine, written: str
) -> None:
    sent = read_request(written.encode(), sender=SENDER, rules=RULES).rows[0]
    wanted = (sent.event_type, sent.user_id, sent.product_id, sent.source, sent.device_type)

    body = body_of_texts([written, '{"event_type":"b"}'])
    assert body is not None
    found = store_afresh(engine, body)

    (row,) = [row for row in found["events"] if row.event_type != "b"]
    assert (row.event_type, row.user_id, row.product_id, row.source, row.device_type) == wanted
    assert found["events"] == store_afresh(engine, as_json(body))["events"]


def test_what_the_sender_adds_is_looked_at_too(engine: Engine) -> None:
    body = body_of_texts(['{"event_type":"a"}'], user_id="u\n1", user_agent='x\t"y"')
    assert body is not None

    (row,) = store_afresh(engine, body)["events"]

    assert (row.user_id, row.user_agent) == ("u\n1", 'x\t"y"')


def test_an_entry_from_before_an_upgrade_is_stored(engine: Engine) -> None:
    entry = b'{"received_at":"2026-03-15T12:00:00.000Z","events":[{"event_type":"product_view",'
    entry += b'"event_id":"019cf15e-1200-7000-8000-000000000001","event_category":"product",'
    entry += b'"occurred_at":"2026-03-15T12:00:00.000Z","event_action":"view","product_id":"p"}]}'

    result = store(engine, entry, body_of({"event_type": "product_view", "product_id": "p"}))

    assert result.stored == 2
    assert stored(engine)["metrics"][0].total_views == 2


def test_an_id_that_only_copy_finds_is_a_duplicate(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []

    def watched(*arguments: Any, **more: Any) -> int:
        try:
            return copy_lines(*arguments, **more)
        except AlreadyStoredError:
            found.append(True)
            raise

    monkeypatch.setattr(tasks.store, "copy_lines", watched)
    old, new = ({"event_type": "a", "message_id": name, "occurred_at": NOW_MS} for name in "on")
    store(engine, body_of(old))

    again = store(engine, body_of(new, old))

    assert (again.stored, again.duplicate, found) == (1, 1, [True])


def test_a_batch_that_is_sent_again_is_seen_by_its_first_event(engine: Engine) -> None:
    batch = body_of(*({"event_type": "a", "message_id": str(n)} for n in range(3)))
    fresh = body_of({"event_type": "a", "message_id": "new"})

    first = store(engine, batch, batch)
    again = store(engine, fresh, batch)

    assert (first.stored, first.duplicate) == (3, 3)
    assert (again.stored, again.duplicate) == (1, 3)


@pytest.mark.parametrize(
    "broken",
    [
        b'{"lines":1}',
        b'{"lines":1,"received_at":"2026-03-15T12:00:00Z"}\n["no uuid","a"]\n',
        b'{"lines":1,"received_at":"2026-03-15T12:00:00Z"}\n[1]\n',
        b'{"lines":1,"received_at":"2026-03-15T12:00:00Z"}\n',
    ],
)
def test_lines_that_nobody_wrote_are_kept_as_a_dead_letter(engine: Engine, broken: bytes) -> None:
    result = store_bodies(engine, [broken, BODY], set(), known_days=set(), zone="UTC")

    assert (result.stored, result.dead) == (1, 1)


def test_a_connection_that_is_lost_is_told_apart_from_bad_events(engine: Engine) -> None:
    lines = read_batches([body_of({"event_type": "a"})])
    assert lines is not None

    with Session(engine) as session:
        pid = session.scalar(text("SELECT pg_backend_pid()"))
        with engine.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        with pytest.raises(DBAPIError) as caught:
            copy_lines(session, lines, zone="UTC")

    assert caught.value.connection_invalidated
    assert stored(engine)["events"] == []


def test_a_usual_request_becomes_lines_and_gives_back_its_events() -> None:
    event = {"event_type": "purchase", "value": 2.5, "properties": {"a": [1, "ä"]}}
    body = body_of({**event, "message_id": "m", "items": [{"product_id": "p"}]})

    assert is_lines(body)
    assert b'"properties":{"a":[1,"\xc3\xa4"]}' in as_json(body)
    assert as_json(b"{oddly") == b"{oddly"


def test_events_that_come_again_are_looked_up_one_by_one_however_many_are_stored(
    session: Session,
) -> None:
    # The tables of tests are too small for the planner to care.
    session.execute(text("SET LOCAL enable_seqscan = off"))
    for statement in CONFLICTING.values():
        parameters = {"shared": "[{}]", "events": "[]", **Salts.of("key").as_parameters()}
        plan = session.scalars(text(f"EXPLAIN {statement.text}"), parameters).all()

        assert not [line for line in plan if "Merge Join" in line or "Hash Join" in line]
