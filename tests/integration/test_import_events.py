"""Import: a history comes in once, whatever happens on the way, and is judged as at the door."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from cli.export import export
from cli.import_events import events as command
from event_ids import uuid8
from models.dead_letters import DeadLetter
from models.events import Event
from models.product_metrics import ProductMetrics
from settings import Settings
from tasks import import_events
from tasks.retention import purge
from tests.builders import count_events, crafted, empty, store, uuid7_at
from tests.integration.test_purge import check

ROOT = Path(__file__).resolve().parents[2]
#: The command goes by the clock of the machine.
RECENT = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    return {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "SECRET_KEY": settings.secret_key,
    }


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path) -> Callable[..., Any]:
    """Give a function that imports text as a file of a name."""

    def importing(name: str, content: str | bytes, *options: str) -> Any:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return CliRunner().invoke(command, [str(path), *options], env=environment)

    return importing


def at(minutes: int) -> str:
    return (RECENT + timedelta(minutes=minutes)).isoformat()


def rows(session: Session) -> list[Event]:
    return list(session.scalars(select(Event).order_by(Event.occurred_at, Event.event_id)))


def test_columns_with_the_names_of_the_contract_need_no_mapping(
    run: Callable[..., Any], session: Session
) -> None:
    told = run(
        "shop.csv",
        "timestamp,event,userId,product_id,quantity,value,colour,payload\n"
        f'{at(1)},buy,u1,p1,2,9.90,blue,"{{""plan"": ""pro""}}"\n'
        f"{at(2)},view,,p2,,,,\n",
    )

    assert "read 2 rows: stored 2, duplicate 0, rejected 0" in told.output
    bought, seen = rows(session)
    assert (bought.event_type, bought.user_id, bought.quantity) == ("purchase", "u1", 2)
    assert bought.properties == {"colour": "blue", "plan": "pro"}
    assert (seen.event_type, seen.user_id, seen.properties) == ("product_view", None, None)
    assert session.get_one(ProductMetrics, "p1").total_sales == 2


def test_columns_are_mapped_by_options(run: Callable[..., Any], session: Session) -> None:
    run(
        "theirs.csv",
        f"when,what,who,note\n{at(1)},login,ann,hi\n",
        *("--map", "when=occurred_at", "--map", "what=event_type"),
        *("--map", "who=user_id", "--map", "note=properties.remark"),
    )

    [event] = rows(session)
    assert (event.event_type, event.user_id) == ("login", "ann")
    assert event.properties == {"remark": "hi"}


def test_columns_are_mapped_by_a_file(
    run: Callable[..., Any], session: Session, tmp_path: Path
) -> None:
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(
        """
        name = "theirs"
        [events]
        delimiter = ";"
        columns = { user_id = "who", device_type = "kind" }
        values = { device_type = { phone = "mobile" } }
        properties = { country = "land" }
        constants = { source = "kiosk" }
        type = { column = "what", values = { looked = "product_view" }, drop = ["ping"] }
        time = { kind = "iso", column = "when", format = "%d.%m.%Y %H:%M" }
        """
    )
    when = f"{RECENT:%d.%m.%Y %H:%M}"

    told = run(
        "theirs.csv",
        f"when;what;who;kind;land\n{when};looked;ann;phone;FR\n{when};ping;;;\n",
        *("--mapping", str(mapping)),
    )

    [event] = rows(session)
    assert "rejected dropped: 1" in told.output
    assert (event.event_type, event.source) == ("product_view", "kiosk")
    assert event.device_type == "mobile"
    assert event.properties == {"country": "FR"}
    assert event.occurred_at == RECENT.replace(second=0)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_the_same_file_again_stores_nothing(
    run: Callable[..., Any], session: Session, pack: Callable[[bytes], bytes]
) -> None:
    same = json.dumps({"event_type": "search", "occurred_at": at(1), "user_id": "ann"})
    content = pack("\n".join([same, same, "", same.replace("ann", "bob")]).encode())

    first = run("log.ndjson", content)
    again = run("log.ndjson", content)

    assert "stored 3, duplicate 0, rejected 0" in first.output
    assert "stored 0, duplicate 3, rejected 0" in again.output
    assert count_events(session) == 3


def test_a_history_that_was_purged_does_not_come_back(
    run: Callable[..., Any], session: Session, engine: Engine, redis_client: redis.Redis
) -> None:
    old = json.dumps({"event_type": "search", "occurred_at": at(-60 * 24 * 20), "user_id": "ann"})
    late = json.dumps({"event_type": "login", "occurred_at": at(-60 * 24 * 8), "user_id": "ann"})
    run("log.ndjson", "\n".join([old, late]))
    # It seals the days of both, and the partition of the second stays.
    purge(engine, days=10, zone="UTC", now=datetime.now(UTC))

    again = run("log.ndjson", "\n".join([old, late]))

    assert "stored 0, duplicate 1, rejected 1" in again.output
    assert "sealed" in again.output
    assert session.scalars(select(DeadLetter)).all() == []
    check(engine, redis_client, "UTC")


def test_each_bad_row_is_told_with_its_line_and_hurts_no_other(
    run: Callable[..., Any], session: Session, tmp_path: Path
) -> None:
    report = tmp_path / "rejected.ndjson"
    good = {"event_type": "search", "occurred_at": at(1)}
    bad = [
        "{",
        "[1]",
        json.dumps({"event_type": "search"}),
        json.dumps({**good, "occurred_at": "2001-01-01T00:00:00Z"}),
        json.dumps({**good, "occurred_at": "9999-01-01T00:00:00Z"}),
        json.dumps({**good, "occurred_at": "soon"}),
        json.dumps({**good, "user_id": "a\0b"}),
        json.dumps({**good, "value": "much"}),
        json.dumps({"occurred_at": at(1)}),
        '{"event_type": "search", "x": ' + "9" * 5000 + "}",
        '{"event_type": "search", "x": ' + "[" * 2000 + "]" * 2000 + "}",
    ]
    content = "\n".join([*bad, json.dumps(good)]).encode() + b'\n{"event_type": "\xff"}\n'

    told = run("log.ndjson", content, "--report", str(report))

    assert told.exit_code == 0
    assert count_events(session) == 1
    rejected = [json.loads(line) for line in report.read_text().splitlines()]
    assert {item["line"] for item in rejected} == {*range(1, 12), 13}
    assert {item["reason"] for item in rejected} >= {
        "unreadable",
        "no_time",
        "too_old",
        "in_future",
        "invalid",
    }
    assert "raise ANALYTICS_RETENTION_DAYS" in told.output
    assert "log.ndjson:1: unreadable" in told.output


def test_rows_of_a_broken_csv_are_told_apart(run: Callable[..., Any], session: Session) -> None:
    told = run(
        "a.csv",
        b"event_type,occurred_at,user_id\n"
        + f"search,{at(1)}\n".encode()
        + f'search,{at(1)},"two\nlines"\n'.encode()
        + f"search,{at(1)},".encode()
        + b"\xff\n"
        + f"search,{at(1)},u1\n".encode(),
    )

    assert "stored 2, duplicate 0, rejected 2" in told.output
    assert "a.csv:2: unreadable: the row has 2 cells of 3" in told.output
    assert {event.user_id for event in rows(session)} == {"two\nlines", "u1"}


def test_a_dry_run_judges_and_stores_nothing(run: Callable[..., Any], session: Session) -> None:
    content = f"event_type,occurred_at\nsearch,{at(1)}\nsearch,x\n"

    told = run("a.csv", content, "--dry-run")

    assert "would store 1, duplicate 0, rejected 1" in told.output
    assert count_events(session) == 0
    session.rollback()
    run("a.csv", content)
    assert "would store 0, duplicate 1" in run("a.csv", content, "--dry-run").output


def test_a_file_of_which_nothing_can_be_used_is_refused(run: Callable[..., Any]) -> None:
    assert run("a.csv", "event_type,occurred_at\nsearch,x\n").exit_code == 1
    assert run("a.dat", "").exit_code == 2
    assert run("a.csv", "a,a\n1,2\n").exit_code == 1
    assert run("a.csv", "a\n1\n", "--map", "a=colour").exit_code == 1
    assert run("a.csv", "a\n1\n", "--map", "a").exit_code == 1
    assert run("a.ndjson", gzip.compress(b"{}\n" * 9)[:-9]).exit_code == 1


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"event_type;occurred_at;user_id\nlogin;2026-01-01;u\n", "its columns are parted by ';'"),
        (b"event_type\toccurred_at\nlogin\t2026-01-01\n", r"its columns are parted by '\t'"),
        ("event_type,who\nlogin,u\n".encode("utf-16"), "it is UTF-16: save it as UTF-8"),
        (
            b"event_type,occurred_at,customer\nlogin,2026-01-01,u\n",
            "it has no column 'buyer'; its columns are: event_type, occurred_at, customer",
        ),
    ],
    ids=["semicolons", "tabs", "utf-16", "a misspelt column"],
)
def test_a_file_that_was_misunderstood_is_refused_before_its_first_row(
    run: Callable[..., Any], session: Session, content: bytes, told: str
) -> None:
    refused = run("a.csv", content, "--map", "buyer=user_id")

    assert refused.exit_code == 1
    assert told in refused.output
    assert count_events(session) == 0


def test_a_file_that_ends_in_the_middle_keeps_what_came_before(
    run: Callable[..., Any], session: Session
) -> None:
    line = json.dumps({"event_type": "search", "occurred_at": at(1)}).encode() + b"\n"
    packed = gzip.compress(b"".join(line for _ in range(5000)), mtime=0)

    told = run("a.ndjson.gz", packed[:-8])

    assert told.exit_code == 1
    assert "is damaged" in told.output
    assert count_events(session) >= 2 * import_events.BATCH


@pytest.mark.parametrize("format_", ["csv", "ndjson"])
def test_an_export_comes_into_another_installation_as_it_was(
    run: Callable[..., Any],
    environment: dict[str, str],
    engine: Engine,
    session: Session,
    redis_client: redis.Redis,
    format_: str,
) -> None:
    ms = int(RECENT.timestamp() * 1000)
    store(
        engine,
        crafted(
            *(
                {
                    "event_id": uuid7_at(ms + n, n),
                    "occurred_at": at(0),
                    "event_type": "purchase",
                    "user_id": text_,
                    "message_id": None if n % 2 else f"m{n}",
                    "product_id": "p1",
                    "quantity": n,
                    "value": n + 0.1,
                    "items": [{"product_id": "p2", "position": n}] if n == 3 else None,
                    "properties": {"a": text_, "n": [1, None]},
                    "context": {"page": "/"},
                }
                for n, text_ in enumerate(["+49 30", "'=1", "@x", 'q"\n,', "-7", "'x", "plain"])
            ),
            # An id that was made of the client's own text, and one without a time.
            {"event_id": uuid8(ms, "a"), "occurred_at": at(0), "message_id": "theirs"},
            {"event_id": uuid8(0, "b"), "occurred_at": at(1), "message_id": "undated"},
        ),
    )
    columns = [column.name for column in Event.__table__.c if column.name != "received_at"]
    wanted = [[getattr(event, name) for name in columns] for event in rows(session)]
    counters = session.execute(text("SELECT * FROM product_metrics ORDER BY 1")).all()
    session.rollback()
    content = CliRunner().invoke(export, ["--format", format_], env=environment).stdout_bytes
    empty(engine)

    told = run(f"export.{format_}", content)

    assert "stored 9, duplicate 0, rejected 0" in told.output
    assert [[getattr(event, name) for name in columns] for event in rows(session)] == wanted
    assert session.execute(text("SELECT * FROM product_metrics ORDER BY 1")).all() == counters
    check(engine, redis_client, "UTC")


def test_an_import_that_is_killed_is_finished_by_the_next(
    environment: dict[str, str],
    session: Session,
    engine: Engine,
    tmp_path: Path,
    redis_client: redis.Redis,
) -> None:
    count = 5 * import_events.BATCH
    line = json.dumps({"event_type": "product_view", "product_id": "p1", "occurred_at": at(1)})
    arguments = [sys.executable, "-m", "cli.main", "import", "events", "--name", "log"]
    process = subprocess.Popen(
        [*arguments, "--format", "ndjson", "-"],
        cwd=ROOT, env={**os.environ, **environment}, stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdin is not None
    # Two batches and a half: the third waits for the rest of the file.
    process.stdin.write((line + "\n").encode() * (2 * import_events.BATCH + 700))
    process.stdin.flush()
    deadline = time.monotonic() + 30
    while count_events(session) < import_events.BATCH and time.monotonic() < deadline:
        session.rollback()
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdin.close()
    stored = count_events(session)
    session.rollback()
    assert 0 < stored < count

    path = tmp_path / "log.ndjson"
    path.write_text((line + "\n") * count)
    told = CliRunner().invoke(command, ["--name", "log", str(path)], env=environment)

    assert f"stored {count - stored:,}, duplicate {stored:,}" in told.output
    assert session.get_one(ProductMetrics, "p1").total_views == count
    check(engine, redis_client, "UTC")


def test_an_address_is_kept_as_the_setting_says(run: Callable[..., Any], session: Session) -> None:
    run("a.csv", f"event_type,occurred_at,ip_address\nsearch,{at(1)},192.0.2.77\n")

    assert rows(session)[0].ip_address == "192.0.2.0"
