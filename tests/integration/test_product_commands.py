"""Commands on catalogue and metrics: import products, the missing rows, coverage, rebuild."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from cli import main
from models.database import transaction
from models.product_metrics import ProductMetrics
from models.products import Product, upsert_products
from settings import Settings
from tests.builders import NOW, store_events

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Give a function that runs a command on the servers of the tests."""
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    monkeypatch.setenv("REDIS_URL", settings.redis_url)
    monkeypatch.setenv("SECRET_KEY", settings.secret_key)

    def call(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main.main(list(arguments))
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def catalogue(engine: Engine) -> dict[str, Any]:
    with transaction(engine) as session:
        return {p.product_id: (p.name, p.attributes) for p in session.query(Product)}


FILES = {
    "shop.csv": b"product_id,name,season\na,Bag,spring\nb,Cap,\n",
    "shop.ndjson": b'{"product_id":"a","name":"Bag","attributes":{"season":"spring"}}\n'
    b'{"product_id":"b","name":"Cap"}',
    "shop.jsonl": b'{"product_id":"a","name":"Bag","attributes":{"season":"spring"}}\n'
    b'{"product_id":"b","name":"Cap"}\n',
    "shop.json": b'{"products":[{"product_id":"a","name":"Bag",'
    b'"attributes":{"season":"spring"}},{"product_id":"b","name":"Cap"}]}',
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", FILES)
def test_products_come_from_a_file_of_any_format(
    engine: Engine, run: Run, tmp_path: Path, name: str, packed: bool
) -> None:
    path = tmp_path / (name + ".gz" if packed else name)
    path.write_bytes(gzip.compress(FILES[name]) if packed else FILES[name])

    first, again = run("import", "products", str(path)), run("import", "products", str(path))

    assert first[:2] == (0, "2 products created, 0 updated, 0 rejected\n")
    assert again[:2] == (0, "0 products created, 2 updated, 0 rejected\n")
    assert catalogue(engine) == {"a": ("Bag", {"season": "spring"}), "b": ("Cap", {})}


def test_columns_are_renamed_and_left_out(engine: Engine, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "export.txt"
    path.write_bytes(b"sku;titel;geheim\na;Bag;x\n")
    maps = ["--map", "sku=product_id", "--map", "titel=name", "--map", "geheim="]

    code, said, _ = run("import", "products", str(path), "--format", "csv", *maps)

    assert (code, said) == (0, "1 product created, 0 updated, 0 rejected\n")
    assert catalogue(engine) == {"a": ("Bag", {})}


def test_bad_products_are_told_by_line_and_the_others_taken(
    engine: Engine, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "shop.ndjson"
    bad = ['{"product_id": "x", "price": -1}', "{", '{"colour": "red"}'] + ["7"] * 30
    path.write_text('{"product_id":"a"}\n' + "\n".join(bad) + '\n{"product_id":"b"}\n')

    code, said, _ = run("import", "products", str(path))
    skipped = run("import", "products", str(path), "--skip-invalid")

    lines = said.splitlines()
    assert code == 1
    assert lines[0].startswith("line 2: price: Must be greater than or equal to 0")
    assert lines[1].startswith("line 3: Is no JSON: ")
    assert lines[20:] == ["… and 13 more", "2 products created, 0 updated, 33 rejected"]
    assert skipped[0] == 0
    assert set(catalogue(engine)) == {"a", "b"}


def test_a_dry_run_changes_nothing(engine: Engine, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_bytes(b"product_id,price\na,1\nb,x\n")

    code, said, _ = run("import", "products", str(path), "--dry-run")

    assert code == 1
    assert said.splitlines()[-1] == "would take 1 product, reject 1"
    assert catalogue(engine) == {}


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("shop.csv", "product_id\nZürich\n".encode("latin-1"), "not UTF-8"),
        ("shop.csv", b"", "product_id among them"),
        (
            "shop.csv.gz",
            gzip.compress(b"product_id\n" + b"abc\n" * 99, mtime=0)[:-9],
            "shop.csv.gz",
        ),
        ("shop.json", b'{"items": []}', "or a list"),
        ("shop.ods", b"PK", "give --format"),
        ("nothing.csv", None, "does not exist"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_in_a_line(
    run: Run, tmp_path: Path, name: str, content: bytes | None, why: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)

    code, _, error = run("import", "products", str(tmp_path / name))

    assert code in (1, 2)
    assert why in error
    assert "Traceback" not in error


def test_what_was_read_before_a_file_broke_is_kept_and_told(
    engine: Engine, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "shop.csv"
    path.write_bytes(b"product_id\n" + b"".join(b"p%d\n" % n for n in range(2500)) + b"\xff\n")

    code, said, error = run("import", "products", str(path))

    assert code == 1
    assert said == "2,000 products created, 0 updated, 0 rejected\n"
    assert "line 2502" in error
    assert len(catalogue(engine)) == 2000


def fill(engine: Engine) -> None:
    with transaction(engine) as session:
        upsert_products(session, [{"product_id": f"p{n}"} for n in range(25)], now=NOW)
    store_events(engine, *[{"event_type": "view", "product_id": name} for name in ("p3", "x")])


def test_missing_metrics_are_counted_made_and_then_there(
    engine: Engine, run: Run, session: Session
) -> None:
    fill(engine)

    told = run("create-missing-metrics", "--dry-run")
    before = json.loads(run("metrics-coverage", "--json")[1])
    made = run("create-missing-metrics", "--batch-size", "10")
    again = run("create-missing-metrics")
    after = run("metrics-coverage")[1].splitlines()

    assert told[:2] == (0, "would make 24 metrics rows for 25 products\n")
    assert before == {
        "products": 25,
        "with_metrics": 1,
        "without_metrics": 24,
        "unknown_products": 1,
        "share": 0.04,
    }
    assert made[:2] == (0, "made 24 metrics rows for 25 products\n")
    assert again[:2] == (0, "made 0 metrics rows for 25 products\n")
    assert after[1] == "25 with metrics (100.0%)"
    assert session.get_one(ProductMetrics, "p3").total_views == 1


def test_a_rebuild_tells_the_drift_and_corrects_it(
    engine: Engine, run: Run, session: Session
) -> None:
    fill(engine)
    clean = run("rebuild-metrics", "--dry-run")
    with transaction(engine) as spoiling:
        spoiling.execute(text("UPDATE product_metrics SET total_views = 8"))

    told, done, after = (
        run("rebuild-metrics", "--dry-run"),
        run("rebuild-metrics"),
        run("rebuild-metrics", "--dry-run"),
    )

    assert [code for code, _, _ in (clean, told, done, after)] == [0, 1, 0, 0]
    assert "2 products recounted, 2 with drift" in told[1]
    assert next(line for line in told[1].splitlines() if "total_views" in line).split("│")[2:5] == [
        "    16 ",
        "         2 ",
        "    14 ",
    ]
    assert done[1].endswith("corrected 2 products\n")
    assert "2 products recounted, 0 with drift" in after[1]
    assert session.get_one(ProductMetrics, "p3").total_views == 1
