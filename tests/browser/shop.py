"""A shop whose pages carry the tracker, and the network between its visitors and Millrace."""

from __future__ import annotations

import html
import io
import json
import random
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Request, Response

from models.events import Event
from tasks.ingest import Drainer

#: What becomes of a request to the door, told by its number.
Weather = Callable[[int], str]

#: What a tab does when the network is back: it waits for no pause.
SKIP_PAUSE = "dispatchEvent(new Event('online'))"
_WAITING = "Object.keys(localStorage).filter((key) => key.startsWith('mr_q')).length"


def fair(number: int) -> str:
    """Let every request through."""
    return "pass"


def storm(seed: int, share: float = 0.3) -> Weather:
    """Make a share of the requests fail, each in one of the ways in which requests do.

    The request is lost, its answer is lost after the events were accepted, or the server is busy.
    """
    dice = random.Random(seed)
    ways = ("lose_request", "lose_answer", "lose_answer", "busy")
    return lambda number: dice.choice(ways) if dice.random() < share else "pass"


class Shop:
    """Serve pages with the tracker; pass what it sends to Millrace, or lose it."""

    def __init__(self, millrace: Any, *, engine: Engine, drainer: Drainer, key: str) -> None:
        self.key = key
        self.weather: Weather = fair
        self.gate = threading.Event()
        self.gate.set()
        #: Attributes of the script tag, and what the page's body and head hold.
        self.attributes: dict[str, str] = {"data-auto": "false", "data-excluded": "false"}
        self.body = ""
        self.head = ""
        self.retry_after = "0"
        self.pages: dict[str, str] = {}
        self.requests: list[tuple[str, str, int]] = []
        self.sent: list[Any] = []
        self._millrace = millrace
        self._engine = engine
        self._drainer = drainer
        self._lock = threading.Lock()
        self._count = 0

    def open(self, url: str, context: Any) -> None:
        """Begin to take visitors."""
        self.url = url
        self.context = context

    def close(self) -> None:
        """Send the visitors home."""
        self.gate.set()
        self.context.close()

    def answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        request = Request(environ)
        if not request.path.startswith("/mr/"):
            page = self.pages.get(request.path) or self.page()
            return Response(page, mimetype="text/html")(environ, start_response)
        if request.path != "/mr/in":
            passed: Iterable[bytes] = self._millrace(environ, start_response)
            return passed
        with self._lock:
            self._count += 1
            way = self.weather(self._count)
        return self._deliver(request, environ, start_response, way)

    def _deliver(
        self, request: Request, environ: dict[str, Any], start_response: Any, way: str
    ) -> Iterable[bytes]:
        body = request.get_data(cache=True)
        answer = Response()
        if way in ("pass", "lose_answer", "garble", "cut"):
            environ["wsgi.input"] = io.BytesIO(body)
            answer = Response.from_app(self._millrace, environ, buffered=True)
            self.gate.wait(30)
        if way == "busy":
            answer = Response("later", 503, {"Retry-After": self.retry_after, **_OPEN})
        if way in _STRANGERS:
            answer = Response("<h1>Who are you?</h1>", _STRANGERS[way], _OPEN, mimetype="text/html")
        if way == "garble":
            answer.set_data(answer.get_data()[:-9])
        if way == "cut":
            answer.set_data(json.dumps({"results": answer.get_json()["results"][:2]}))
        with self._lock:
            self.requests.append((request.method, way, answer.status_code))
            if body:
                self.sent.append(json.loads(body))
        if way.startswith("lose"):
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionAbortedError
        return answer(environ, start_response)

    def page(self) -> str:
        """Write a page that loads the tracker."""
        told = {"data-key": self.key, **self.attributes}
        words = " ".join(f'{name}="{html.escape(value)}"' for name, value in told.items())
        return (
            f"<!doctype html><title>Shop</title>{self.head}"
            f'<script src="{self.url}/mr/m.js" {words}></script><body>{self.body}'
        )

    def visit(self, path: str = "/", **attributes: str) -> Any:
        """Open a page in a new tab; attributes of the tag by their names without data-."""
        for name, value in attributes.items():
            self.attributes[f"data-{name.replace('_', '-')}"] = value
        tab = self.context.new_page()
        tab.goto(self.url + path)
        return tab

    def stored(self) -> list[Any]:
        """Have the worker store what came in; give all events in the order of their ids."""
        self._drainer.drain()
        with Session(self._engine) as session:
            return list(session.scalars(select(Event).order_by(Event.event_id)))


#: What answers in place of Millrace: a hotel's log-in page, a firewall, a proxy without a route.
_STRANGERS = {"portal": 200, "firewall": 403, "no_route": 404}
_OPEN = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Retry-After"}


def waiting(tab: Any) -> int:
    """Count the entries of the queue in localStorage."""
    count: int = tab.evaluate(_WAITING)
    return count


def try_once(tab: Any) -> None:
    """Have a tab send what waits, and wait until that has worked or failed."""
    tab.evaluate(
        f"""async () => {{
            {SKIP_PAUSE};
            for (;;) {{
                const {{ held, pending }} = await navigator.locks.query();
                if (!held.length && !pending.length) return;
                await new Promise((resolve) => setTimeout(resolve, 5));
            }}
        }}"""
    )


def settle(tab: Any) -> None:
    """Have a tab send until nothing waits, whatever pause is on."""
    tab.evaluate(
        f"""async () => {{
            for (let round = 0; round < 100; round++) {{
                {SKIP_PAUSE};
                await millrace.flush();
                if (!{_WAITING}) return;
                await new Promise((resolve) => setTimeout(resolve, 20));
            }}
            throw new Error("the queue does not empty");
        }}"""
    )
