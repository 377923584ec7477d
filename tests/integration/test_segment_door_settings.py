"""What RudderStack's pixels and the SDKs before their start get from the Segment doors."""

from __future__ import annotations

import pytest
import redis
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

import inbox
from tasks.ingest import Drainer
from tests.builders import body
from tests.integration.test_segment_door import (
    PAGE,
    AppWith,
    basic,
    check_refused,
    stored,
)


def test_a_pixel_is_taken_and_answered_with_an_image(
    client: FlaskClient, write_key: str, drainer: Drainer, session: Session
) -> None:
    query = {
        "writeKey": write_key,
        "userId": '"u1"',
        "event": "Product Viewed",
        "properties": '{"product_id":"p1"}',
        "properties.price": "9.5",
        "context.page.url": "https://shop.example/amp",
    }

    track = client.get("/pixel/v1/track", query_string=query, headers=PAGE)
    page = client.get("/mr/pixel/v1/page/", query_string={"anonymousId": "a1", "name": "Home"})

    for answer in (track, page):
        assert (answer.status_code, answer.mimetype) == (200, "image/gif")
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.data[:6] == b"GIF89a"
    events = {event.event_type: event for event in stored(drainer, session)}
    assert events["product_view"].product_id == "p1"
    assert events["product_view"].properties == {"price": "9.5"}
    assert events["product_view"].source == "web"
    assert events["page_view"].anonymous_id == "a1"


@pytest.mark.parametrize(
    "query",
    [
        "", "writeKey=wk_unknown&userId=u&event=e", "event=e", "userId=u", "userId=u&event=%00",
        "a.b.c.d.e.f.g.h.i.j.k=1&a=2&a.b=3", "...=1&.=2", "properties=[1]&userId=u&event=e",
        "properties=" + "%5B" * 5000, "event=%ED%A0%80&a=%00",
    ],
)  # fmt: skip
def test_a_pixel_is_an_image_even_where_nothing_can_be_taken(
    client: FlaskClient, drainer: Drainer, session: Session, query: str
) -> None:
    answer = client.get(f"/pixel/v1/track?{query}")

    assert (answer.status_code, answer.mimetype) == (200, "image/gif")
    assert stored(drainer, session) == []


def test_a_pixel_that_is_only_asked_for_is_not_taken(
    client: FlaskClient, redis_client: redis.Redis
) -> None:
    answer = client.head("/pixel/v1/page?userId=u1")

    assert (answer.status_code, answer.data) == (200, b"")
    assert inbox.read_depth(redis_client).batches == 0


@pytest.mark.parametrize("prefix", ["", "/mr"])
def test_analytics_js_is_told_to_send_here(
    client: FlaskClient, write_key: str, prefix: str
) -> None:
    answer = client.get(f"{prefix}/v1/projects/{write_key}/settings", headers=PAGE)

    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "private, max-age=3600"
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE["Origin"]
    segment = body(answer)["integrations"]["Segment.io"]
    assert (segment["apiKey"], segment["apiHost"], segment["protocol"]) == (
        write_key,
        f"localhost{prefix}/v1",
        "http",
    )
    assert body(answer)["metrics"]["sampleRate"] == 0


@pytest.mark.parametrize(
    ("proxies", "origin"), [(0, ("http", "localhost")), (1, ("https", "mr.shop.example"))]
)
def test_a_proxy_is_believed_where_one_is_trusted(
    app_with: AppWith, write_key: str, proxies: int, origin: tuple[str, str]
) -> None:
    forwarded = {"X-Forwarded-Proto": "http, https", "X-Forwarded-Host": "x, mr.shop.example"}

    answer = app_with(trusted_proxies=proxies).get(
        f"/v1/projects/{write_key}/settings", headers=forwarded
    )

    segment = body(answer)["integrations"]["Segment.io"]
    assert (segment["protocol"], segment["apiHost"]) == (origin[0], f"{origin[1]}/v1")


def test_rudder_sdk_js_is_told_of_no_other_destination(client: FlaskClient, write_key: str) -> None:
    for answer in (
        client.get(f"/sourceConfig/?p=npm&writeKey={write_key}", headers=PAGE),
        client.get("/mr/sourceConfig?p=android", headers={"Authorization": basic(write_key)}),
    ):
        source = body(answer)["source"]
        assert source["id"]
        assert source["enabled"] is True
        assert source["destinations"] == []
        assert source["config"]["statsCollection"]["errors"]["enabled"] is False
        assert "max-age" in answer.headers["Cache-Control"]


def test_settings_of_a_key_that_is_none_are_refused(client: FlaskClient, app_with: AppWith) -> None:
    check_refused(client.get("/v1/projects/wk_unknown/settings"), 401, "invalid_key")
    check_refused(client.get("/sourceConfig?writeKey=wk_unknown"), 401, "invalid_key")
    strict = app_with(require_key=True)
    check_refused(strict.get("/sourceConfig"), 401, "key_required")
    assert strict.head("/sourceConfig?view=ad").status_code == 200


def test_a_browser_may_send_the_headers_that_it_asks_for(client: FlaskClient) -> None:
    answer = client.options(
        "/v1/t",
        headers={
            "Origin": "https://shop.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "anonymousid,authorization,content-type,sentat",
        },
    )

    assert answer.status_code == 204
    assert (
        "anonymousid,authorization,content-type,sentat"
        in (answer.headers["Access-Control-Allow-Headers"])
    )
    assert answer.headers["Access-Control-Max-Age"] == "86400"
