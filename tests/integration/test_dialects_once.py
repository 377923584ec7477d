"""A message is one event, however it comes again: path, envelope, packing, process or clock."""

from __future__ import annotations

import base64
import gzip
import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.ingest import Drainer
from tests.builders import DAY_MS, NOW, NOW_MS, uuid7_at

AppWith = Callable[..., FlaskClient]
Post = Callable[[FlaskClient, str, Any, str], Any]
V1 = "/i/v1/analytics/events"


def _json(path: str, wrap: Callable[[str, Any, str], Any], *, packed: bool = False) -> Post:
    def send(client: FlaskClient, key: str, message: Any, sent_at: str) -> Any:
        data = orjson.dumps(wrap(key, message, sent_at))
        headers = {"PostHog-Request-Timestamp": sent_at}
        if path == V1:
            headers["Authorization"] = f"Bearer {key}"
        if packed:
            data, headers["Content-Encoding"] = gzip.compress(data), "gzip"
        return client.post(f"{path}?writeKey={key}", data=data, headers=headers)

    return send


def _form(client: FlaskClient, key: str, message: Any, sent_at: str) -> Any:
    data = base64.b64encode(orjson.dumps([{**message, "api_key": key}])).decode()
    return client.post("/e/", data={"data": data, "compression": "base64"})


SEGMENT = [
    _json("/v1/batch", lambda key, one, sent: {"batch": [one], "writeKey": key, "sentAt": sent}),
    _json("/mr/v1/b", lambda key, one, sent: {"batch": [one], "sentAt": sent}, packed=True),
    _json("/beacon/v1/batch", lambda key, one, sent: {"batch": [{**one, "sentAt": sent}]}),
    _json("/v1/track", lambda key, one, sent: {**one, "writeKey": key, "sentAt": sent}),
    _json("/mr/v1/t", lambda key, one, sent: {**one, "sentAt": sent}),
]
POSTHOG = [
    _json("/batch/", lambda key, one, sent: {"api_key": key, "batch": [one], "sent_at": sent}),
    _json("/mr/e", lambda key, one, sent: [{**one, "token": key}], packed=True),
    _json("/i/v0/e/", lambda key, one, sent: {**one, "api_key": key, "sent_at": sent}),
    _json(V1, lambda key, one, sent: {"created_at": sent, "batch": [one]}),
    _form,
]
NATIVE = [
    _json("/api/v1/analytics/events/", lambda key, one, sent: one),
    _json("/mr/in", lambda key, one, sent: {"events": [one], "sent_at": sent}, packed=True),
    _json("/api/events/log", lambda key, one, sent: one),
    _json("/api/events/log/batch", lambda key, one, sent: [one]),
]

_numbers = itertools.count(1)
#: Each example has a message of its own.
_NAMES: list[Callable[[int], str]] = [
    lambda number: f"ajs-next-{number}",
    lambda number: uuid7_at(NOW_MS - 5000, number),
    lambda number: uuid7_at(NOW_MS - 2 * DAY_MS, number),
]
_times = st.sampled_from([None, (NOW - timedelta(hours=1)).isoformat(), NOW_MS - 3_600_000])
_skews_s = st.sampled_from([0, 5, 45, -45, 3600, -3600, 90_000])
_tries = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1), _skews_s), min_size=2, max_size=4)


def _segment(name: str, time: Any) -> dict[str, Any]:
    return {"type": "track", "event": "E", "anonymousId": "a", "messageId": name, "timestamp": time}


def _posthog(name: str, time: Any) -> dict[str, Any]:
    return {"event": "E", "distinct_id": "a", "uuid": name, "timestamp": time}


def _native(name: str, time: Any) -> dict[str, Any]:
    return {"event_type": "E", "anonymous_id": "a", "message_id": name, "timestamp": time}


@pytest.fixture
def processes(app_with: AppWith) -> list[FlaskClient]:
    """Give two web processes of one installation; each has its own memory of clocks."""
    return [app_with(), app_with()]


@pytest.mark.parametrize(
    ("posts", "make"),
    [(SEGMENT, _segment), (POSTHOG, _posthog), (NATIVE, _native)],
    ids=["segment", "posthog", "native"],
)
@settings(max_examples=25)
@given(tries=_tries, name=st.sampled_from(_NAMES), time=_times)
def test_a_message_that_comes_again_is_one_event(
    processes: list[FlaskClient],
    write_key: str,
    drainer: Drainer,
    posts: list[Post],
    make: Callable[[str, Any], dict[str, Any]],
    tries: list[tuple[int, int, int]],
    name: Callable[[int], str],
    time: Any,
) -> None:
    message = make(name(next(_numbers)), time)

    for path, process, skew_s in tries:
        sent_at = (NOW - timedelta(seconds=skew_s)).isoformat()
        answer = posts[path % len(posts)](processes[process], write_key, message, sent_at)
        assert answer.status_code in (200, 201), answer.data

    result = drainer.drain()
    assert (result.stored, result.quarantined) == (1, 0)
