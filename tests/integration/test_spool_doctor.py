"""The doctor's finding on the spool."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cli.doctor.finding import ERROR, OK, WARNING, Patient
from cli.doctor.spool import check_spool
from settings import Settings
from spool import Spool


def nothing(folder: Path) -> None:
    """Leave the place of the spool as it is."""


def one_batch(folder: Path) -> None:
    Spool(folder, max_bytes=1 << 20).put(b"{}", events=1, days=[])


def a_shopping_list(folder: Path) -> None:
    folder.mkdir()
    (folder / "batches.sqlite3").write_text("milk, bread")


@pytest.mark.parametrize(
    ("make", "status", "words"),
    [
        (nothing, OK, "empty"),
        (one_batch, WARNING, "holds 1 batch in"),
        (a_shopping_list, ERROR, "cannot be used"),
    ],
)
def test_the_doctor_looks_at_the_spool(
    server_settings: Settings,
    tmp_path: Path,
    make: Callable[[Path], None],
    status: str,
    words: str,
) -> None:
    folder = tmp_path / "spool"
    make(folder)
    settings = replace(server_settings, spool=str(folder))

    found = check_spool(Patient(settings, tmp_path, running=None, reachable=True))

    assert found.status == status
    assert words in found.found


def test_the_doctor_says_that_its_disk_is_full(
    server_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = os.statvfs(tmp_path)
    full = os.statvfs_result((*disk[:3], 0, 0, *disk[5:]))
    monkeypatch.setattr(os, "statvfs", lambda place: full)
    settings = replace(server_settings, spool=str(tmp_path / "spool"))

    found = check_spool(Patient(settings, tmp_path, running=None, reachable=True))

    assert found.status == ERROR
    assert "takes nothing: its disk is full" in found.found


def test_what_a_spool_held_when_it_was_switched_off_is_found(
    server_settings: Settings, tmp_path: Path
) -> None:
    one_batch(tmp_path / "spool")

    found = check_spool(Patient(server_settings, tmp_path, running=None, reachable=True))

    assert found.status == WARNING
    assert f"off, but {tmp_path / 'spool'} holds 1 batch" in found.found
    assert "without INGEST_SPOOL=off" in found.remedy


def test_a_spool_that_is_off_is_said_to_be(server_settings: Settings, tmp_path: Path) -> None:
    found = check_spool(Patient(server_settings, tmp_path, running=None, reachable=True))

    assert (found.status, found.found.split(":")[0]) == (OK, "off")
