"""What posthog-js asks for besides: it is told that everything but events is off."""

from __future__ import annotations

import orjson
import pytest
from flask.testing import FlaskClient

from tests.builders import body

OFF = ("sessionRecording", "surveys", "heatmaps", "capturePerformance", "captureDeadClicks")
PAGE = {"Origin": "https://shop.example"}


@pytest.mark.parametrize("prefix", ["", "/mr"])
def test_the_configuration_turns_everything_but_events_off(
    client: FlaskClient, prefix: str
) -> None:
    answer = client.get(f"{prefix}/array/wk_1/config", headers=PAGE)

    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE["Origin"]
    config = body(answer)
    assert not any(config[name] for name in OFF)
    assert config["hasFeatureFlags"] is False
    assert config["analytics"]["endpoint"] == "/i/v0/e/"


def test_the_configuration_is_a_script_too(client: FlaskClient) -> None:
    answer = client.get("/array/wk_1/config.js", headers=PAGE)
    odd = client.get("/array/wk_1%3Cscript%3E/config.js")

    assert answer.mimetype == "text/javascript"
    assert answer.text.startswith("(function(w){")
    config = answer.text.partition("{config:")[2].partition(",siteApps:")[0]
    assert orjson.loads(config)["token"] == "wk_1"
    assert "<" not in odd.text


@pytest.mark.parametrize("path", ["/flags/?v=2", "/flags?v=2&config=true", "/decide/?v=3"])
def test_there_are_no_feature_flags(client: FlaskClient, path: str) -> None:
    answer = client.post(path, data=b"\x1f\x8b whatever", headers=PAGE)

    assert answer.status_code == 200
    assert body(answer)["featureFlags"] == body(answer)["flags"] == {}
    assert body(answer)["errorsWhileComputingFlags"] is False


@pytest.mark.parametrize("name", ["lazy-recorder", "surveys", "web-vitals", "toolbar"])
def test_the_scripts_of_what_is_off_do_nothing(client: FlaskClient, name: str) -> None:
    for path in (f"/static/{name}.js?v=1.449.2", f"/mr/static/1.449.2/{name}.js"):
        answer = client.get(path, headers=PAGE)

        assert (answer.status_code, answer.mimetype, answer.data) == (200, "text/javascript", b"")
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE["Origin"]


def test_recordings_are_taken_for_read(client: FlaskClient) -> None:
    answer = client.post("/s/?compression=gzip-js", data=b"x" * 1000, headers=PAGE)

    assert (answer.status_code, body(answer)) == (200, {"status": 1})
