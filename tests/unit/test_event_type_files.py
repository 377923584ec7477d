"""A team's own event types: read from a TOML file, and refused with the reason."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from event_type_files import EventType, read_event_types
from settings import SettingsError

ROOT = Path(__file__).resolve().parents[2]
TAKEN = ("purchase", "buy")


def read(folder: Path, toml: str) -> tuple[EventType, ...]:
    path = folder / "types.toml"
    path.write_text(toml, encoding="utf-8")
    return read_event_types(path, taken=TAKEN)


def test_a_type_is_read_with_all_its_keys(tmp_path: Path) -> None:
    (kind,) = read(
        tmp_path,
        """
        [job_saved]
        category = "job"
        action = "save"
        counter = "favorites"
        weight = 3
        colour = "#9467bd"
        synonyms = ["job_bookmarked", "Save Job"]
        """,
    )

    assert kind == EventType(
        name="job_saved",
        category="job",
        action="save",
        counter="favorites",
        weight=3.0,
        colour="#9467bd",
        synonyms=("job_bookmarked", "Save Job"),
        own=True,
    )


def test_what_is_left_out_follows_from_the_name(tmp_path: Path) -> None:
    lesson, jump = read(tmp_path, "[lesson_started]\n[jump]")

    assert (lesson.category, lesson.action, lesson.counter) == ("lesson", "started", None)
    assert (jump.category, jump.action, jump.weight) == ("jump", "jump", 0.0)


@pytest.mark.parametrize(
    ("toml", "fault"),
    [
        ("[job_saved", "is not TOML"),
        ("x = " + "[" * 5000, "is not TOML"),
        ("job_saved = 1", r"\[job_saved\] must be a table"),
        ("[JobSaved]", r"\[JobSaved\] a name is of a-z"),
        ("""["x'); drop table events; --"]""", "a name is of a-z"),
        ('["job_saved\\n"]', "a name is of a-z"),
        ("[" + "x" * 101 + "]", "a name is of a-z"),
        ("[purchase]", r"\[purchase\] the name 'purchase' is taken"),
        ("[buy]", "the name 'buy' is taken"),
        ('[a]\nsynonyms = ["purchase"]', "the name 'purchase' is taken"),
        ('[a]\nsynonyms = ["b"]\n[b]', r"\[b\] the name 'b' is taken"),
        ('[a]\nsynonyms = ["c", "c"]', "the name 'c' is taken"),
        ('[a]\nsynonyms = "b"', "synonyms must be a list"),
        ('[a]\nsynonyms = [""]', "synonyms must be a list"),
        ('[a]\ncounter = "likes"', "counter must be one of impressions, views, .*got 'likes'"),
        ("[a]\ncounter = [1]", "counter must be one of"),
        ("[a]\nsign = 2", "sign must be 1 or -1, got 2"),
        ('[a]\nsign = -1\ncounter = "views"', "sign -1 needs the counter sales"),
        ("[a]\nweight = -0.1", "weight must be a number from 0 to 100, got -0.1"),
        ("[a]\nweight = 100.5", "weight must be a number from 0 to 100"),
        ("[a]\nweight = nan", "weight must be a number from 0 to 100, got nan"),
        ("[a]\nweight = true", "weight must be a number from 0 to 100"),
        ('[a]\ncolour = "red"', "colour must be like #4c78a8, got 'red'"),
        ('[a]\ncategory = "x y"', "category is of a-z"),
        ("[a]\naction = 1", "action is of a-z"),
        ("[a]\nmeaning = 1", "unknown key 'meaning'; known: category, action"),
    ],
)
def test_a_fault_is_named_with_its_file_and_type(tmp_path: Path, toml: str, fault: str) -> None:
    with pytest.raises(SettingsError, match=fault) as caught:
        read(tmp_path, toml)

    assert str(caught.value).startswith(f"EVENT_TYPES_FILE {tmp_path / 'types.toml'}")


def test_a_file_that_is_away_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nothing\.toml cannot be read: No such file"):
        read_event_types(tmp_path / "nothing.toml", taken=())


def run(path: Path, code: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "EVENT_TYPES_FILE": str(path)}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True
    )


def test_an_own_type_is_in_the_catalogue_and_in_the_statements(tmp_path: Path) -> None:
    path = tmp_path / "types.toml"
    path.write_text(
        '[job_saved]\ncounter = "favorites"\nweight = 4\nsynonyms = ["bookmark"]\n'
        '[job_paid]\ncounter = "sales"\n[job_unpaid]\ncounter = "sales"\nsign = -1\n'
    )
    code = """
from event_types import CATALOGUE, VALUED, canonical_name
from models.interactions import INTERACTIONS
from models.product_metrics import counts_sql
sql = counts_sql("stored")
print(canonical_name("bookmark"), CATALOGUE["job_saved"].own, sorted(VALUED))
print("event_type IN ('favorite_add', 'job_saved')" in sql)
print("event_type IN ('purchase', 'purchase_lines', 'job_paid')" in sql)
print("event_type IN ('refund', 'refund_lines', 'job_unpaid')" in sql)
print("WHEN 'job_saved' THEN 4.0" in str(INTERACTIONS))
"""

    done = run(path, code)

    assert done.stdout.splitlines() == [
        "job_saved True ['job_paid', 'job_unpaid', 'purchase', 'purchase_lines', 'rate', "
        "'refund', 'refund_lines']",
        *["True"] * 4,
    ], done.stderr


def test_a_wrong_file_stops_the_process_with_its_fault(tmp_path: Path) -> None:
    path = tmp_path / "types.toml"
    path.write_text("[purchase]")

    done = run(path, "import event_types")

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(
        f"SettingsError: EVENT_TYPES_FILE {path}: [purchase] "
        "the name 'purchase' is taken by another type"
    )
