"""Slow clients: their connections end after a while, and only theirs."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from werkzeug.test import EnvironBuilder, run_wsgi_app

from app.arrival import SMALL_BYTES, Arrival
from app.slow_clients import CROWD, CROWD_TIMEOUT_S, SlowClients

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of connections")

TIMEOUT_S = 30.0


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Server:
    """A listening socket and the connections that were made to it."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.open: list[socket.socket] = []

    def connect(self) -> tuple[socket.socket, socket.socket]:
        """Give both ends of a connection: the client's, and the one that is accepted."""
        client = socket.create_connection(self.listening.getsockname())
        accepted, _ = self.listening.accept()
        self.open += [client, accepted]
        return client, accepted


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    for each in (*made.open, made.listening):
        each.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def slow(clock: Clock) -> SlowClients:
    return SlowClients(timeout_s=TIMEOUT_S, clock=clock)


def send(sender: socket.socket, receiver: socket.socket, data: bytes) -> None:
    # The system counts in milliseconds: two things in one of them have no order.
    threading.Event().wait(0.01)
    sender.sendall(data)
    receiver.recv(len(data))


def is_ended(client: socket.socket) -> bool:
    client.settimeout(0.05)
    try:
        return client.recv(1) == b""
    except TimeoutError:
        return False


def test_a_request_that_does_not_arrive_is_ended_after_the_timeout(
    server: Server, clock: Clock, slow: SlowClients
) -> None:
    client, accepted = server.connect()
    send(client, accepted, b"POST")
    first = slow.end_slow()
    clock.now = TIMEOUT_S - 1
    send(client, accepted, b" /")
    before = slow.end_slow()
    clock.now = TIMEOUT_S
    after = slow.end_slow()

    assert (first, before, after) == (0, 0, 1)
    assert is_ended(client)


def test_a_connection_that_begins_with_its_first_packet_is_ended_too(
    server: Server, clock: Clock, slow: SlowClients
) -> None:
    server.listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 5)
    client = socket.create_connection(server.listening.getsockname())
    client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc")
    server.open += [client, server.listening.accept()[0]]
    first = slow.end_slow()
    clock.now = TIMEOUT_S

    assert (first, slow.end_slow()) == (0, 1)
    assert is_ended(client)


def test_a_request_that_hides_behind_an_answer_is_ended_when_somebody_waits_too_long(
    server: Server, clock: Clock, slow: SlowClients
) -> None:
    client, accepted = server.connect()
    send(client, accepted, b"a request, and half of the next one")
    send(accepted, client, b"answer")
    with slow.waiting():
        ended = []
        for clock.now in (0, TIMEOUT_S, 2 * TIMEOUT_S, 3 * TIMEOUT_S):
            ended.append(slow.end_slow())

    assert ended == [0, 0, 0, 1]
    assert is_ended(client)


@pytest.mark.parametrize(
    ("begins_s", "looks_s"), [(TIMEOUT_S - 5, TIMEOUT_S), (0.0, 2 * TIMEOUT_S)]
)
def test_while_a_request_is_worked_on_its_address_is_left_alone(
    server: Server, clock: Clock, slow: SlowClients, begins_s: float, looks_s: float
) -> None:
    client, accepted = server.connect()
    send(client, accepted, b"request")
    slow.end_slow()
    clock.now = begins_s
    with slow.working("127.0.0.1"):
        clock.now = looks_s
        during = slow.end_slow()

    assert during == 0
    assert not is_ended(client)


def test_idle_and_answered_connections_are_left_alone(
    server: Server, clock: Clock, slow: SlowClients
) -> None:
    idle, _ = server.connect()
    served, accepted = server.connect()
    send(served, accepted, b"request")
    slow.end_slow()
    send(accepted, served, b"answer")
    clock.now = 10 * TIMEOUT_S

    assert slow.end_slow() == 0
    assert not is_ended(idle)
    assert not is_ended(served)


def test_connections_that_this_process_made_itself_are_left_alone(
    server: Server, clock: Clock, slow: SlowClients
) -> None:
    own, accepted = server.connect()
    send(accepted, own, b"notice")
    slow.end_slow()
    clock.now = 10 * TIMEOUT_S

    assert slow.end_slow() == 0
    assert not is_ended(own)


def test_in_a_crowd_each_has_less_time(server: Server, clock: Clock, slow: SlowClients) -> None:
    slow._waiting = dict.fromkeys(range(CROWD), 0.0)
    client, accepted = server.connect()
    send(client, accepted, b"POST")
    slow.end_slow()
    clock.now = CROWD_TIMEOUT_S

    assert slow.end_slow() == 1


def echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


class Broken(BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        raise OSError("the client left")


@pytest.fixture
def arrival() -> Arrival:
    return Arrival(echo, max_bytes=1_000_000, slow_clients=SlowClients(timeout_s=TIMEOUT_S))


@pytest.mark.parametrize("size", [0, 1, SMALL_BYTES, SMALL_BYTES + 1, 1_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_arrives_whole(arrival: Arrival, size: int, chunked: bool) -> None:
    environ = EnvironBuilder(method="POST", data=b"x" * size).get_environ()
    if chunked:
        environ.pop("CONTENT_LENGTH", None)
        environ["HTTP_TRANSFER_ENCODING"] = "chunked"

    body, status, _ = run_wsgi_app(arrival, environ)

    assert status == "200 OK"
    assert b"".join(body) == b"x" * size


def test_what_is_too_large_is_not_read(arrival: Arrival) -> None:
    environ = EnvironBuilder(method="POST", data=b"x").get_environ()
    environ["CONTENT_LENGTH"] = "1000001"
    stream = environ["wsgi.input"]

    run_wsgi_app(lambda given, start: (start("200 OK", []), [])[1], environ)
    size = arrival._size_of(environ)

    assert size == 0
    assert environ["wsgi.input"] is stream


def test_a_body_that_breaks_off_is_an_error_of_the_client(arrival: Arrival) -> None:
    environ = EnvironBuilder(method="POST", data=b"x").get_environ()
    environ["wsgi.input"] = Broken()

    body, status, _ = run_wsgi_app(arrival, environ)

    assert status == "400 BAD REQUEST"
    assert b'"bad_body"' in b"".join(body)


@pytest.mark.parametrize("size", [2, SMALL_BYTES + 1])
def test_a_body_that_is_shorter_than_it_says_is_refused(arrival: Arrival, size: int) -> None:
    environ = EnvironBuilder(method="POST", data=b"x").get_environ()
    environ["CONTENT_LENGTH"] = str(size)

    body, status, _ = run_wsgi_app(arrival, environ)

    assert status == "400 BAD REQUEST"
    assert b'"bad_body"' in b"".join(body)


def test_large_bodies_share_a_room_and_wait_for_it(arrival: Arrival) -> None:
    room = arrival._room
    room.take(room._free - SMALL_BYTES, within_s=0)
    environ = EnvironBuilder(method="POST", data=b"x" * (SMALL_BYTES + 1)).get_environ()
    small = EnvironBuilder(method="POST", data=b"x" * SMALL_BYTES).get_environ()
    threading.Timer(0.05, room.give, [SMALL_BYTES]).start()

    _, first, _ = run_wsgi_app(arrival, small)
    _, second, _ = run_wsgi_app(arrival, environ)

    assert (first, second) == ("200 OK", "200 OK")
