"""Export: what is stored is written as it is, in pieces that fit together, and never half."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from cli.export import export
from datasets.event_files import EXPORT_BEGINS
from datasets.event_mapping import restore_cell
from models import export as exporting
from models.database import transaction
from models.event_list import EventFilter
from models.events import Event
from models.export import CSV, EXPORT_COLUMNS, NDJSON, ExportInterruptedError, read_chunks
from models.partitions import drop_partition
from tests.builders import (
    DAY_MS,
    NOW,
    NOW_MS,
    TODAY,
    body,
    crafted,
    empty,
    store,
    store_events,
    uuid7_at,
)
from tests.integration.test_door import check_problem

EXPORT = "/api/admin/analytics/export/"
Headers = dict[str, str]

# What breaks quoting: quotes, backslashes, line ends, control characters, COPY's end mark.
NASTY = st.text(
    st.sampled_from("\"\\\n\r\t,'=+-@;\x01\x02\x1f\x7f  é🙂.NULab")
    | st.characters(codec="utf-8", exclude_characters="\0"),
    min_size=1,
    max_size=20,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | NASTY,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NASTY, inner, max_size=3),
    max_leaves=6,
)


def days(engine: Engine, *ages: int, **fields: Any) -> None:
    """Store an event for each age in days."""
    store_events(
        engine,
        *(
            {
                "event_type": "product_view",
                "product_id": f"p{n}",
                "event_id": uuid7_at(NOW_MS - age * DAY_MS, n),
                "occurred_at": NOW_MS - age * DAY_MS,
                **fields,
            }
            for n, age in enumerate(ages)
        ),
    )


def lines(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def written(engine: Engine, form: Any, **options: Any) -> str:
    pieces = [
        piece
        for chunk in read_chunks(engine, EventFilter(), form=form, **options)
        for piece in chunk.pieces
    ]
    return b"".join(pieces).decode()


@hypothesis_settings(max_examples=25)
@given(
    texts=st.lists(NASTY, min_size=1, max_size=4), payload=st.dictionaries(NASTY, JSON, max_size=3)
)
def test_any_text_and_any_json_come_out_as_they_were_stored(
    engine: Engine, texts: list[str], payload: dict[str, Any]
) -> None:
    empty(engine)
    rows = [
        {
            "event_id": uuid7_at(NOW_MS, n),
            "user_id": value,
            "event_type": value,
            "properties": payload,
        }
        for n, value in enumerate(texts)
    ]
    store(engine, crafted(*rows))

    objects = [json.loads(line) for line in written(engine, NDJSON).split("\n")[:-1]]
    cells = lines(written(engine, CSV))

    assert [item["user_id"] for item in objects] == texts
    assert [item["payload"] for item in objects] == [payload] * len(texts)
    assert [restore_cell(row[3]) for row in cells] == texts
    assert [json.loads(row[7]) for row in cells] == [payload] * len(texts)
    assert not any(
        cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in cells for cell in row
    )


def test_numbers_keep_their_digits(engine: Engine) -> None:
    store(engine, crafted({"event_id": uuid7_at(NOW_MS), "value": 0.1, "properties": {"n": 1}}))
    digits = "12345678901234567890.12345678901234567890"
    with transaction(engine) as session:
        session.execute(
            text("UPDATE events SET value = CAST(:n AS numeric), properties = CAST(:p AS jsonb)"),
            {"n": digits, "p": f'{{"n": {digits}}}'},
        )

    row = lines(written(engine, CSV))[0]
    item = json.loads(written(engine, NDJSON), parse_float=Decimal)

    assert row[EXPORT_COLUMNS.index("value")] == digits
    assert row[7] == f'{{"n": {digits}}}'
    assert item["value"] == item["payload"]["n"] == Decimal(digits)


def test_a_value_below_zero_is_a_number_and_no_formula(engine: Engine) -> None:
    store(engine, crafted({"event_id": uuid7_at(NOW_MS), "value": -1.5}))

    assert lines(written(engine, CSV))[0][EXPORT_COLUMNS.index("value")] == "-1.5"


def test_chunks_and_partitions_leave_nothing_out(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "CHUNK_ROWS", 3)
    monkeypatch.setattr(exporting, "PIECE_ROWS", 2)
    days(engine, 9, 9, 9, 9, 9, 9, 9, 4, 4, 0)
    store_events(engine, {"event_type": "search", "message_id": "undated"})

    ids = [line[0] for line in lines(written(engine, CSV))]

    with Session(engine) as session:
        assert ids == [
            str(found) for found in session.scalars(select(Event.event_id).order_by(Event.event_id))
        ]
    assert len(ids) == 11


def test_a_chunk_ends_at_its_size(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "CHUNK_BYTES", 1)
    monkeypatch.setattr(exporting, "PIECE_ROWS", 2)
    days(engine, *[1] * 7)

    rows = [chunk.rows for chunk in read_chunks(engine, EventFilter(), form=NDJSON)]

    assert rows == [2, 2, 2, 1]


@pytest.mark.parametrize("format_", ["csv", "ndjson"])
def test_an_export_goes_on_behind_its_cursor_and_the_parts_join(
    client: FlaskClient, engine: Engine, admin: Headers, format_: str
) -> None:
    days(engine, 5, 4, 3, 2, 1, 0)
    path = f"{EXPORT}?format={format_}&days=30"
    whole = client.get(path, headers=admin).text

    parts, cursor = "", ""
    while part := client.get(f"{path}&limit=2{cursor}", headers=admin).text:
        parts += part
        last = part.splitlines()[-1]
        found = json.loads(last)["id"] if format_ == "ndjson" else last.partition(",")[0]
        cursor = f"&cursor={found}"

    assert parts == whole
    assert len(whole.splitlines()) == 6 + (format_ == "csv")


def test_the_columns_begin_as_they_always_did(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    days(engine, 0)

    answer = client.get(EXPORT, headers=admin)

    assert answer.mimetype == "text/csv"
    assert "events-2026-03-15.csv" in answer.headers["Content-Disposition"]
    begin = "id,created_at,event_type,user_id,anonymous_id,source,ip_address,payload,"
    assert answer.text.startswith(begin)
    assert EXPORT_COLUMNS[: len(EXPORT_BEGINS)] == EXPORT_BEGINS
    assert answer.text.endswith("\r\n")
    created = lines(answer.text)[1][1]
    assert created == "2026-03-15T12:00:00+00:00"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", 1),
        ("date=2026-03-14", 2),
        ("date_from=2026-03-12&date_to=2026-03-15", 3),
        ("since=2026-03-14T12:00:00Z", 3),
        ("until=2026-03-14T12:00:00Z", 1),
        ("days=2", 3),
        ("days=30&user_id=u1", 1),
        ("days=30&event_type=view,search", 4),
        ("days=30&product_id=p1", 1),
        ("days=30&product_id=nothing", 0),
        ("days=30&header=false&limit=2", 1),
    ],
)
def test_an_export_takes_the_filters_of_the_event_list(
    client: FlaskClient, engine: Engine, admin: Headers, query: str, expected: int
) -> None:
    days(engine, 3, 1, 1)
    days(engine, 0, user_id="u1", event_id=uuid7_at(NOW_MS, 9))

    answer = client.get(f"{EXPORT}?{query}", headers=admin)

    assert len(lines(answer.text)) - 1 == expected


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("cursor=x", 422),
        ("format=xml", 422),
        ("limit=0", 422),
        ("limit=x", 422),
        ("limit=99999999999999999999", 422),
        ("date=yesterday", 422),
        ("date=", 422),
        ("event_type=", 422),
        ("limit=5000001", 422),
        ("date=2026-03-15&since=2026-03-15", 422),
        ("date=2026-03-15&days=3", 422),
        ("date_from=2026-03-15&date_to=2026-03-15", 422),
        ("entity_id=1", 422),
        ("since=0001-01-01T00:00:00Z", 200),
        ("until=9999-12-31T23:59:59Z", 200),
        ("date=9999-01-01", 200),
        ("cursor=FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", 200),
        ("user_id=%25%28x%29s%20%3Aname%20%27%5C", 200),
    ],
)
def test_a_query_is_used_or_refused(
    client: FlaskClient, admin: Headers, query: str, status: int
) -> None:
    answer = client.get(f"{EXPORT}?{query}", headers=admin, buffered=True)

    if status == 200:
        assert answer.status_code == 200
    else:
        check_problem(answer, status, body(answer)["code"])


def test_a_day_is_that_of_the_zone(
    app_with: Callable[..., FlaskClient], engine: Engine, admin: Headers
) -> None:
    store_events(engine, {"event_type": "search", "occurred_at": "2026-03-14T18:30:00Z"})
    client = app_with(report_timezone="Asia/Kolkata")

    assert len(lines(client.get(f"{EXPORT}?date=2026-03-15", headers=admin).text)) == 2
    assert len(lines(client.get(f"{EXPORT}?date=2026-03-14", headers=admin).text)) == 1


def test_a_purge_in_the_middle_does_not_go_unseen(engine: Engine) -> None:
    days(engine, 9, 8)
    chunks = read_chunks(engine, EventFilter(), form=CSV)
    next(chunks)

    # The chunk's transaction is over, and the purge need not wait for who reads it.
    with transaction(engine) as session:
        session.execute(text("SET LOCAL lock_timeout = '1s'"))
        drop_partition(session, TODAY.replace(day=7))

    with pytest.raises(ExportInterruptedError, match="events_20260307"):
        next(chunks)


@pytest.mark.parametrize(
    ("format_", "told"),
    [
        ("csv", "export_interrupted,{id}" + "," * 26 + "\r\n"),
        ("ndjson", '{{"error":"export_interrupted","last_id":"{id}"}}\n'),
    ],
)
def test_a_stream_that_breaks_off_says_so_in_its_last_line(
    client: FlaskClient, engine: Engine, admin: Headers, format_: str, told: str
) -> None:
    days(engine, 9, 8)
    path = f"{EXPORT}?days=30&format={format_}"
    answer = client.get(path, headers=admin, buffered=False)
    with transaction(engine) as session:
        drop_partition(session, TODAY.replace(day=7))

    pieces: list[bytes] = []
    with pytest.raises(ExportInterruptedError):
        pieces.extend(answer.iter_encoded())

    last = uuid7_at(NOW_MS - 9 * DAY_MS, 0)
    assert pieces[-1].decode() == told.format(id=last)


@pytest.fixture
def run(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Give a function that runs the command on the tests' servers."""
    for name, value in {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "SECRET_KEY": settings.secret_key,
    }.items():
        monkeypatch.setenv(name, value)
    return lambda *arguments: CliRunner().invoke(export, arguments)


def test_the_command_writes_a_file_and_says_where_to_go_on(
    run: Callable[..., Any], engine: Engine, tmp_path: Path
) -> None:
    days(engine, 3, 2, 1)
    first, rest = tmp_path / "first.csv.gz", tmp_path / "rest.csv.gz"

    told = run("--gzip", "-o", str(first), "--limit", "2")
    cursor = told.stderr.rpartition("--cursor ")[2].split()[0]
    run("--gzip", "-o", str(rest), "--cursor", cursor)

    assert "exported 2 events" in told.stderr
    joined = gzip.decompress(first.read_bytes() + rest.read_bytes()).decode()
    assert joined == CSV.header.decode() + written(engine, CSV)


def test_the_command_writes_to_standard_output(run: Callable[..., Any], engine: Engine) -> None:
    days(engine, 3, 2, user_id="u1")
    days(engine, 1, event_id=uuid7_at(NOW_MS, 9))

    told = run("--format", "ndjson", "--user-id", "u1", "--date-from", "2026-03-13")

    assert told.exit_code == 0
    assert [json.loads(line)["product_id"] for line in told.stdout.splitlines()] == ["p1"]


def test_the_command_overwrites_nothing(run: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "there.csv").write_text("mine")

    told = run("-o", str(tmp_path / "there.csv"))

    assert told.exit_code == 1
    assert "is there already" in told.stderr
    assert (tmp_path / "there.csv").read_text() == "mine"


def test_parquet_has_the_same_events_in_types_of_its_own(
    run: Callable[..., Any], engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("cli.parquet.GROUP_ROWS", 2)
    monkeypatch.setattr(exporting, "CHUNK_ROWS", 2)
    days(engine, 1, 1, 1, user_id='=a "b"\nc')
    path = tmp_path / "events.parquet"

    assert run("--format", "parquet", "-o", str(path)).exit_code == 0

    file = parquet.ParquetFile(path)
    assert file.metadata.num_row_groups == 2
    rows = file.read().to_pylist()
    assert [row["user_id"] for row in rows] == ['=a "b"\nc'] * 3
    assert rows[0]["created_at"].timestamp() == NOW.timestamp() - 86_400
    assert rows[0]["source"] is None


def test_without_pyarrow_the_command_says_how_to_get_it(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    told = run("--format", "parquet")

    assert told.exit_code == 1
    assert "install pyarrow" in told.stderr
