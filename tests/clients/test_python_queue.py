"""The Python client's queue: bounded, exact in what it drops, and safe for threads."""

from __future__ import annotations

import logging
import threading

import pytest
from millrace_client import Client, DroppedError, MillraceError, RejectedError, Stats

from tests.clients.faulty import answers, holds


def test_a_full_queue_drops_the_newest_and_counts_them_exactly(
    client_of, server, stored, failures
) -> None:
    release = threading.Event()
    server.faults.append(holds(release))
    client = client_of(max_queue_events=50)

    ids = [client.track("product_view", product_id=f"p{index}") for index in range(80)]
    release.set()

    assert client.flush()
    kept = [each for each in ids if each is not None]
    assert ids[:50] == kept
    assert [event["event_id"] for event in stored()] == sorted(kept)
    assert client.stats == Stats(sent=50, dropped={"queue_full": 30})
    assert failures.reasons == ["queue_full"] * 30
    assert failures[0][1]["product_id"] == "p50"


def test_a_queue_full_of_bytes_drops_too(client_of, server) -> None:
    release = threading.Event()
    server.faults.append(holds(release))
    client = client_of(max_queue_bytes=10_000, max_event_bytes=4_000, gzip_from=None)

    for _ in range(5):
        client.track("note", {"text": "x" * 3_000})
    release.set()
    client.flush()

    assert (client.stats.tracked, client.stats.dropped) == (5, {"queue_full": 2})


def test_a_client_that_may_block_waits_for_room(client_of, stored) -> None:
    client = client_of(max_queue_events=3, block=True, linger_s=0)

    ids = [client.track("login", user_id="u1") for _ in range(40)]

    assert client.flush()
    assert [event["event_id"] for event in stored()] == sorted(ids)


def test_many_threads_and_a_failing_server_lose_nothing_and_double_nothing(
    client_of, server, stored
) -> None:
    server.faults += [answers(500), answers(503), answers(429)] * 3
    client = client_of()
    tracked: list[list[str | None]] = [[] for _ in range(8)]

    def run(mine: list[str | None]) -> None:
        for index in range(100):
            mine.append(client.track("product_view", product_id=f"p{index}"))
            if index % 40 == 0:
                client.flush()

    threads = [threading.Thread(target=run, args=(mine,)) for mine in tracked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert client.flush()
    ids = sorted(each for mine in tracked for each in mine if each is not None)
    assert [event["event_id"] for event in stored()] == ids
    assert (len(ids), client.stats.sent) == (800, 800)


def test_a_flush_of_nothing_is_done_at_once(client_of, server) -> None:
    client = client_of()

    assert client.flush(0)
    assert server.seen == []
    assert "millrace" not in [thread.name for thread in threading.enumerate()]


def test_after_the_shutdown_events_are_refused_and_counted(client_of, stored, failures) -> None:
    with client_of(linger_s=60) as client:
        client.track("login")

    assert len(stored()) == 1
    assert client.track("logout") is None
    assert failures.reasons == ["closed"]
    assert client.shutdown()
    assert client.stats.tracked == 2


def test_a_shutdown_that_takes_too_long_gives_each_event_back(client_of, server, failures) -> None:
    release = threading.Event()
    server.faults.append(holds(release))
    client = client_of(batch_events=2)
    for number in range(5):
        client.track("note", {"number": number})

    assert not client.shutdown(0.05)

    release.set()
    assert client.stats == Stats(dropped={"shutdown": 5})
    assert sorted(event["properties"]["number"] for _, event in failures) == [0, 1, 2, 3, 4]


def test_a_shutdown_does_not_wait_for_what_the_server_asked_for(client_of, server) -> None:
    server.faults += [answers(503, Retry_After="200")] * 2
    client = client_of()
    client.track("login")

    assert not client.shutdown(0.5)

    assert client.stats.dropped == {"shutdown": 1}


def test_a_disabled_client_does_nothing(client_of, server) -> None:
    client = client_of(enabled=False)

    assert client.track("login") is None
    assert client.flush()
    assert client.stats == Stats()

    client.enabled = True
    assert client.track("login")
    assert client.flush()
    assert len(server.seen) == 1


def test_callbacks_that_fail_do_not_reach_the_application(client_of, stored, caplog) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    client = client_of(on_error=fail)
    client.track("")
    client.track("login")
    client.before_send = fail
    client.track("logout")

    assert client.flush()
    assert [event["event_type"] for event in stored()] == ["login"]
    assert client.stats.dropped == {"invalid": 2}
    assert [record.name for record in caplog.records] == ["millrace", "millrace"]


def test_without_on_error_losses_are_logged_and_do_not_flood(client_of, caplog) -> None:
    client = client_of(on_error=None)

    for _ in range(1001):
        client.track("")

    assert client.stats.dropped == {"invalid": 1001}
    assert len(caplog.records) == 2
    assert caplog.records[1].getMessage().startswith("1001 events are not delivered: invalid")


def test_a_callback_may_use_the_client(client_of, server, stored) -> None:
    """A second event of the application, told by the thread that sends."""
    client: Client

    def tell(error: MillraceError, event: object) -> None:
        client.track("lost", {"reason": error.reason})
        assert not client.flush()

    server.faults.append(answers(400, {"code": "not_json", "detail": "the body is not JSON"}))
    client = client_of(on_error=tell)
    client.track("login")
    client.flush()

    assert client.flush()
    assert [event["properties"] for event in stored()] == [{"reason": "not_json"}]


def test_sync_mode_sends_at_once(client_of, server, stored) -> None:
    server.faults += [answers(500)]
    client = client_of(sync_mode=True)

    name = client.track("login", user_id="u1")

    assert [event["event_id"] for event in stored()] == [name]
    assert client.stats == Stats(sent=1, retried=1)


def test_sync_mode_raises_what_went_wrong(client_of, server, failures) -> None:
    client = client_of(sync_mode=True, max_attempts=2)
    server.faults += [answers(500)] * 2

    with pytest.raises(DroppedError, match="after 2 attempts: the server answered 500"):
        client.track("login")
    with pytest.raises(RejectedError) as refusal:
        client.track("login", quantity=-1)
    with pytest.raises(DroppedError, match="event_type must be a text"):
        client.track("")

    assert refusal.value.reason == "invalid"
    assert failures.reasons == ["gave_up", "invalid", "invalid"]
    assert client.stats == Stats(
        rejected={"invalid": 1}, dropped={"gave_up": 1, "invalid": 1}, retried=1
    )


def test_requests_are_told_in_the_log_when_asked_for(client_of, caplog) -> None:
    caplog.set_level(logging.DEBUG, logger="millrace")
    client = client_of(debug=True)

    client.track("login")
    client.flush()

    assert "1 events" in caplog.text
    assert "201" in caplog.text
    assert str(client.write_key) not in caplog.text + repr(client)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"host": "events.example.com"}, "host must be an http"),
        ({"host": "https://events.example.com?x=1"}, "neither query nor fragment"),
        ({"batch_events": 0}, "batch_events must be >= 1, got 0"),
        ({"linger_s": -1}, "linger_s must be >= 0, got -1"),
        ({"timeout_s": 0}, "timeout_s must be > 0"),
        ({"max_queue_bytes": 10}, "max_event_bytes must be <= max_queue_bytes"),
    ],
    ids=["no scheme", "query", "no batch", "negative", "no time", "queue below an event"],
)
def test_options_that_cannot_work_are_refused_at_once(options, says) -> None:
    with pytest.raises(ValueError, match=says):
        Client(**{"host": "https://events.example.com", **options})
