"""Histories of other products: each comes in from its own export, once, with its figures."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner
from flask.testing import FlaskClient
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from cli.import_events import events as command
from datasets.histories.history import PRODUCTS
from models.api_keys import WRITE, create_key
from models.database import transaction
from models.events import Event
from models.product_metrics import ProductMetrics
from settings import Settings
from tasks.ingest import Drainer
from tests.builders import count_events
from tests.integration.test_purge import check

#: The page shows commands with their output, and a query.
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "moving.md").read_text()
#: The command goes by the clock of the machine.
RECENT = datetime.now(UTC).replace(microsecond=0) - timedelta(days=3)
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/141.0.0.0 Safari/537.36"

Run = Callable[..., str]


@pytest.fixture
def run(settings: Settings, tmp_path: Path) -> Run:
    """Give a function that imports the content of a file as a product's export."""
    environment = {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "SECRET_KEY": settings.secret_key,
    }

    def importing(product: str | None, name: str, content: str | bytes, *options: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        arguments = [*(("--from", product) if product else ()), str(path), *options]
        return CliRunner().invoke(command, arguments, env=environment).output

    return importing


def at(minutes: float) -> str:
    """Give a time as SDKs write it, with milliseconds."""
    moment = RECENT + timedelta(minutes=minutes)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rows(session: Session) -> list[Event]:
    session.rollback()
    return list(session.scalars(select(Event).order_by(Event.occurred_at, Event.event_id)))


def shown(arguments: str) -> str:
    """Give the output that the page shows behind an import of a product."""
    _, _, rest = PAGE.partition(f"$ ./millrace import events --from {arguments}\n")
    return rest.partition("```")[0]


def lines(*records: dict[str, Any]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def csv_of(*records: dict[str, Any]) -> str:
    """Write rows as PostgreSQL's COPY … CSV HEADER does: what is not there is empty."""
    names = list(dict.fromkeys(name for record in records for name in record))
    file = io.StringIO()
    writer = csv.DictWriter(file, names, restval="")
    writer.writeheader()
    writer.writerows(records)
    return file.getvalue()


def segment_message(minutes: float, **fields: Any) -> dict[str, Any]:
    """Make an archived message, with the times that Segment adds."""
    return {
        "anonymousId": "a-1",
        "channel": "client",
        "context": {
            "ip": "192.0.2.77",
            "library": {"name": "analytics.js", "version": "next-1.84.3"},
            "page": {"path": "/", "url": "https://shop.example/", "title": "Shop"},
            "userAgent": CHROME,
        },
        "integrations": {},
        "messageId": f"ajs-next-{minutes}",
        "originalTimestamp": at(minutes),
        "projectId": "p9",
        "receivedAt": at(minutes + 0.01),
        "sentAt": at(minutes + 0.005),
        "timestamp": at(minutes + 0.005),
        "type": "track",
        "userId": None,
        "version": 2,
        "writeKey": "key-of-the-source",
        **fields,
    }


ORDER = {
    "order_id": "o-1",
    "total": 30.5,
    "products": [
        {"product_id": "p1", "quantity": 2, "price": 10},
        {"product_id": "p2", "quantity": 1, "price": 10.5},
    ],
}


def test_an_archive_of_segment_comes_with_its_people_and_its_sales(
    run: Run, session: Session, engine: Engine, redis_client: redis.Redis
) -> None:
    archive = gzip.compress(
        lines(
            segment_message(1, type="page", name="Home", properties={"path": "/"}),
            segment_message(2, event="Product Viewed", properties={"product_id": "p1"}),
            segment_message(3, type="identify", userId="u-1", traits={"plan": "pro"}),
            segment_message(4, userId="u-1", event="Order Completed", properties=ORDER),
            segment_message(5, userId="u-1", event="Coupon Denied", properties={"coupon": "X"}),
        ).encode()
    )

    told = run("segment", "logs/source/1700000000000/1700000000123.gz", archive)
    again = run("segment", "logs/source/1700000000000/1700000000123.gz", archive)

    assert told == shown("segment archive/")
    assert "stored 0, duplicate 5, rejected 0" in again
    assert [(event.event_type, event.user_id, event.anonymous_id) for event in rows(session)] == [
        ("page_view", None, "a-1"),
        ("product_view", None, "a-1"),
        ("identify", "u-1", "a-1"),
        ("purchase", "u-1", "a-1"),
        ("coupon_deny", "u-1", "a-1"),
    ]
    first = rows(session)[0]
    assert (first.ip_address, first.user_agent) == ("192.0.2.0", CHROME)
    assert (first.occurred_at, first.clock) == (RECENT + timedelta(minutes=1), None)
    sold = session.get_one(ProductMetrics, "p1")
    assert (sold.total_views, sold.total_sales, sold.total_revenue) == (1, 2, 20)
    assert session.execute(text("SELECT anonymous_id, user_id FROM identities")).all() == [
        ("a-1", "u-1")
    ]
    check(engine, redis_client, "UTC")


def test_a_directory_of_archives_is_read_whole(run: Run, session: Session, tmp_path: Path) -> None:
    for number in (1, 2):
        part = tmp_path / "logs" / str(number) / "part.gz"
        part.parent.mkdir(parents=True)
        part.write_bytes(gzip.compress(lines(segment_message(number, event="Seen")).encode()))
    (tmp_path / "logs" / "_SUCCESS").touch()

    told = run("rudderstack", "logs/3/part.gz", lines(segment_message(3, event="Seen")))
    told = run("rudderstack", "other", "", str(tmp_path / "logs"))

    assert "read 3 rows: stored 2, duplicate 1" in told
    assert count_events(session) == 3


def test_files_of_a_directory_that_are_called_alike_are_told_apart(
    run: Run, session: Session, tmp_path: Path
) -> None:
    row = csv_of({"event_type": "search", "occurred_at": at(1)})
    for folder in ("monday", "tuesday"):
        (tmp_path / "days" / folder).mkdir(parents=True)
        (tmp_path / "days" / folder / "events.csv").write_text(row)

    told = run(None, "days/first.csv", row)
    told = run(None, "days/first.csv", row, str(tmp_path / "days"))

    assert "read 4 rows: stored 2, duplicate 2" in told
    assert count_events(session) == 3


def test_a_clock_that_was_wrong_is_corrected_as_the_archive_says(
    run: Run, session: Session
) -> None:
    archive = lines(
        segment_message(1, event="Early", originalTimestamp=at(-119), messageId="slow"),
        segment_message(2, event="Broken", originalTimestamp="2001-01-01T00:00:00Z"),
    )

    run("segment", "a.json", archive)

    early, broken = rows(session)
    assert early.occurred_at == RECENT + timedelta(minutes=1.005)
    assert early.original_at == RECENT - timedelta(minutes=119)
    assert (early.clock, broken.clock) == ("corrected", "corrected")
    assert broken.original_at == datetime(2001, 1, 1, tzinfo=UTC)
    assert broken.occurred_at == RECENT + timedelta(minutes=2.005)


def test_what_came_in_at_the_door_before_is_not_stored_again(
    run: Run,
    session: Session,
    write_key: str,
    app_with: Callable[..., FlaskClient],
    drainer: Drainer,
) -> None:
    viewed = {"type": "track", "event": "Product Viewed", "properties": {"product_id": "p1"}}
    right = {**viewed, "messageId": "m-1", "anonymousId": "a-1", "timestamp": at(1)}
    # A clock two hours behind: the id is of its time, the event of ours.
    slow = {**viewed, "messageId": "m-2", "anonymousId": "a-2", "timestamp": at(-118)}
    now = datetime.now(UTC)
    client = app_with(clock=now.timestamp)
    for message, sent_at in ((right, now), (slow, now - timedelta(hours=2))):
        client.post(
            "/v1/batch",
            json={"batch": [message], "sentAt": sent_at.isoformat()},
            auth=(write_key, ""),
        )
    drainer.drain()
    key_id = session.execute(text("SELECT key_id FROM api_keys")).scalar_one()
    archive = lines(
        segment_message(1, **{**right, "originalTimestamp": at(1), "timestamp": at(1.001)}),
        segment_message(2, **{**slow, "originalTimestamp": at(-118), "timestamp": at(2)}),
    )

    told = run("segment", "a.json", archive, "--key", key_id)

    assert "read 2 rows: stored 0, duplicate 2, rejected 0" in told
    assert session.get_one(ProductMetrics, "p1").total_views == 2
    assert [event.clock for event in rows(session)] == [None, "corrected"]


def test_a_table_of_segments_warehouse_is_an_event_a_row(run: Run, session: Session) -> None:
    stamp = f"{RECENT:%Y-%m-%d %H:%M:%S}.123"
    common = {
        "id": "ajs-1",
        "anonymous_id": "a-1",
        "user_id": "u-1",
        "received_at": f"{stamp}+00",
        "original_timestamp": f"{stamp}+00",
        "timestamp": f"{stamp}+00",
        "uuid_ts": f"{stamp}+00",
        "context_page_url": "https://shop.example/x",
        "context_ip": "192.0.2.77",
    }
    order = {
        **common, "event": "order_completed", "event_text": "Order Completed", "total": "30.5",
        "products": json.dumps(ORDER["products"]),
    }  # fmt: skip

    run("segment", "order_completed.csv", csv_of(order))
    run("segment", "pages.csv", csv_of({**common, "id": "ajs-2", "path": "/x", "title": "X"}))
    run("segment", "identifies.csv", csv_of({**common, "id": "ajs-3", "email": "a@b.example"}))
    refused = run("segment", "users.csv", csv_of({"id": "u-1", "email": "a@b.example"}))

    by_type = {event.event_type: event for event in rows(session)}
    assert set(by_type) == {"purchase", "page_view", "identify"}
    assert session.get_one(ProductMetrics, "p2").total_revenue == 10.5
    assert by_type["purchase"].context["page"] == {"url": "https://shop.example/x"}
    assert by_type["purchase"].ip_address == "192.0.2.0"
    assert "holds states of people" in refused


def posthog_row(minutes: float, number: int, **fields: Any) -> dict[str, Any]:
    """Make a row of a batch export in JSON lines."""
    ms = int((RECENT + timedelta(minutes=minutes)).timestamp() * 1000)
    hexed = f"{ms:012x}"
    return {
        "uuid": f"{hexed[:8]}-{hexed[8:]}-7000-8000-{number:012x}",
        "event": "$pageview",
        "distinct_id": "d-1",
        "person_id": "018f0000-0000-0000-0000-000000000001",
        "properties": {"$current_url": "https://shop.example/", "$session_id": "s-1"},
        "person_properties": {"email": "a@b.example"},
        "elements_chain": "",
        "timestamp": at(minutes),
        "created_at": at(minutes + 0.1),
        "_inserted_at": at(minutes + 0.2),
        **fields,
    }


def test_a_batch_export_of_posthog_is_the_same_in_every_format(
    run: Run, session: Session, tmp_path: Path
) -> None:
    exported = [
        posthog_row(1, 1),
        posthog_row(2, 2, event="Order Completed", properties=ORDER),
        posthog_row(3, 3, event="$autocapture", elements_chain="button:text=Buy"),
    ]
    packed = [
        {**row, **{name: json.dumps(row[name]) for name in ("properties", "person_properties")}}
        for row in exported
    ]
    from_api = [{**row, "id": row["uuid"], "uuid": None, "person": {}} for row in exported]

    first = run("posthog", "export.jsonl.gz", gzip.compress(lines(*exported).encode()))
    as_csv = run("posthog", "saved.csv", csv_of(*packed))
    as_api = run("posthog", "results.ndjson", lines(*from_api))
    as_parquet = run("posthog", "export.parquet.zst", parquet_of(packed))

    assert first == shown("posthog posthog/")
    for told in (as_csv, as_api, as_parquet):
        assert "stored 0, duplicate 3, rejected 0" in told
        assert "with other contents" not in told
    assert [event.event_type for event in rows(session)] == ["page_view", "purchase", "autocapture"]
    assert str(rows(session)[0].event_id) == exported[0]["uuid"]
    assert session.get_one(ProductMetrics, "p1").total_sales == 2


def test_an_event_that_posthogs_sdk_sent_here_too_is_the_same_one(
    run: Run,
    session: Session,
    write_key: str,
    app_with: Callable[..., FlaskClient],
    drainer: Drainer,
) -> None:
    row = posthog_row(1, 1, event="Product Viewed", properties={"product_id": "p1"})
    sent = {name: row[name] for name in ("uuid", "event", "distinct_id", "properties", "timestamp")}
    client = app_with(clock=datetime.now(UTC).timestamp)
    client.post("/batch/", json={"api_key": write_key, "batch": [sent]})
    drainer.drain()

    # PostHog adds where its visitor was, and corrects the time.
    more = {**row["properties"], "$geoip_country_code": "GB"}
    told = run("posthog", "a.jsonl", lines({**row, "properties": more, "timestamp": at(1.002)}))

    assert "read 1 row: stored 0, duplicate 0, rejected 0" in told
    assert "1 stored before with other contents, and left as they were" in told
    assert session.get_one(ProductMetrics, "p1").total_views == 1


def parquet_of(records: list[dict[str, Any]]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    times = ("timestamp", "created_at", "_inserted_at")
    typed = [
        {**row, **{name: datetime.fromisoformat(row[name]) for name in times}} for row in records
    ]
    file = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(typed), file, compression="zstd")
    return file.getvalue()


UMAMI = """
CREATE SCHEMA umami;
SET LOCAL search_path TO umami;
CREATE TABLE session (session_id uuid PRIMARY KEY, website_id uuid NOT NULL, browser varchar(20),
    os varchar(20), device varchar(20), screen varchar(11), language varchar(35), country char(2),
    region varchar(20), city varchar(50), distinct_id varchar(50), created_at timestamptz(6));
CREATE TABLE website_event (event_id uuid PRIMARY KEY, website_id uuid NOT NULL,
    session_id uuid NOT NULL, visit_id uuid NOT NULL, created_at timestamptz(6),
    url_path varchar(500) NOT NULL, url_query varchar(500), utm_source varchar(255),
    utm_medium varchar(255), utm_campaign varchar(255), utm_content varchar(255),
    utm_term varchar(255), referrer_path varchar(500), referrer_query varchar(500),
    referrer_domain varchar(500), page_title varchar(500), gclid varchar(255),
    event_type integer NOT NULL DEFAULT 1, event_name varchar(50), tag varchar(50),
    hostname varchar(100));
CREATE TABLE event_data (event_data_id uuid PRIMARY KEY, website_id uuid NOT NULL,
    website_event_id uuid NOT NULL, data_key varchar(500) NOT NULL, string_value varchar(500),
    number_value decimal(19, 4), date_value timestamptz(6), data_type integer NOT NULL,
    created_at timestamptz(6));
INSERT INTO session VALUES ('00000000-0000-4000-8000-00000000000a', :site, 'chrome', 'macOS',
    'laptop', '1440x900', 'en-GB', 'GB', 'GB-LND', 'London', 'u-1', :at);
INSERT INTO website_event (event_id, website_id, session_id, visit_id, created_at, url_path,
    url_query, utm_source, referrer_domain, referrer_path, page_title, event_type, event_name,
    hostname) VALUES
    ('00000000-0000-4000-8000-000000000001', :site, '00000000-0000-4000-8000-00000000000a',
     '00000000-0000-4000-8000-00000000000b', :at, '/shoes', 'utm_source=mail', 'mail',
     'search.example', '/q', 'Shoes', 1, NULL, 'shop.example'),
    ('00000000-0000-4000-8000-000000000002', :site, '00000000-0000-4000-8000-00000000000a',
     '00000000-0000-4000-8000-00000000000b', :at, '/shoes', NULL, NULL, NULL, NULL, NULL, 2,
     'purchase', 'shop.example');
INSERT INTO event_data VALUES
    (gen_random_uuid(), :site, '00000000-0000-4000-8000-000000000002', 'product_id', 'p1', NULL,
     NULL, 1, :at),
    (gen_random_uuid(), :site, '00000000-0000-4000-8000-000000000002', 'quantity', '2.0000', 2,
     NULL, 2, :at),
    (gen_random_uuid(), :site, '00000000-0000-4000-8000-000000000002', 'revenue', '19.9000', 19.9,
     NULL, 2, :at);
"""
SITE = "00000000-0000-4000-8000-0000000000ff"


@pytest.fixture
def umami(engine: Engine) -> Iterator[Callable[[str], list[dict[str, Any]]]]:
    """Give a function that asks Umami's database."""
    with engine.connect() as connection:
        for statement in UMAMI.split(";\n"):
            if statement.strip():
                connection.execute(text(statement), {"site": SITE, "at": RECENT})

        def asked(query: str) -> list[dict[str, Any]]:
            return [row[0] for row in connection.execute(text(query))]

        yield asked
        connection.rollback()


def test_the_query_for_umami_gives_all_that_it_knows_of_an_event(
    run: Run, session: Session, umami: Callable[[str], list[dict[str, Any]]]
) -> None:
    [query] = re.findall(r"```sql\n(SELECT to_jsonb.*?)```", PAGE, re.DOTALL)
    exported = umami(query.replace("YOUR_WEBSITE_ID", SITE))

    told = run("umami", "umami.ndjson", lines(*exported))
    again = run("umami", "umami.ndjson", lines(*exported))

    assert told == shown("umami umami.ndjson.gz")
    assert "stored 0, duplicate 2" in again
    seen, bought = rows(session)
    assert (seen.event_type, seen.user_id, seen.device_type) == ("page_view", "u-1", "desktop")
    assert seen.anonymous_id == "00000000-0000-4000-8000-00000000000a"
    assert seen.session_id == "00000000-0000-4000-8000-00000000000b"
    assert seen.properties == {
        "path": "/shoes",
        "search": "?utm_source=mail",
        "title": "Shoes",
        "url": "https://shop.example/shoes?utm_source=mail",
        "referrer": "https://search.example/q",
    }
    assert seen.context["campaign"] == {"source": "mail"}
    assert seen.context["location"] == {"country": "GB", "region": "GB-LND", "city": "London"}
    assert (bought.event_type, bought.product_id, bought.quantity) == ("purchase", "p1", 2)
    assert float(session.get_one(ProductMetrics, "p1").total_revenue) == 19.9


def test_the_table_of_umami_alone_gives_what_stands_in_it(run: Run, session: Session) -> None:
    row = {
        "website_id": SITE, "event_id": "00000000-0000-4000-8000-000000000001",
        "session_id": "00000000-0000-4000-8000-00000000000a",
        "created_at": f"{RECENT:%Y-%m-%d %H:%M:%S}.123+00", "url_path": "/", "event_type": "1",
    }  # fmt: skip
    other = {**row, "event_id": row["event_id"][:-1] + "2", "event_type": "2", "event_name": "Buy"}

    run("umami", "website_event.csv", csv_of(row, other))
    refused = run("umami", "x.csv", csv_of({**row, "event_type": "77"}))

    assert {event.event_type for event in rows(session)} == {"page_view", "purchase"}
    assert "rejected unknown_type: 1" in refused


def plausible_row(minutes: float, **fields: Any) -> dict[str, Any]:
    """Make a row as FORMAT JSONEachRow writes it: fixed texts are filled up with NUL."""
    return {
        "timestamp": f"{RECENT + timedelta(minutes=minutes):%Y-%m-%d %H:%M:%S}",
        "name": "pageview",
        "site_id": "1",
        "user_id": "17043187226110467326",
        "session_id": "9543187226110467326",
        "hostname": "shop.example",
        "pathname": "/shoes",
        "referrer": "search.example",
        "referrer_source": "Search",
        "country_code": "GB",
        "screen_size": "Laptop",
        "operating_system": "Mac",
        "browser": "Chrome",
        "utm_medium": "",
        "utm_source": "mail",
        "utm_campaign": "",
        "meta.key": [],
        "meta.value": [],
        "browser_version": "141.0",
        "operating_system_version": "15",
        "subdivision1_code": "GB-LND",
        "subdivision2_code": "",
        "city_geoname_id": 2643743,
        "utm_content": "",
        "utm_term": "",
        "transferred_from": "",
        "scroll_depth": 255,
        "engagement_time": 0,
        "revenue_reporting_amount": None,
        "revenue_reporting_currency": "\0\0\0",
        "revenue_source_amount": None,
        "revenue_source_currency": "\0\0\0",
        **fields,
    }


def test_the_events_of_plausible_are_named_by_what_they_say(run: Run, session: Session) -> None:
    view, other = plausible_row(1), plausible_row(2, user_id="2")
    engaged = plausible_row(3, name="engagement", engagement_time=4200, scroll_depth=80)
    bought = plausible_row(
        4, name="purchase", revenue_source_amount=19.9, revenue_source_currency="EUR",
        **{"meta.key": ["product_id", "quantity"], "meta.value": ["p1", "2"]},
    )  # fmt: skip

    told = run("plausible", "all.ndjson", lines(view, view, other, engaged, bought))
    # An export that overlaps with the one before, in a file of another name.
    again = run("plausible", "later.ndjson", lines(view, view, other, plausible_row(9)))

    assert told == shown("plausible plausible.ndjson.gz")
    assert "stored 1, duplicate 3" in again
    first, _, _, left, sold, _ = rows(session)
    assert (first.event_type, first.anonymous_id) == ("page_view", "17043187226110467326")
    assert first.context["os"] == {"name": "Mac", "version": "15"}
    assert (left.event_type, left.duration_ms) == ("engagement", 4200)
    assert left.properties == {"scroll_depth": 80}
    assert (sold.product_id, sold.quantity, float(sold.value)) == ("p1", 2, 19.9)
    assert sold.properties == {"currency": "EUR", "revenue": 19.9}


def test_what_plausible_exports_from_its_pages_are_totals_and_is_refused(run: Run) -> None:
    totals = "date,visitors,pageviews,bounces,visits,visit_duration\n2026-01-01,3,9,1,3,120\n"

    refused = run("plausible", "imported_visitors_20260101_20260131.csv", totals)

    assert "rejected not_an_event: 1" in refused
    assert "holds totals, not events" in refused


def ga4_row(minutes: float, name: str, *params: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Make a row as `bq extract` writes it: whole numbers are text."""
    session = {"key": "ga_session_id", "value": {"string_value": None, "int_value": "1772359200"}}
    return {
        "event_date": f"{RECENT:%Y%m%d}",
        "event_timestamp": str(int((RECENT + timedelta(minutes=minutes)).timestamp()) * 1_000_000),
        "event_name": name,
        "event_params": [session, *params],
        "user_id": None,
        "user_pseudo_id": "1234.5678",
        "device": {
            "category": "mobile",
            "operating_system": "iOS",
            "web_info": {"browser": "Safari"},
        },
        "geo": {"country": "France", "region": "(not set)", "city": "Paris"},
        "platform": "WEB",
        "items": [],
        **fields,
    }


def test_an_export_of_google_analytics_to_bigquery_counts_its_items(
    run: Run, session: Session
) -> None:
    address = {"key": "page_location", "value": {"string_value": "https://shop.example/"}}
    items = [
        {"item_id": "p1", "item_name": "Mug", "price": 9.5, "quantity": "2", "coupon": "(not set)"},
        {"item_id": "p2", "item_name": "Cup", "price": 4.0, "quantity": None},
    ]
    exported = lines(
        ga4_row(1, "page_view", address),
        ga4_row(2, "view_item", items=[{"item_id": "p1", "price": 9.5, "quantity": None}]),
        ga4_row(
            3, "purchase", items=items,
            ecommerce={"transaction_id": "o-1", "purchase_revenue": 23.0},
        ),
    )  # fmt: skip

    told = run("ga4", "events_20260301.json", exported)
    again = run("ga4", "of_another_name.json", exported)

    assert told == shown("ga4 ga4/")
    assert "stored 0, duplicate 3" in again
    seen, _, bought = rows(session)
    assert (seen.event_type, seen.properties) == ("page_view", {"url": "https://shop.example/"})
    assert (seen.session_id, seen.source) == ("1234.5678.1772359200", "web")
    assert seen.context["location"] == {"country": "France", "city": "Paris"}
    assert bought.properties == {"order_id": "o-1", "revenue": 23.0}
    mug = session.get_one(ProductMetrics, "p1")
    assert (mug.total_views, mug.total_sales, mug.total_revenue) == (1, 2, 19)


def test_events_from_a_moment_on_are_left_out(run: Run, session: Session) -> None:
    archive = lines(*(segment_message(n, event="Seen") for n in (1, 2, 3)))

    told = run("segment", "a.json", archive, "--until", at(2))

    assert "stored 1, duplicate 0, rejected 0" in told
    assert f"2 left out, of {at(2)} and later" in told
    assert count_events(session) == 1
    assert "Must be an ISO 8601 text" in run("segment", "a.json", archive, "--until", "soon")


def test_a_history_is_of_a_write_key_that_there_is(
    run: Run, session: Session, engine: Engine
) -> None:
    with transaction(engine) as opened:
        create_key(opened, kind=WRITE, name="shop")
    key_id = session.execute(text("SELECT key_id FROM api_keys")).scalar_one()
    archive = lines(segment_message(1, event="Seen"))

    told = run("segment", "a.json", archive, "--key", key_id)

    assert "stored 1" in told
    assert rows(session)[0].key_id == key_id
    assert "there is no write key 'nobody'" in run("segment", "a.json", archive, "--key", "nobody")


def test_crawlers_are_stored_and_excluded_as_at_the_door(run: Run, session: Session) -> None:
    bot = {"userAgent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"}

    run("segment", "a.json", lines(segment_message(1, event="Seen", context=bot)))

    assert rows(session)[0].excluded == "bot"


HOSTILE = [
    "{",
    "[]",
    "{}",
    '"text"',
    '{"type": "track"}',
    '{"type": 1, "messageId": []}',
    '{"event": {}, "uuid": 3, "properties": "{"}',
    '{"event": "x", "properties": [1], "timestamp": {}}',
    '{"event": "x\\u0000", "distinct_id": "d", "timestamp": "9999-01-01T00:00:00Z"}',
    '{"name": "pageview", "timestamp": 1e300, "meta.key": "[", "meta.value": "[1"}',
    '{"name": ["x"], "timestamp": "soon"}',
    '{"event_type": {"a": 1}, "created_at": [], "session": "{", "data": "[]"}',
    '{"event_type": 2, "event_name": "x", "created_at": true}',
    '{"messageId": "m", "type": "track", "event": "x", "timestamp": [], "originalTimestamp": {}}',
    '{"messageId": "m", "type": "track", "event": "x", "userId": "u", "context": 7}',
    '{"event_name": "x", "event_timestamp": [], "event_params": [1, {"key": {}}], "items": [2]}',
    '{"event_name": "x", "event_timestamp": "9e99", "device": 1, "geo": [], "user_id": {}}',
    '{"x": ' + "[" * 3000 + "]" * 3000 + "}",
]


@pytest.mark.parametrize("product", PRODUCTS)
def test_lines_of_anything_are_refused_one_by_one(
    run: Run, session: Session, tmp_path: Path, product: str
) -> None:
    report = tmp_path / "rejected.ndjson"

    told = run(product, "hostile.json", "\n".join(HOSTILE), "--report", str(report))

    assert f"read {len(HOSTILE)} rows: stored 0, duplicate 0, rejected {len(HOSTILE)}" in told
    rejected = [json.loads(line) for line in report.read_text().splitlines()]
    assert sorted(item["line"] for item in rejected) == list(range(1, len(HOSTILE) + 1))
    assert count_events(session) == 0


def test_events_older_than_the_retention_are_counted_and_the_setting_is_named(run: Run) -> None:
    old = {"originalTimestamp": "2015-02-23T22:28:55.387Z", "timestamp": "2015-02-23T22:28:55.387Z"}

    told = run("segment", "a.json", lines(segment_message(1, event="Seen", **old)))

    assert "rejected too_old: 1" in told
    assert "raise ANALYTICS_RETENTION_DAYS" in told


def test_what_cannot_be_read_is_said_before_the_first_row(run: Run) -> None:
    assert "leave out --map" in run("segment", "a.json", "", "--map", "a=b")
    assert "unpack it first" in run("posthog", "export.jsonl.br", b"x")
    assert "is no Parquet file" in run("posthog", "export.parquet", b"PAR1 and more")
