"""Reading event files row by row."""

from collections.abc import Generator
from pathlib import Path

from datasets.event_files import read_csv


def test_a_file_may_be_closed_before_all_of_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("event_type\nlogin\nsearch\n")
    with path.open("rb") as file:
        records = read_csv(file, encoding="utf-8", delimiter=",")
        first = next(records)

    assert isinstance(records, Generator)
    records.close()

    assert first.fields == {"event_type": "login"}
