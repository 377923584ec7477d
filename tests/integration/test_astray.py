"""Whoever misses a door is told where it is, in words that their SDK and their browser show."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.builders import body
from tests.integration.test_door import check_problem

PAGE = {"Origin": "https://shop.example"}


@pytest.mark.parametrize(
    ("path", "door"),
    [
        ("/segment/v1/batch", "/v1/batch"),
        ("/v1/batch/v1/batch/", "/v1/batch"),
        ("/mr/mr/v1/t", "/v1/t"),
        ("/V1/Batch", "/v1/batch"),
        ("/ingest/e/", "/e"),
        ("/ph/i/v0/e/", "/i/v0/e"),
        ("/x/v1/projects/wk_1/settings", "/v1/projects/wk_1/settings"),
    ],
)
def test_a_path_that_ends_as_a_door_does_names_the_door(
    client: FlaskClient, path: str, door: str
) -> None:
    preflight = client.options(path, headers=PAGE)
    answer = client.post(path, json={"batch": []}, headers=PAGE)

    check_problem(answer, 404, "not_found")
    detail = body(answer)["detail"]
    assert f"but at {door}: " in detail
    assert detail.endswith("is http://localhost or http://localhost/mr")
    assert body(answer)["message"] == detail
    # A console that cannot read the answer would speak of CORS.
    assert preflight.status_code == 204
    for each in (preflight, answer):
        assert each.headers.getlist("Access-Control-Allow-Origin") == [PAGE["Origin"]]


@pytest.mark.parametrize("path", ["/nowhere", "/", "/api/s/track", "/api/nowhere", "/é/%F0%9F"])
@pytest.mark.parametrize("method", ["DELETE", "OPTIONS", "POST"])
def test_any_other_path_is_open_to_no_page(client: FlaskClient, path: str, method: str) -> None:
    answer = client.open(path, method=method, headers=PAGE)

    assert answer.status_code in (200, 404, 405)
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("path", ["//v1/batch", "/mr//v1/batch", "///mr/v1//batch/"])
def test_slashes_too_many_do_no_harm(client: FlaskClient, path: str) -> None:
    answer = client.post(json={"batch": []}, environ_overrides={"PATH_INFO": path})

    assert (answer.status_code, body(answer)) == (200, {"success": True})


@pytest.mark.parametrize("path", ["/v1/batch", "/mr/in", "/api/v1/analytics/events/"])
def test_a_door_that_is_opened_in_a_browser_says_what_it_is(client: FlaskClient, path: str) -> None:
    answer = client.get(path)

    check_problem(answer, 405, "method_not_allowed")
    assert body(answer)["detail"] == "programs send events here, by POST: not by GET"


@pytest.mark.parametrize("path", ["/mr", "/mr/"])
def test_the_prefix_says_what_it_is_for(client: FlaskClient, path: str) -> None:
    answer = client.get(path)

    assert answer.status_code == 200
    assert "give this address to your SDK" in body(answer)["detail"]
    for link in body(answer)["links"].values():
        assert client.get(link).status_code in (200, 405)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/analytics.js/v1/wk_1/analytics.min.js", "@segment/analytics-next"),
        ("/static/array.js", "posthog-js"),
    ],
)
def test_a_snippet_that_asks_for_its_sdk_is_told_in_the_console(
    client: FlaskClient, path: str, name: str
) -> None:
    for prefix in ("", "/mr"):
        answer = client.get(prefix + path, headers=PAGE)

        assert (answer.status_code, answer.mimetype) == (200, "text/javascript")
        assert answer.text.startswith('console.error("Millrace does not serve')
        assert name in answer.text
        assert answer.text.count('"') == 2
