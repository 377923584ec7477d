"""Wrong clocks through Redis and the door: processes share what they know, events are corrected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

import inbox
from app.clock_skew import LIFETIME_S, ClockSkew
from intake.skew import WINDOW_MS
from models.events import Event
from tasks.ingest import Drainer
from tests.builders import NOW, NOW_MS, body
from tests.integration.test_door_away import silent_server

__all__ = ["silent_server"]

HOUR_MS = 3_600_000
Post = Callable[..., Any]


def skew(client: redis.Redis, **changes: Any) -> ClockSkew:
    """Make what one web process knows."""
    return ClockSkew(client, secret="only for tests", **changes)


def correction(process: ClockSkew, difference_ms: int, device: str = "d", at_ms: int = 0) -> int:
    """Let a process see a request; give what it adds to the times."""
    received_ms = NOW_MS + at_ms
    return process.correction(
        "key", device, sent_ms=received_ms - difference_ms, received_ms=received_ms
    )


def test_a_process_knows_what_another_one_saw(redis_client: redis.Redis) -> None:
    one, two = skew(redis_client), skew(redis_client)

    correction(one, HOUR_MS)

    assert correction(two, HOUR_MS + 35_000) == HOUR_MS
    assert correction(two, HOUR_MS + 35_000, device="another") == HOUR_MS + 35_000


def test_a_clock_that_was_set_right_is_told_to_the_others(redis_client: redis.Redis) -> None:
    one, two = skew(redis_client), skew(redis_client)
    correction(one, 50_000)

    correction(one, 100)

    assert correction(two, 50_000) == 0


def test_right_clocks_are_not_written_down(redis_client: redis.Redis) -> None:
    process = skew(redis_client)

    for number in range(20):
        correction(process, 100, device=f"d{number}")

    assert redis_client.keys("millrace:skew:*") == []


def test_what_redis_knows_of_a_clock_ends(redis_client: redis.Redis) -> None:
    correction(skew(redis_client), HOUR_MS)

    (key,) = redis_client.keys("millrace:skew:*")

    assert 0 < redis_client.ttl(key) <= LIFETIME_S
    assert b"key" not in key
    later = correction(skew(redis_client), HOUR_MS + 35_000, at_ms=3 * WINDOW_MS)
    assert later == HOUR_MS + 35_000


def test_made_up_devices_fill_their_share_of_redis_only(redis_client: redis.Redis) -> None:
    process = skew(redis_client, kept=10, shared=5)

    found = [correction(process, HOUR_MS, device=f"d{number}") for number in range(50)]

    assert set(found) == {HOUR_MS}
    assert len(redis_client.keys("millrace:skew:*")) == 5
    correction(process, HOUR_MS, at_ms=WINDOW_MS)
    assert len(redis_client.keys("millrace:skew:*")) == 6


@pytest.mark.parametrize("device", ["", "\0", "\ud800", "x" * 100_000, "😀"], ids=ascii)
def test_a_device_may_be_named_by_anything(redis_client: redis.Redis, device: str) -> None:
    assert correction(skew(redis_client), HOUR_MS, device=device[:100_000]) == HOUR_MS


def test_while_redis_is_silent_a_process_works_alone_and_waits_once(silent_server: str) -> None:
    client = inbox.connect(silent_server, timeout_s=0.02)
    process = skew(client)

    found = [correction(process, HOUR_MS + way) for way in (35_000, 100, 20_000)]

    assert found == [HOUR_MS + 35_000, HOUR_MS + 100, HOUR_MS + 100]


def test_while_redis_is_away_a_process_works_alone(redis_client: redis.Redis) -> None:
    process = skew(inbox.connect("redis://127.0.0.1:1/0", timeout_s=0.05))

    assert correction(process, HOUR_MS) == HOUR_MS
    assert correction(process, HOUR_MS + 35_000) == HOUR_MS
    assert correction(process, 100) == 0


def event(number: int, occurred_ms: int, **fields: Any) -> dict[str, Any]:
    return {
        "event_type": "product_view",
        "message_id": f"m{number}",
        "occurred_at": occurred_ms,
        "anonymous_id": "a1",
        **fields,
    }


@pytest.mark.parametrize("form", ["iso", "seconds", "milliseconds"])
def test_events_of_a_wrong_clock_are_stored_and_shown_with_all_their_times(
    client: FlaskClient, drainer: Drainer, admin: dict[str, str], form: str
) -> None:
    behind_ms = NOW_MS - HOUR_MS
    sent_at = {
        "iso": "2026-03-15T11:00:00Z",
        "seconds": behind_ms / 1000,
        "milliseconds": behind_ms,
    }[form]

    answer = client.post(
        "/api/v1/analytics/events/",
        json={"events": [event(1, behind_ms - 60_000)], "sent_at": sent_at},
    )
    drainer.drain()

    assert answer.status_code == 201
    (found,) = body(client.get("/api/events/", headers=admin))["events"]
    assert found["occurred_at"].startswith("2026-03-15T11:59:00")
    assert found["original_at"].startswith("2026-03-15T10:59:00")
    assert found["sent_at"].startswith("2026-03-15T11:00:00")
    assert found["received_at"].startswith("2026-03-15T12:00:00")
    assert found["clock"] == "corrected"


def test_a_retry_with_a_later_sent_at_is_the_same_event(
    client: FlaskClient, drainer: Drainer, session: Session
) -> None:
    for sent_ms in (NOW_MS - HOUR_MS, NOW_MS - HOUR_MS - 35_000):
        client.post(
            "/api/v1/analytics/events/",
            json={"events": [event(1, NOW_MS - 2 * HOUR_MS)], "sent_at": sent_ms},
        )

    result = drainer.drain()

    assert (result.stored, result.duplicate, result.conflicting) == (1, 1, 0)


def test_two_devices_behind_one_address_have_clocks_of_their_own(
    client: FlaskClient, drainer: Drainer, session: Session
) -> None:
    for device, behind_ms in {
        "right": 0,
        "an hour": HOUR_MS,
        "a minute more": HOUR_MS + 60_000,
    }.items():
        moment = NOW_MS - behind_ms
        client.post(
            "/mr/in",
            json={
                "events": [event(1, moment - 5000, message_id=device, anonymous_id=device)],
                "sent_at": moment,
            },
        )
    drainer.drain()

    times = session.scalars(select(Event.occurred_at)).all()

    assert {round(NOW.timestamp() - moment.timestamp()) for moment in times} == {5}


def test_one_event_that_is_no_json_does_not_cost_the_others_their_clock(
    client: FlaskClient, drainer: Drainer, session: Session
) -> None:
    good = f'{{"event_type":"a","message_id":"m","occurred_at":{NOW_MS - HOUR_MS}}}'
    text = f'{{"events":[{good},{{"event_type":"a","value":NaN}}],"sent_at":{NOW_MS - HOUR_MS}}}'

    answer = client.post("/mr/in", data=text, content_type="application/json")
    drainer.drain()

    assert body(answer)["events_created"] == 1
    assert session.scalars(select(Event.clock)).one() == "corrected"


def test_a_device_without_a_name_is_known_by_its_header(
    client: FlaskClient, drainer: Drainer, redis_client: redis.Redis
) -> None:
    for name in ("h1", "h2"):
        client.post(
            "/mr/in",
            json={"events": [{"event_type": "a"}], "sent_at": NOW_MS - HOUR_MS},
            headers={"X-Client-ANON-ID": name},
        )

    assert len(redis_client.keys("millrace:skew:*")) == 2
