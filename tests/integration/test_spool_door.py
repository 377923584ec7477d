"""The door while Redis is away: every dialect is taken, kept on the disk, and stored later."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis
from flask.testing import FlaskClient
from sqlalchemy import Engine, make_url, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

import fail_points
import inbox
from app.state import State
from cli.servers import RunningServer, start_valkey
from door_counts import DoorCounts, read_door_counts
from models.api_keys import WRITE
from models.database import transaction
from models.events import Event
from models.invariants import check_invariants
from models.key_changes import issue_key
from settings import Settings
from spool import Spool
from tasks.ingest import Drainer
from tests.builders import NOW, body, count_events, uuid7_at
from tests.faults.proxy import Proxy
from tests.integration.test_door import URL, VIEW, check_problem

AppWith = Callable[..., FlaskClient]
AWAY = "redis://127.0.0.1:1/0"
MIB = 1 << 20
LATE = (NOW - timedelta(hours=1)).isoformat()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def app_spooling(app_with: AppWith, folder: Path) -> AppWith:
    """Give a function that makes an app with a spool, as another web process of one machine."""
    return lambda **changes: app_with(**{"spool": str(folder), **changes})


@pytest.fixture
def valkey(settings: Settings) -> Iterator[Callable[[], RunningServer]]:
    """Give a function that starts an inbox server, each time on the same files."""
    home = Path(tempfile.mkdtemp(prefix="mr-"))
    (home / "log").mkdir()
    started: list[RunningServer] = []

    def start() -> RunningServer:
        started.append(start_valkey(home, run_dir=home))
        return started[-1]

    yield start
    for server in started:
        server.stop()
    shutil.rmtree(home)


@pytest.fixture
def limited_key(engine: Engine) -> str:
    with transaction(engine) as session:
        return issue_key(session, kind=WRITE, name="k", now=NOW, rate_limit=1000)[1]


def state_of(client: FlaskClient) -> State:
    found: State = client.application.extensions["millrace"]
    return found


def spool_of(client: FlaskClient) -> Spool:
    spool = state_of(client).spool
    assert spool is not None
    return spool


def feed(client: FlaskClient) -> int:
    feeder = state_of(client).feeder
    assert feeder is not None
    return feeder.feed()


def view(number: int) -> dict[str, Any]:
    return {**VIEW, "event_id": uuid7_at(int(NOW.timestamp() * 1000), number)}


def native(client: FlaskClient, key: str) -> Any:
    data = {"events": [VIEW, {"event_type": ""}], "sent_at": LATE}
    return client.post(URL, json=data, headers={"X-Write-Key": key})


def native_below_the_prefix(client: FlaskClient, key: str) -> Any:
    return client.post("/mr/in", json=VIEW, headers={"X-Write-Key": key})


def activity(client: FlaskClient, key: str) -> Any:
    return client.post("/api/events/log", json=VIEW, headers={"X-Write-Key": key})


def segment(client: FlaskClient, key: str) -> Any:
    message = {"type": "track", "event": "E", "anonymousId": "a", "messageId": "m"}
    # Of an unknown type: it travels with the batch as a dead letter to be.
    batch = [message, {"type": "odd", "messageId": "n"}]
    return client.post("/v1/batch", json={"batch": batch, "writeKey": key, "sentAt": LATE})


def posthog(client: FlaskClient, key: str) -> Any:
    message = {"event": "E", "distinct_id": "a", "uuid": "m", "properties": {"$ip": "192.0.2.1"}}
    return client.post("/batch/", json={"api_key": key, "batch": [message], "sent_at": LATE})


def posthog_v1(client: FlaskClient, key: str) -> Any:
    message = {"event": "E", "distinct_id": "a", "uuid": "m"}
    return client.post(
        "/i/v1/analytics/events",
        json={"created_at": LATE, "batch": [message]},
        headers={"Authorization": f"Bearer {key}"},
    )


def cloudevents(client: FlaskClient, key: str) -> Any:
    event = {"specversion": "1.0", "id": "1", "source": "/s", "type": "product_view"}
    return client.post(
        "/cloudevents",
        data=orjson.dumps(event),
        content_type="application/cloudevents+json",
        headers={"X-Write-Key": key},
    )


DIALECTS = [
    native,
    native_below_the_prefix,
    activity,
    segment,
    posthog,
    posthog_v1,
    cloudevents,
]


@pytest.mark.parametrize("send", DIALECTS)
def test_every_dialect_is_taken_while_redis_is_away_and_stored_when_it_is_back(
    app_spooling: AppWith,
    limited_key: str,
    drainer: Drainer,
    session: Session,
    send: Callable[[FlaskClient, str], Any],
) -> None:
    options = {"ip_mode": "hashed", "rate_limit": "600/minute"}
    answer = send(app_spooling(redis_url=AWAY, **options), limited_key)
    fed = feed(app_spooling(**options))
    drainer.drain()

    assert 200 <= answer.status_code < 300, answer.text
    assert fed == 1
    event = session.scalars(select(Event)).one()
    assert event.source is None or event.source
    (counts,) = read_door_counts(drainer.client)
    assert counts.received == counts.accepted + sum(counts.rejected.values())
    assert counts.accepted == 1


def test_what_was_spooled_is_stored_as_it_would_have_been(
    app_spooling: AppWith, drainer: Drainer, session: Session
) -> None:
    events = [view(1), {"event_type": ""}]
    answer = app_spooling(redis_url=AWAY).post(URL, json={"events": events})
    client = app_spooling()
    feed(client)
    drainer.drain()

    assert body(answer)["event_ids"] == [events[0]["event_id"]]
    assert session.scalars(select(Event.product_id)).all() == ["p1"]
    assert read_door_counts(drainer.client) == [DoorCounts("native", 2, 1, {"invalid": 1})]
    assert spool_of(client).read_depth().batches == 0


def test_batches_are_fed_in_the_order_in_which_they_came(
    app_spooling: AppWith, redis_client: redis.Redis
) -> None:
    away = app_spooling(redis_url=AWAY)
    for number in range(450):
        away.post(URL, json=view(number))

    assert feed(app_spooling()) == 450
    entries = [batch.body for batch in inbox.scan(redis_client, count=1000)]
    ids = [view(number)["event_id"].encode() for number in range(450)]
    assert [event_id in entry for event_id, entry in zip(ids, entries, strict=True)] == [True] * 450


@pytest.fixture
def silent() -> Iterator[tuple[str, list[socket.socket]]]:
    """Give a server that takes connections and never answers, and the connections."""
    taken: list[socket.socket] = []
    with tempfile.TemporaryDirectory(prefix="mr-") as home, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{home}/silent")
        server.listen(64)

        def accept() -> None:
            while True:
                try:
                    taken.append(server.accept()[0])
                except OSError:
                    return

        accepting = threading.Thread(target=accept)
        accepting.start()
        yield f"unix://{home}/silent", taken
        server.shutdown(socket.SHUT_RDWR)
        accepting.join()
        for each in taken:
            each.close()


@pytest.mark.parametrize("send", DIALECTS)
def test_a_silent_redis_keeps_one_request_waiting_and_once(
    app_spooling: AppWith,
    limited_key: str,
    silent: tuple[str, list[socket.socket]],
    send: Callable[[FlaskClient, str], Any],
) -> None:
    url, connections = silent
    client = app_spooling(redis_url=url, door_timeout_s=0.05, ip_mode="hashed")
    state_of(client).breaker.away_s = 1000.0

    answers = [send(client, limited_key) for _ in range(5)]

    assert {answer.status_code // 100 for answer in answers} == {2}
    assert len(connections) == 1
    assert spool_of(client).read_depth().batches == 5


def test_a_process_alone_hashes_addresses_with_a_salt_of_its_own(
    app_spooling: AppWith, drainer: Drainer, session: Session
) -> None:
    client = app_spooling(redis_url=AWAY, ip_mode="hashed")
    for number in range(2):
        client.post(URL, json=view(number), environ_base={"REMOTE_ADDR": "192.0.2.1"})
    back = app_spooling(ip_mode="hashed")
    back.post(URL, json=view(2), environ_base={"REMOTE_ADDR": "192.0.2.1"})

    feed(back)
    drainer.drain()

    events = select(Event.ip_address).order_by(Event.event_id)
    alone, again, shared = session.scalars(events).all()
    assert alone == again
    assert alone is not None
    assert shared not in (None, alone, "192.0.2.1")


def test_of_many_requests_one_looks_whether_redis_is_back(
    app_spooling: AppWith, silent: tuple[str, list[socket.socket]]
) -> None:
    url, connections = silent
    client = app_spooling(redis_url=url, door_timeout_s=0.05)
    breaker = state_of(client).breaker
    breaker.away_s = 0.0
    client.post(URL, json=VIEW)
    breaker.away_s = 1000.0

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: client.post(URL, json=VIEW).status_code, range(16)))

    assert answers == [201] * 16
    assert len(connections) == 2


def test_redis_that_stalls_and_dies_under_load_loses_no_accepted_event(
    app_spooling: AppWith, valkey: Callable[[], RunningServer], engine: Engine, session: Session
) -> None:
    server = valkey()
    clients = [app_spooling(redis_url=server.url, door_timeout_s=0.1) for _ in range(2)]
    for client in clients:
        state_of(client).breaker.away_s = 0.01
    steps = {
        100: lambda: os.kill(server.pid, signal.SIGSTOP),
        200: lambda: os.kill(server.pid, signal.SIGCONT),
        300: lambda: os.kill(server.pid, signal.SIGKILL),
        400: valkey,
    }

    def send(number: int) -> int:
        steps.get(number, int)()
        return clients[number % 2].post(URL, json=view(number)).status_code

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(send, range(500)))
    feed(clients[0])
    client = inbox.connect(server.url, timeout_s=5.0)
    Drainer(engine=engine, client=client, consumer="test").drain()

    assert answers == [201] * 500
    assert count_events(session) == 500
    client.close()


def test_an_answer_that_is_lost_goes_to_the_spool_and_counts_once(
    app_spooling: AppWith, settings: Settings, drainer: Drainer, session: Session
) -> None:
    proxy = Proxy(settings.redis_url.removeprefix("unix://").partition("?")[0])
    client = app_spooling(redis_url=f"redis://127.0.0.1:{proxy.port}/0")
    state_of(client).sink.look_every_s = 1000.0
    client.post(URL, json=view(1))

    with proxy.being(loses_answers=1.0):
        answer = client.post(URL, json=view(2))
    fed = feed(client)
    drainer.drain()
    proxy.close()

    assert answer.status_code == 201
    assert fed == 1
    assert count_events(session) == 2


def refuse_memory(client: redis.Redis) -> None:
    client.config_set("maxmemory", 1)


def become_a_replica(client: redis.Redis) -> None:
    client.replicaof("127.0.0.1", "1")


def change_the_password(client: redis.Redis) -> None:
    client.config_set("requirepass", "another")
    client.client_kill_filter(_type="normal", skipme=True)


@pytest.mark.parametrize("refuse", [refuse_memory, become_a_replica, change_the_password])
def test_a_redis_that_takes_no_writes_is_away(
    app_spooling: AppWith,
    valkey: Callable[[], RunningServer],
    refuse: Callable[[redis.Redis], None],
) -> None:
    server = valkey()
    client = app_spooling(redis_url=server.url)
    state_of(client).sink.look_every_s = 1000.0
    assert client.post(URL, json=view(1)).status_code == 201

    own = inbox.connect(server.url, timeout_s=5.0)
    refuse(own)
    answer = client.post(URL, json=view(2))
    own.close()

    assert answer.status_code == 201
    assert spool_of(client).read_depth().batches == 1


def test_a_redis_that_still_loads_is_away(app_spooling: AppWith, tmp_path: Path) -> None:
    path = tmp_path / "loading"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(64)

        def answer() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        while connection.recv(65_536):
                            connection.sendall(b"-LOADING Redis is loading the dataset\r\n" * 8)

        answering = threading.Thread(target=answer)
        answering.start()
        client = app_spooling(redis_url=f"unix://{path}")
        found = client.post(URL, json=VIEW)
        state_of(client).close()
        server.shutdown(socket.SHUT_RDWR)
        answering.join()

    assert found.status_code == 201
    assert spool_of(client).read_depth().batches == 1


def test_a_full_inbox_is_refused_and_not_spooled(
    app_spooling: AppWith, redis_client: redis.Redis
) -> None:
    inbox.put(redis_client, b"x" * 1000, events=1, days=[])
    client = app_spooling(inbox_max_bytes=500)

    check_problem(client.post(URL, json=VIEW), 503, "inbox_full")
    assert spool_of(client).read_depth().batches == 0


def test_a_full_inbox_is_not_fed(app_spooling: AppWith, redis_client: redis.Redis) -> None:
    app_spooling(redis_url=AWAY).post(URL, json=VIEW)
    inbox.put(redis_client, b"x" * 1000, events=1, days=[])
    client = app_spooling(inbox_max_bytes=500)

    fed = feed(client)
    redis_client.delete(inbox.STREAM)

    assert fed == 0
    assert feed(client) == 1


def test_a_full_spool_is_503_until_it_is_fed(app_spooling: AppWith) -> None:
    client = app_spooling(redis_url=AWAY, spool_max_bytes=65_536)
    events = {"events": [{**VIEW, "properties": {"text": "x" * 1500}}] * 20}

    answers = [client.post(URL, json=events) for _ in range(3)]
    feed(app_spooling())
    again = client.post(URL, json=events)

    assert [answer.status_code for answer in answers] == [201, 503, 503]
    check_problem(answers[1], 503, "inbox_unavailable")
    assert int(answers[1].headers["Retry-After"]) > 0
    assert again.status_code == 201


def test_a_spool_that_cannot_be_used_is_503_and_no_hindrance_to_redis(
    app_spooling: AppWith, folder: Path
) -> None:
    folder.mkdir()
    (folder / "batches.sqlite3").write_text("no database")

    answer = app_spooling(redis_url=AWAY).post(URL, json=VIEW)
    ready = app_spooling(redis_url=AWAY).get("/readyz")
    figures = app_spooling().get("/metrics").text

    check_problem(answer, 503, "inbox_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert ready.status_code == 503
    assert body(ready)["checks"]["spool"]["ok"] is False
    assert "millrace_spool_up 0.0" in figures
    assert app_spooling().post(URL, json=VIEW).status_code == 201


def test_a_node_whose_disk_is_full_is_not_ready_while_redis_is_away(
    app_spooling: AppWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, there = app_spooling(redis_url=AWAY), app_spooling()
    disk = os.statvfs("/")
    full = os.statvfs_result((*disk[:3], 0, 0, *disk[5:]))
    monkeypatch.setattr(os, "statvfs", lambda place: full)

    answers = [away.get("/readyz"), there.get("/readyz")]
    figures = away.get("/metrics").text

    assert [answer.status_code for answer in answers] == [503, 200]
    assert "its disk is full" in body(answers[0])["checks"]["spool"]["detail"]
    assert "millrace_spool_up 0.0" in figures


def test_without_a_spool_it_is_503(app_with: AppWith) -> None:
    client = app_with(redis_url=AWAY, spool="off")

    check_problem(client.post(URL, json=VIEW), 503, "inbox_unavailable")
    assert "spool" not in body(client.get("/readyz"))["checks"]


def test_a_node_that_spools_is_ready_and_says_how_much_waits(app_spooling: AppWith) -> None:
    client = app_spooling(redis_url=AWAY)
    client.post(URL, json=VIEW)

    answer = client.get("/readyz")
    figures = client.get("/metrics").text

    assert answer.status_code == 200
    checks = body(answer)["checks"]
    assert (checks["inbox"]["ok"], checks["spool"]["batches"]) == (False, 1)
    assert "millrace_spool_batches 1.0" in figures
    assert "millrace_spool_oldest_age_seconds" in figures


def test_it_is_logged_once_that_spooling_begins_and_ends(
    app_spooling: AppWith, settings: Settings
) -> None:
    client = app_spooling(redis_url=AWAY)
    state = state_of(client)
    state.breaker.away_s = 0.0

    with capture_logs() as logs:
        for _ in range(5):
            client.post(URL, json=VIEW)
        state.redis.connection_pool = redis.ConnectionPool.from_url(settings.redis_url)
        for _ in range(5):
            client.post(URL, json=VIEW)

    said = [entry["event"] for entry in logs if entry["event"].startswith(("spool", "inbox"))]
    assert said == ["inbox_unavailable", "spooling_began", "inbox_back", "spooling_ended"]


def test_what_an_earlier_process_left_is_fed_by_the_next_one(
    app_spooling: AppWith, redis_client: redis.Redis
) -> None:
    app_spooling(redis_url=AWAY).post(URL, json=VIEW)
    feeder = state_of(app_spooling()).feeder
    assert feeder is not None
    feeder.every_s = 0.01

    feeder.watch()
    answer = redis_client.xread({inbox.STREAM: "0"}, block=30_000)

    assert answer


def test_a_feeder_that_dies_behind_its_write_repeats_it_and_events_count_once(
    app_spooling: AppWith, drainer: Drainer, session: Session, tmp_path: Path
) -> None:
    away = app_spooling(redis_url=AWAY)
    for number in range(3):
        away.post(URL, json=view(number))
    client = app_spooling()
    fail_points.enable(str(tmp_path))
    fail_points.arm(tmp_path, "feeder.put", "raise")

    with pytest.raises(fail_points.FailPointError):
        feed(client)
    fail_points.enable("")
    batches = inbox.read_depth(drainer.client).batches
    fed = feed(app_spooling())
    drainer.drain()

    assert (batches, fed) == (3, 3)
    assert count_events(session) == 3


def test_two_feeders_at_once_feed_each_batch_once(
    app_spooling: AppWith, redis_client: redis.Redis
) -> None:
    away = app_spooling(redis_url=AWAY)
    for number in range(500):
        away.post(URL, json=view(number))
    clients = [app_spooling() for _ in range(3)]

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(feed, clients))
    feed(clients[0])

    assert inbox.read_depth(redis_client).batches == 500


def test_with_redis_and_the_database_away_known_write_keys_keep_working(
    app_spooling: AppWith, settings: Settings, limited_key: str
) -> None:
    address = make_url(settings.sqlalchemy_url)
    proxy = Proxy(f"{address.query['host']}/.s.PGSQL.{address.port or 5432}")
    through = address.set(host="127.0.0.1", port=proxy.port, query={})
    client = app_spooling(
        redis_url=AWAY, database_url=through.render_as_string(hide_password=False)
    )
    state_of(client).write_keys.patience_s = 30.0
    known = native(client, limited_key)
    proxy.close()
    with pytest.raises(SQLAlchemyError):
        state_of(client).write_keys.refresh()

    again = native(client, limited_key)
    without = client.post(URL, json=VIEW)
    unknown = native(client, "wk_that_nobody_knows")

    assert [answer.status_code for answer in (known, again, without)] == [201, 201, 201]
    check_problem(unknown, 503, "keys_unknown")
    assert int(unknown.headers["Retry-After"]) > 0


def test_a_process_that_starts_without_the_database_takes_what_needs_no_key(
    app_spooling: AppWith,
) -> None:
    client = app_spooling(redis_url=AWAY, database_url="postgresql://nobody@127.0.0.1:1/nowhere")

    answer = client.post(URL, json=VIEW)
    keyed = native(client, "wk_1")

    assert answer.status_code == 201
    check_problem(keyed, 503, "keys_unknown")


def test_the_check_knows_the_spool(
    app_spooling: AppWith, engine: Engine, redis_client: redis.Redis
) -> None:
    client = app_spooling(redis_url=AWAY)
    client.post(URL, json=VIEW)

    found = check_invariants(engine, redis_client, zone="UTC", spool=spool_of(client))
    rest = {item.id: item for item in found}["I4"]

    assert not rest.ok
    assert "1 in the spool" in rest.figure
