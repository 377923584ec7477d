"""The Python client against a running Millrace that fails in every way it can."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from millrace_client import Client

from tests.clients.faulty import FaultyServer, answers, cuts_answer, holds, resets

Stored = Callable[[], list[dict[str, Any]]]


def _track_some(client: Client, number: int = 5) -> list[str | None]:
    return [client.track("product_view", product_id=f"p{index}") for index in range(number)]


def test_events_of_a_loop_arrive_once_and_in_few_requests(client_of, server, stored) -> None:
    client = client_of(linger_s=10)

    ids = _track_some(client, 250)

    assert client.flush()
    assert [event["event_id"] for event in stored()] == sorted(ids)
    assert [len(seen.ids) for seen in server.seen] == [100, 100, 50]
    assert client.stats == client.stats.__class__(sent=250)
    assert {seen.headers["User-Agent"] for seen in server.seen} == {"millrace-python/0.1.0"}


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([answers(500), answers(502)], id="500, 502"),
        pytest.param([answers(503, Retry_After="0.01")], id="503 with Retry-After"),
        pytest.param([answers(429, Retry_After="0")], id="429"),
        pytest.param([answers(408)], id="408"),
        pytest.param([cuts_answer], id="answer lost after acceptance"),
        pytest.param([cuts_answer, cuts_answer, cuts_answer], id="three answers lost"),
        pytest.param([resets], id="reset"),
        pytest.param([resets, answers(500), cuts_answer, answers(503)], id="all of it"),
    ],
)
def test_what_fails_for_a_while_is_stored_exactly_once(
    faults, client_of, server, stored, failures
) -> None:
    client = client_of()
    assert client.track("warm_up")
    assert client.flush()
    server.faults.extend(faults)

    ids = _track_some(client)

    assert client.flush()
    assert {event["event_id"] for event in stored()} > set(ids)
    assert Counter(event["event_type"] for event in stored()) == {"warm_up": 1, "product_view": 5}
    assert (client.stats.sent, client.stats.failed, failures) == (6, 0, [])


def test_an_attempt_tells_its_own_time_and_the_same_events(client_of, server) -> None:
    server.faults += [answers(500), answers(500)]
    client = client_of()

    client.track("login", user_id="u1")

    assert client.flush()
    first, *others = [seen.body for seen in server.seen]
    assert [body["events"] for body in others] == [first["events"]] * 2
    times = [body["sent_at"] for body in (first, *others)]
    assert times == sorted(times)
    assert first["events"][0]["occurred_at"] <= times[0]
    assert client.stats.retried == 2


def test_a_date_in_retry_after_is_waited_for(client_of, server, stored) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1)
    server.faults.append(answers(503, Retry_After=format_datetime(soon, usegmt=True)))
    client = client_of()

    client.track("login")

    assert client.flush()
    assert server.seen[1].body["sent_at"] >= soon.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def test_a_bad_event_does_not_hurt_its_batch(client_of, stored, failures) -> None:
    client = client_of()
    client.track("product_view", product_id="p1")
    client.track("product_view", product_id="p2", quantity=-1)
    client.track("product_view", product_id="p3", properties={"text": "x" * 3000})

    assert not client.flush()

    assert [event["product_id"] for event in stored()] == ["p1"]
    assert failures.reasons == ["invalid", "too_large"]
    assert [event["product_id"] for _, event in failures] == ["p2", "p3"]
    assert client.stats.rejected == {"invalid": 1, "too_large": 1}


def test_a_request_that_is_too_large_is_halved(client_of, server, stored, failures) -> None:
    server.faults += [answers(413), answers(413)]
    client = client_of(linger_s=10)

    ids = _track_some(client, 8)

    assert client.flush()
    assert [event["event_id"] for event in stored()] == sorted(ids)
    assert [len(seen.ids) for seen in server.seen] == [8, 4, 2, 2, 4]
    assert failures == []


def test_a_refused_request_is_final_and_says_why(client_of, server, failures) -> None:
    client = client_of(write_key="wk_unknown")

    _track_some(client, 3)

    assert not client.flush()
    assert failures.reasons == ["invalid_key"] * 3
    assert "not known" in str(failures[0][0])
    assert len(server.seen) == 1
    assert client.stats.rejected == {"invalid_key": 3}


def test_a_redirect_is_an_error_that_names_the_place(client_of, server, failures) -> None:
    server.faults.append(answers(301, Location="https://elsewhere.example/"))
    client = client_of()

    client.track("login")

    assert not client.flush()
    assert "https://elsewhere.example/" in str(failures[0][0])


def test_collection_that_is_off_is_no_error(client_of, server, failures) -> None:
    server.faults.append(answers(204))
    client = client_of()

    client.track("login")

    assert not client.flush()
    assert (client.stats.dropped, failures) == ({"not_collected": 1}, [])


def test_events_that_the_server_wants_again_are_sent_again(client_of, server, stored) -> None:
    results = [{"index": 1, "status": "retry", "reason": "busy"}, {"index": 0, "status": "ok"}]
    server.faults.append(answers(201, {"results": results}))
    client = client_of(linger_s=10)

    ids = _track_some(client, 2)

    assert client.flush()
    assert [event["event_id"] for event in stored()] == ids[1:]
    assert client.stats.sent == 2


@pytest.mark.parametrize(
    "body",
    [
        None,
        "<h1>Welcome</h1>",
        {"results": [{"index": 0, "status": "ok"}]},
        {"results": [{"index": [], "status": "ok"}, {"index": 1, "status": "ok"}, 7]},
    ],
    ids=["nothing", "a page", "too few", "strange"],
)
def test_what_nobody_answers_for_is_sent_again(body, client_of, server, stored) -> None:
    server.faults.append(answers(200, body))
    client = client_of(linger_s=10)

    ids = _track_some(client, 2)

    assert client.flush()
    assert len(server.seen) == 2
    assert set(server.seen[1].ids) <= set(ids)
    assert [event["event_id"] for event in stored()] == sorted(server.seen[1].ids)
    assert (client.stats.sent, client.stats.retried) == (2, 1)


def test_attempts_come_to_an_end(client_of, server, failures) -> None:
    server.faults += [answers(500)] * 3
    client = client_of(max_attempts=3)

    client.track("login")

    assert not client.flush()
    assert failures.reasons == ["gave_up"]
    assert "after 3 attempts: the server answered 500" in str(failures[0][0])


def test_what_is_too_old_is_given_up_and_the_next_is_tried(client_of, server, stored) -> None:
    server.faults += [answers(503, Retry_After="60")]
    client = client_of(retry_for_s=5)
    client.track("login")
    assert not client.flush()

    client.track("logout")

    assert client.flush()
    assert [event["event_type"] for event in stored()] == ["logout"]
    assert client.stats.dropped == {"gave_up": 1}


def test_one_connection_is_kept(client_of, server) -> None:
    client = client_of()

    for _ in range(3):
        client.track("login")
        assert client.flush()

    assert len({seen.peer for seen in server.seen}) == 1


def test_a_kept_connection_that_the_server_closed_is_replaced_unnoticed(
    client_of, server, stored
) -> None:
    client = client_of()
    client.track("login")
    assert client.flush()
    server.faults.append(resets)

    client.track("logout")

    assert client.flush()
    assert (len(stored()), client.stats.retried) == (2, 0)


def test_large_requests_are_packed(client_of, server) -> None:
    client = client_of(linger_s=10)
    client.track("login")
    client.flush()

    _track_some(client, 100)

    assert client.flush()
    assert [seen.headers.get("Content-Encoding") for seen in server.seen] == [None, "gzip"]


def test_a_slow_server_holds_nobody_up(client_of, server: FaultyServer, stored: Stored) -> None:
    release = threading.Event()
    server.faults.append(holds(release))
    client = client_of()

    ids = _track_some(client, 10)
    in_time = client.flush(timeout_s=0.05)
    release.set()

    assert not in_time
    assert client.flush()
    assert [event["event_id"] for event in stored()] == sorted(ids)


def test_an_answer_that_never_comes_ends_by_the_time_limit(client_of, server, stored) -> None:
    release = threading.Event()
    server.faults.append(holds(release))
    client = client_of(timeout_s=0.5)

    client.track("login")

    assert client.flush(60)
    release.set()
    assert len(stored()) == 1
    assert client.stats.retried >= 1


def test_a_session_of_requests_carries_the_events(client_of, server, stored) -> None:
    requests = pytest.importorskip("requests")
    server.faults += [answers(500), cuts_answer]
    with requests.Session() as session:
        session.headers["X-Proxy"] = "mine"
        client = client_of(session=session)

        ids = _track_some(client)

        assert client.flush()
    assert {event["event_id"] for event in stored()} == set(ids)
    assert {seen.headers["X-Proxy"] for seen in server.seen} == {"mine"}


def test_a_host_may_have_a_path_in_front(client_of, server) -> None:
    server.faults.append(answers(201))
    client = client_of(host=f"{server.url}/shop/", path="/mr/in")

    client.track("login")

    assert client.flush()
    assert server.seen[0].path == "/shop/mr/in"


def test_a_key_that_no_header_can_hold_is_reported(client_of, failures) -> None:
    client = client_of(write_key="wk_1\nX-Evil: 1")

    client.track("login")

    assert not client.flush()
    assert failures.reasons == ["not_sendable"]
