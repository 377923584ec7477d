"""Training data: what is written is what training reads, and its totals agree."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask.testing import FlaskClient
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from cli.servers.environment import environment_of
from cli.training_data import export_training_data
from datasets.event_mapping import restore_cell
from models.api_keys import ADMIN, ADMIN_SCOPES, create_key
from models.database import transaction
from models.histories import read_histories
from models.identities import link
from models.interactions import CATALOGUE_ROWS, INTERACTIONS, interaction_bounds
from models.person import Person
from models.products import upsert_products
from models.training_data import COLUMNS, PARTS, write_training_data
from settings import Settings
from tests.builders import DAY_MS, NOW, NOW_MS, body, crafted, store, store_events, uuid7_at
from tests.integration.test_door import check_problem

URL = "/api/products/training_data/"
Headers = dict[str, str]


def event(event_type: str = "product_view", age_ms: int = 60_000, **fields: Any) -> dict[str, Any]:
    return {
        "event_type": event_type,
        "product_id": "lamp",
        "user_id": "ann",
        "occurred_at": NOW_MS - age_ms,
        **fields,
    }


def catalogue(engine: Engine, *products: dict[str, Any]) -> None:
    with transaction(engine) as session:
        upsert_products(session, products, now=NOW)


def fill(engine: Engine) -> None:
    """Store a bit of everything: an order, ratings, a bot, somebody unknown, an old event."""
    catalogue(
        engine,
        {"product_id": "lamp", "name": 'Lämp, "tall"\n', "category": "light", "price": "89.90"},
        {"product_id": "rug", "name": "=cmd()", "gender": "unisex", "size": "L"},
        {"product_id": "sold", "active": False},
    )
    with transaction(engine) as session:
        link(session, "browser", "ann")
    order = [
        {"product_id": "rug", "quantity": 2, "value": 19.9},
        {"product_id": "lamp", "value": 5},
    ]
    store_events(
        engine,
        event(age_ms=120_000, user_id=None, anonymous_id="browser", session_id="s1"),
        event("purchase", product_id=None, items=order, age_ms=90_000),
        event("rate", value=4, user_id="bob"),
        event(user_id=None, anonymous_id="=who", product_id="sold", age_ms=30_000),
        event(user_id=None, age_ms=20_000),
        event(excluded="bot", user_id="crawler"),
        event("product_list_view", age_ms=10_000),
        event(age_ms=40 * DAY_MS, user_id="old"),
    )  # fmt: skip


def read_rows(session: Session, days: int = 90) -> list[Any]:
    bounds = interaction_bounds(NOW - timedelta(days=days), NOW)
    return list(session.execute(INTERACTIONS, bounds).all())


def rows_of(answer: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def test_json_holds_what_training_reads(
    client: FlaskClient, engine: Engine, session: Session, admin: Headers
) -> None:
    fill(engine)

    answer = client.get(f"{URL}?days=90&format=json", headers=admin)

    data = json.loads(answer.text)
    assert list(data) == ["products", "interactions", "metadata"]
    assert data["metadata"] == {
        "total_products": 2,
        "total_interactions": 6,
        "date_range_days": 90,
        "generated_at": "2026-03-15T12:00:00+00:00",
    }
    assert data["products"][0] == {
        "product_id": "lamp",
        "name": 'Lämp, "tall"\n',
        "category": "light",
        "price": 89.9,
        "gender": None,
        "color": None,
        "material": None,
        "size": None,
        "avg_rating": 4,
        "review_count": 1,
        "interaction_count": 4,
    }
    assert data["interactions"][1] == {
        "user_id": "ann",
        "product_id": "lamp",
        "event_type": "product_view",
        "weight": 1,
        "value": None,
        "quantity": None,
        "bought": False,
        "session_id": "s1",
        "occurred_at": "2026-03-15T11:58:00+00:00",
    }
    wanted = [
        (row.user_id, row.product_id, row.weight, row.bought, row.session_id)
        for row in read_rows(session)
    ]
    names = ("user_id", "product_id", "weight", "bought", "session_id")
    assert [tuple(row[name] for name in names) for row in data["interactions"]] == wanted
    read = session.execute(CATALOGUE_ROWS).mappings()
    assert [{**row, "interaction_count": 1} for row in read] == [
        {**product, "interaction_count": 1} for product in data["products"]
    ]


def test_lines_of_an_order_have_their_own_money_and_units(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    fill(engine)

    data = json.loads(client.get(f"{URL}?days=30", headers=admin).text, parse_float=Decimal)

    bought = [row for row in data["interactions"] if row["bought"]]
    assert [(row["product_id"], row["value"], row["quantity"]) for row in bought] == [
        ("rug", Decimal("19.9"), 2),
        ("lamp", 5, None),
    ]
    assert data["metadata"]["total_interactions"] == 5
    counts = {row["product_id"]: row["interaction_count"] for row in data["products"]}
    assert counts == {"lamp": 3, "rug": 1}


def test_ndjson_says_the_kind_of_each_line_and_ends_with_the_metadata(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    fill(engine)
    whole = json.loads(client.get(URL, headers=admin).text)

    answer = client.get(f"{URL}?format=ndjson", headers=admin)

    assert answer.mimetype == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert Counter(line.pop("kind") for line in lines) == {
        "product": 2,
        "interaction": 6,
        "metadata": 1,
    }
    assert lines == [*whole["products"], *whole["interactions"], whole["metadata"]]


def test_csv_holds_one_table_and_no_formulas(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    fill(engine)

    interactions = client.get(f"{URL}?format=csv", headers=admin)
    products = client.get(f"{URL}?format=csv&part=products", headers=admin)

    assert interactions.headers["Content-Disposition"].endswith(
        'filename="training-data-interactions.csv"'
    )
    assert tuple(rows_of(interactions)[0]) == COLUMNS["interactions"]
    assert [row["user_id"] for row in rows_of(interactions)] == [
        *("old", "ann", "ann", "ann", "bob", "'=who"),
    ]
    assert rows_of(interactions)[2] == {
        "user_id": "ann",
        "product_id": "rug",
        "event_type": "purchase",
        "weight": "5",
        "value": "19.9",
        "quantity": "2",
        "bought": "true",
        "session_id": "",
        "occurred_at": "2026-03-15T11:58:30+00:00",
    }
    assert tuple(rows_of(products)[0]) == COLUMNS["products"]
    assert [row["name"] for row in rows_of(products)] == ['Lämp, "tall"\n', "'=cmd()"]


def test_what_is_stored_meanwhile_is_in_no_part(engine: Engine) -> None:
    fill(engine)
    file = io.BytesIO()

    def store_more(_: int) -> None:
        store_events(engine, event(user_id="late"))

    metadata = write_training_data(
        engine, file, days=90, format_="json", parts=PARTS, now=NOW, advance=store_more
    )

    data = json.loads(file.getvalue())
    counts = [row["interaction_count"] for row in data["products"]]
    assert metadata["total_interactions"] == len(data["interactions"]) == 6
    # One is with a product that is not active.
    assert sum(counts) == 5


def test_a_reader_who_waits_holds_no_lock(
    client: FlaskClient, engine: Engine, session: Session, admin: Headers
) -> None:
    fill(engine)

    answer = client.get(URL, headers=admin)

    held = session.scalar(
        text("SELECT count(*) FROM pg_locks WHERE relation IS NOT NULL AND pid <> pg_backend_pid()")
    )
    assert held == 0
    assert body(answer)["metadata"]["total_interactions"] == 6


@pytest.mark.parametrize("format_", ["json", "ndjson", "csv"])
def test_the_answer_says_how_long_it_is(
    client: FlaskClient, engine: Engine, admin: Headers, format_: str
) -> None:
    fill(engine)

    answer = client.get(f"{URL}?format={format_}", headers=admin)

    assert int(answer.headers["Content-Length"]) == len(answer.data)


def test_a_part_alone_has_no_total_of_the_other(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    fill(engine)

    data = body(client.get(f"{URL}?part=products", headers=admin))

    assert list(data) == ["products", "metadata"]
    assert (data["metadata"]["total_products"], data["metadata"]["total_interactions"]) == (2, None)


def test_without_anything_the_lists_are_empty(client: FlaskClient, admin: Headers) -> None:
    data = body(client.get(URL, headers=admin))
    table = client.get(f"{URL}?format=csv", headers=admin)

    assert (data["products"], data["interactions"]) == ([], [])
    assert (data["metadata"]["total_products"], data["metadata"]["total_interactions"]) == (0, 0)
    assert table.text == ",".join(COLUMNS["interactions"]) + "\r\n"


@pytest.mark.parametrize(
    "query",
    [
        *("days=0", "days=3651", "days=-1", "days=x", "days=9" * 40, "days=1.5"),
        *("format=parquet", "format=", "part=people", "format=csv&part=all"),
    ],
)
def test_a_query_that_cannot_be_used_is_422(
    client: FlaskClient, admin: Headers, query: str
) -> None:
    check_problem(client.get(f"{URL}?{query}", headers=admin), 422, "invalid")


def test_an_admin_token_may_read_it_too_and_others_may_not(
    client: FlaskClient, engine: Engine
) -> None:
    with transaction(engine) as session:
        keys = {
            scope: create_key(session, kind=ADMIN, name=scope, scopes=[scope])
            for scope in ADMIN_SCOPES
        }

    answers = {
        scope: client.get(URL, headers={"Authorization": f"Bearer {key}"}, buffered=True)
        for scope, key in keys.items()
    }

    assert {scope for scope, answer in answers.items() if answer.status_code == 200} == {
        "admin",
        "train",
    }
    check_problem(answers["read"], 403, "scope_missing")
    check_problem(client.get(URL), 401, "token_required")


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Give a function that runs the command on the tests' servers."""
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)
    return lambda *arguments: CliRunner().invoke(export_training_data, arguments)


def test_the_command_writes_the_same_to_a_file(
    run: Callable[..., Result], engine: Engine, tmp_path: Path
) -> None:
    fill(engine)
    whole, table = tmp_path / "all.json", tmp_path / "products.csv"

    first = run("--days", "3650", "--output", str(whole))
    again = run("--days", "3650", "--output", str(whole))
    products = run("--days", "3650", "--format", "csv", "--part", "products", "-o", str(table))

    data = json.loads(whole.read_bytes())
    assert first.stderr == "exported 2 products and 6 interactions\n"
    assert (len(data["products"]), len(data["interactions"])) == (2, 6)
    assert (again.exit_code, "is there already" in again.output) == (1, True)
    assert products.stderr == "exported 2 products\n"
    assert table.read_text().startswith(",".join(COLUMNS["products"]))


def test_what_a_person_did_before_they_were_known_is_theirs(
    engine: Engine, session: Session
) -> None:
    store_events(
        engine,
        event(user_id=None, anonymous_id="browser", age_ms=3000),
        event("login", anonymous_id="browser", product_id=None, age_ms=2000),
        event(anonymous_id="browser", user_id="other", age_ms=1000),
        event(user_id=None, anonymous_id="stranger"),
    )

    found = [(row.user_id, row.product_id) for row in read_rows(session)]

    assert found == [("stranger", "lamp"), ("ann", "lamp"), ("other", "lamp")]


@pytest.mark.parametrize(
    ("value", "weight"),
    [
        (None, 2.0),
        ("NaN", 2.0),
        (5, 2.0),
        (1, 0.4),
        (2.5, 1.0),
        (0, 0.0),
        (-3, 0.0),
        (7, 2.0),
        (1e300, 2.0),
        ("Infinity", 2.0),
        ("-Infinity", 0.0),
        (5e-324, 0.0),
    ],
)
def test_stars_outside_of_the_scale_do_not_weigh_more_than_those_in_it(
    engine: Engine, session: Session, value: Any, weight: float
) -> None:
    rating = {"event_type": "rate", "user_id": "ann"}
    lamp, rug = {"product_id": "lamp", "value": value}, {"product_id": "rug", "value": value}
    store(
        engine,
        crafted(
            {"event_id": uuid7_at(NOW_MS - 1000, 1), **rating, **lamp},
            {"event_id": uuid7_at(NOW_MS - 1000, 2), **rating, "items": [rug]},
        ),
    )

    rows = read_rows(session)
    history = read_histories(session.connection(), {1: Person("ann")}, now=NOW)[1]

    assert {row.product_id: row.weight for row in rows} == {"lamp": weight, "rug": weight}
    assert {line.product_id: line.weight for line in history}["lamp"] == weight


def test_hostile_ids_and_texts_come_out_as_they_are(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    ids = [
        "a/b?c#%",
        "x" * 2000,
        "\u202e\u200b\u0645\u0635",
        "'; DROP TABLE events; --",
        '"\n,\r\t\\N\\.',
        "🪔",
    ]
    catalogue(engine, *({"product_id": id_, "name": id_} for id_ in ids))
    store(
        engine,
        crafted(
            *(
                {"event_id": uuid7_at(NOW_MS - 1000, n), "product_id": id_, "user_id": id_}
                for n, id_ in enumerate(ids)
            )
        ),
    )

    data = body(client.get(URL, headers=admin))
    table = rows_of(client.get(f"{URL}?format=csv", headers=admin))

    assert {row["product_id"] for row in data["products"]} == set(ids)
    assert {row["user_id"] for row in data["interactions"]} == set(ids)
    assert {restore_cell(row["product_id"]) for row in table} == set(ids)
