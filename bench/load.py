"""Send prebuilt requests as fast as they are answered: `python -m bench.load`, its own process.

It reads one job a line from standard input and answers with one line: `ready` when the requests are
built, and after the line `go` what it measured. Raw sockets keep its share of the processor small;
an HTTP library would cost more than the server.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec

from bench.events import Plan, make_bodies

PATH = "/api/v1/analytics/events/"
USER_AGENT = "millrace-bench"
RETRY_S = 0.02


class Job(msgspec.Struct):
    """What to send, where, and over how many connections at once."""

    host: str
    port: int
    write_key: str
    connections: int
    plan: Plan
    #: Requests a second, each due at its time whether or not others are answered; 0: no pause.
    per_s: float = 0.0


class Sent(msgspec.Struct):
    """When it began and ended on the monotonic clock, how often the door was full, and the waits.

    A request waits from the moment it is due, so that one that is slow makes those behind it slow.
    """

    began_s: float
    ended_s: float
    refused: int
    p50_ms: float
    p99_ms: float


def main() -> None:
    """Carry out jobs until standard input ends."""
    for line in sys.stdin:
        job = msgspec.json.decode(line, type=Job)
        requests = [_request(job, body) for body in make_bodies(job.plan)]
        print("ready", flush=True)
        sys.stdin.readline()
        print(msgspec.json.encode(send(job, requests)).decode(), flush=True)


def send(job: Job, requests: list[bytes]) -> Sent:
    """Send the requests in order, the next free connection taking the next one."""
    waiting = iter(enumerate(requests))
    sockets = [socket.create_connection((job.host, job.port), 30) for _ in range(job.connections)]
    waits_s: list[float] = []
    with ThreadPoolExecutor(job.connections) as pool:
        began_s = time.monotonic()
        pause_s = 1 / job.per_s if job.per_s else 0.0
        tasks = [
            pool.submit(_send_all, connection, waiting, waits_s, began_s, pause_s)
            for connection in sockets
        ]
        refused = sum(task.result() for task in tasks)
        ended_s = time.monotonic()
    for connection in sockets:
        connection.close()
    waits_s.sort()
    p50_ms, p99_ms = (waits_s[int(share * (len(waits_s) - 1))] * 1000 for share in (0.5, 0.99))
    return Sent(began_s, ended_s, refused, p50_ms, p99_ms)


def _send_all(
    connection: socket.socket,
    requests: Iterator[tuple[int, bytes]],
    waits_s: list[float],
    began_s: float,
    pause_s: float,
) -> int:
    refused = 0
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # Taking the next item of an iterator in C is one step under the interpreter's lock.
    for number, request in requests:
        due_s = began_s + number * pause_s if pause_s else time.monotonic()
        time.sleep(max(0.0, due_s - time.monotonic()))
        while (answer := _exchange(connection, request))[9:12] == b"503":
            refused += 1
            time.sleep(RETRY_S)
        waits_s.append(time.monotonic() - due_s)
        if answer[9:12] != b"201" or b'"rejected"' in answer:
            raise RuntimeError(f"the door answered {answer[:400]!r}")
    return refused


def _exchange(connection: socket.socket, request: bytes) -> bytes:
    connection.sendall(request)
    answer = connection.recv(262_144)
    while (end := answer.find(b"\r\n\r\n")) < 0:
        answer += _receive(connection)
    head = answer[:end].lower()
    mark = head.index(b"content-length:") + 15
    size = int(head[mark : head.find(b"\r\n", mark) if b"\r\n" in head[mark:] else None])
    while len(answer) < end + 4 + size:
        answer += _receive(connection)
    return answer


def _receive(connection: socket.socket) -> bytes:
    data = connection.recv(262_144)
    if not data:
        raise ConnectionError("the door closed the connection in the middle of an answer")
    return data


def _request(job: Job, body: bytes) -> bytes:
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: {job.host}:{job.port}\r\nUser-Agent: {USER_AGENT}\r\n"
        f"X-Write-Key: {job.write_key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


if __name__ == "__main__":
    main()
