"""The lane: which paths are a door's, with every prefix an installation may choose."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import EnvironBuilder, run_wsgi_app

from app.errors import Problem
from app.lane import IngestionLane
from app.places import PLACES
from tests.integration.test_door import VIEW

AppWith = Callable[..., FlaskClient]


@pytest.mark.parametrize("prefix", ["/v1", "/i", "/api", "/e", "/a/b"])
def test_a_prefix_that_a_path_begins_with_hides_no_door(app_with: AppWith, prefix: str) -> None:
    client = app_with(door_prefix=prefix)
    message = {"type": "track", "event": "Song Played", "userId": "u1"}

    answers = [
        client.post("/v1/batch", json={"batch": [message]}),
        client.post(f"{prefix}/v1/batch", json={"batch": [message]}),
        client.post("/api/v1/analytics/events/", json=VIEW),
        client.post(f"{prefix}/in", json=VIEW),
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 201, 201]
    assert [answer.get_json() for answer in answers[:2]] == [{"success": True}] * 2


@pytest.mark.parametrize(
    "path",
    [
        "/mrx/v1/batch", "/mr/mr/v1/batch", "/mrin", "/in",
        "/V1/batch", "/v1/batch;a=b", "/mr/../v1/batch",
        "/v1/projects//settings", "/array/a/b/config", "/static/a/b/recorder.js",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_door_is_none(client: FlaskClient, path: str) -> None:
    assert client.open(base_url="http://localhost", path=path).status_code == 404


@pytest.mark.parametrize("value", ["Basic é", "Basic ÿ", "Basic =", "Basic", "Bearer é", "é", ""])
@pytest.mark.parametrize(
    "path",
    ["/v1/batch", "/batch/", "/i/v1/analytics/events", "/cloudevents", "/mr/in", "/api/keys"],
)
def test_a_broken_authorization_is_no_error_of_ours(
    client: FlaskClient, path: str, value: str
) -> None:
    header = {"HTTP_AUTHORIZATION": value}

    answer = client.post(path, json={"batch": []}, environ_overrides=header)

    assert answer.status_code < 500


class _CutOff(io.RawIOBase):
    """A body as servers give it whose client has gone, or has written bad chunks."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        raise OSError("Invalid chunk size: b'zz'")


@pytest.mark.parametrize("path", ["/v1/batch", "/batch/", "/cloudevents", "/mr/in"])
def test_a_body_that_breaks_off_is_refused(client: FlaskClient, path: str) -> None:
    answer = client.post(
        path,
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input": _CutOff(), "wsgi.input_terminated": True},
    )

    assert answer.status_code == 400
    assert answer.get_json()["code"] == "bad_body"


def answer_ok(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return []


def test_questions_that_are_not_answered_keep_no_event_out(app: Flask) -> None:
    lane = IngestionLane(answer_ok, app.extensions["millrace"], prefix="")
    event = EnvironBuilder(path="/api/v1/analytics/events/", method="POST", json=VIEW)

    with ExitStack() as waiting:
        for _ in range(PLACES):
            waiting.enter_context(lane.others.taken())
        _, stored, _ = run_wsgi_app(lane, event.get_environ())
        _, alive, _ = run_wsgi_app(lane, EnvironBuilder(path="/healthz").get_environ())

    assert (stored, alive) == ("201 CREATED", "200 OK")


def test_who_waits_too_long_for_a_place_is_told_to_come_again(app: Flask) -> None:
    lane = IngestionLane(answer_ok, app.extensions["millrace"], prefix="")
    lane.others.within_s = 0.01

    with ExitStack() as waiting:
        for _ in range(PLACES):
            waiting.enter_context(lane.others.taken())
        with pytest.raises(Problem) as refused:
            run_wsgi_app(lane, EnvironBuilder(path="/api/products").get_environ())
        probes = [
            run_wsgi_app(lane, EnvironBuilder(path=path).get_environ())[1]
            for path in ("/readyz", "/metrics")
        ]
    _, later, _ = run_wsgi_app(lane, EnvironBuilder(path="/api/products").get_environ())

    assert (refused.value.status, refused.value.code) == (503, "busy")
    assert int(refused.value.headers["Retry-After"]) > 0
    assert probes == ["200 OK"] * 2
    assert later == "200 OK"
    assert (lane.others.free, lane.probes.free) == (PLACES, PLACES)


def test_requests_that_fail_keep_no_place(app: Flask) -> None:
    def fail(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        raise OSError("the client left")

    lane = IngestionLane(fail, app.extensions["millrace"], prefix="")

    for path in ("/api/products", "/v1/batch"):
        environ = EnvironBuilder(path=path, method="POST", data=b"{").get_environ()
        with suppress(OSError):
            run_wsgi_app(lane, environ)

    assert (lane.doors.free, lane.others.free) == (PLACES, PLACES)
