"""Send prebuilt requests as fast as they are answered: `python -m bench.load`, its own process.

It reads one job a line from standard input and answers with one line: `ready` when the requests are
built, and after the line `go` what it measured. Raw sockets keep its share of the processor small;
an HTTP library would cost more than the server.
"""

from __future__ import annotations

import socket
import sys
import time
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


class Sent(msgspec.Struct):
    """When it began and ended on the monotonic clock, and how often the door was full."""

    began_s: float
    ended_s: float
    refused: int


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
    waiting = iter(requests)
    sockets = [socket.create_connection((job.host, job.port), 30) for _ in range(job.connections)]
    with ThreadPoolExecutor(job.connections) as pool:
        began_s = time.monotonic()
        refused = sum(pool.map(lambda connection: _send_all(connection, waiting), sockets))
        ended_s = time.monotonic()
    for connection in sockets:
        connection.close()
    return Sent(began_s=began_s, ended_s=ended_s, refused=refused)


def _send_all(connection: socket.socket, requests: object) -> int:
    refused = 0
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # Taking the next item of a list iterator is one step under the interpreter's lock.
    for request in requests:  # type: ignore[attr-defined]
        while (answer := _exchange(connection, request))[9:12] == b"503":
            refused += 1
            time.sleep(RETRY_S)
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
