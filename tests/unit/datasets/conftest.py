"""Tiny directories of data, written and read by one object."""

import gzip
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from datasets import Dataset, read_dataset, simulate_shop

LAST_DAY = date(2026, 3, 31)


class Tiny:
    """A directory with a mapping; `tables` are added to a mapping of views by person and time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, name: str, text: str, encoding: str = "utf-8") -> Path:
        path = self.directory / name
        data = text.encode(encoding)
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    def map(
        self,
        tables: str = "",
        *,
        files: str = "sales.csv",
        columns: str = 'user_id = "who"\nproduct_id = "what"',
        kind: str = 'constant = "product_view"',
        time: str = 'kind = "iso"\ncolumn = "at"',
        options: str = "",
    ) -> Path:
        text = (
            f'name = "tiny"\n[events]\nfiles = ["{files}"]\n{options}\n'
            f"[events.columns]\n{columns}\n[events.type]\n{kind}\n[events.time]\n{time}\n{tables}\n"
        )
        return self.write("mapping.toml", text)

    def read(self, limit: int | None = None) -> Dataset:
        return read_dataset(self.directory, last_day=LAST_DAY, limit=limit)

    def column(self, key: str) -> list[Any]:
        return [event.get(key) for event in self.read().events()]


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return Tiny(tmp_path)


@pytest.fixture(scope="session")
def shop() -> Dataset:
    return simulate_shop(last_day=LAST_DAY)


@pytest.fixture(scope="session")
def shop_events(shop: Dataset) -> list[dict[str, Any]]:
    return list(shop.events())
