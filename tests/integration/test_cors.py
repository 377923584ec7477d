"""CORS: pages may send events and read the answers, errors too; the reading API stays closed."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine

from models.api_keys import WRITE
from models.database import transaction
from models.key_changes import issue_key
from tests.builders import NOW
from tests.doors import OUR_DOORS
from tests.integration.test_door import URL, VIEW, check_problem

SHOP = "https://shop.example"
ASKING = {
    "Origin": SHOP,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type,x-write-key",
}


def cors_of(answer: Any) -> dict[str, str]:
    return {
        name.lower().removeprefix("access-control-"): value
        for name, value in answer.headers
        if name.lower().startswith("access-control-")
    }


@pytest.fixture
def shop_key(engine: Engine) -> str:
    """Make a write key for the pages of one shop."""
    with transaction(engine) as session:
        return issue_key(session, kind=WRITE, name="shop", now=NOW, allowed_origins=(SHOP,))[1]


@pytest.mark.parametrize("path", sorted(OUR_DOORS))
def test_a_browser_that_asks_before_is_told_what_it_may_send(
    client: FlaskClient, path: str
) -> None:
    answer = client.options(path, headers=ASKING)

    assert (answer.status_code, answer.data) == (204, b"")
    found = cors_of(answer)
    assert (found["allow-origin"], found["allow-methods"]) == (SHOP, "POST")
    assert (found["allow-credentials"], answer.headers["Vary"]) == ("true", "Origin")
    assert {name.strip().lower() for name in found["allow-headers"].split(",")} >= {
        "authorization",
        "content-encoding",
        "content-type",
        "idempotency-key",
        "x-client-anon-id",
        "x-write-key",
    }
    assert int(found["max-age"]) > 0


@pytest.mark.parametrize(
    ("event", "status"), [(VIEW, 201), ({"event_type": ""}, 422), ("no event", 400)]
)
def test_a_page_can_read_every_answer_of_the_door(
    client: FlaskClient, event: Any, status: int
) -> None:
    answer = client.post(URL, json=event, headers={"Origin": SHOP})

    assert answer.status_code == status
    assert cors_of(answer) == {
        # Older versions of posthog-js send with credentials, for which no `*` will do.
        "allow-origin": SHOP,
        "allow-credentials": "true",
        "expose-headers": "Retry-After, X-Request-ID",
    }


def test_a_page_that_a_key_is_not_for_can_read_that(client: FlaskClient, shop_key: str) -> None:
    evil = "https://evil.example"

    own = client.post(URL, json=VIEW, headers={"X-Write-Key": shop_key, "Origin": SHOP})
    other = client.post(URL, json=VIEW, headers={"X-Write-Key": shop_key, "Origin": evil})

    assert own.status_code == 201
    check_problem(other, 403, "origin_not_allowed")
    # An SDK that cannot read the answer takes it for a fault of the network, and sends again.
    assert [cors_of(answer)["allow-origin"] for answer in (own, other)] == [SHOP, evil]


def test_a_request_from_no_page_gets_no_such_headers(client: FlaskClient) -> None:
    answer = client.post(URL, json=VIEW)

    assert (cors_of(answer), answer.headers["Vary"]) == ({}, "Origin")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("OPTIONS", "/api/keys"),
        ("GET", "/api/keys"),
        ("GET", "/api/recommendations/popular"),
        ("GET", "/openapi.json"),
        ("GET", "/nowhere"),
    ],
)
def test_the_reading_api_lets_no_page_in(
    client: FlaskClient, admin: dict[str, str], method: str, path: str
) -> None:
    answer = client.open(path, method=method, headers={**admin, **ASKING})

    assert cors_of(answer) == {}
