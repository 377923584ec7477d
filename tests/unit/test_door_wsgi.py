"""Requests and answers of the doors say the same as those of werkzeug that they are made of."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request, Response

from app.door_wsgi import DoorRequest, send

JSON = "application/json"
ANSWERS: dict[str, Callable[[], Response]] = {
    "JSON": lambda: Response(b'{"event_id":"x"}', status=201, mimetype=JSON),
    "text": lambda: Response("ä", status=200, mimetype="text/javascript"),
    "an empty body": lambda: Response(b"", status=200, mimetype=JSON),
    "nothing": lambda: Response(status=204),
    "nothing, with a body": lambda: Response(b"{}", status=204, mimetype=JSON),
    "not modified": lambda: Response(b"{}", status=304, headers={"ETag": '"a"'}),
    "parts": lambda: Response([b"a", b"b"], status=200, mimetype=JSON),
    "a stream": lambda: Response(iter([b"a", b"b"]), status=200, mimetype=JSON),
}


def environ_of(method: str = "POST", **more: Any) -> dict[str, Any]:
    return {**EnvironBuilder(path="/in", method=method).get_environ(), **more}


@pytest.mark.parametrize("method", ["POST", "GET", "HEAD"])
@pytest.mark.parametrize("make", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_is_sent_as_werkzeug_sends_it(make: Callable[[], Response], method: str) -> None:
    def sent(by: Callable[[Response, dict[str, Any], Any], Iterable[bytes]]) -> tuple[Any, bytes]:
        begun: list[Any] = []
        body = by(make(), environ_of(method), lambda *start: begun.append(start))
        return begun, b"".join(body)

    assert sent(send) == sent(lambda response, environ, start: response(environ, start))


@pytest.mark.parametrize(
    "name", ["User-Agent", "user-agent", "Content-Type", "CONTENT-LENGTH", "X-Write-Key", "DNT"]
)
def test_headers_are_those_of_the_request(name: str) -> None:
    environ = environ_of(
        HTTP_USER_AGENT="a", CONTENT_TYPE=JSON, CONTENT_LENGTH="7", HTTP_X_WRITE_KEY="é"
    )
    ours, theirs = DoorRequest(environ).headers, Request(environ).headers

    assert ours.get(name) == theirs.get(name)
    assert ours.get(name, "none") == theirs.get(name, "none")
    assert ours.get(name, type=int) == theirs.get(name, type=int)


@pytest.mark.parametrize("query", ["", "writeKey=a&writeKey=b", "a", "a=%ff", "=&"])
def test_parameters_are_those_of_the_query(query: str) -> None:
    environ = environ_of(QUERY_STRING=query)

    assert DoorRequest(environ).args == Request(environ).args


def test_a_request_is_gone_when_nobody_holds_it() -> None:
    gc.disable()
    try:
        request = DoorRequest(environ_of())
        held = weakref.ref(request)
        del request

        assert held() is None
    finally:
        gc.enable()
