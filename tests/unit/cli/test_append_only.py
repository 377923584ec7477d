"""The inbox's files are put on the disk from outside of Valkey."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from cli.servers import append_only


def test_every_file_is_synchronised_and_one_that_vanishes_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "1.incr.aof").write_text("kept")
    (tmp_path / "2.base.aof").symlink_to(tmp_path / "gone")
    (tmp_path / "manifest").write_text("not ours")
    synchronised = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synchronised.append(os.fstat(descriptor)))

    append_only.synchronise(tmp_path)
    append_only.synchronise(tmp_path / "nothing yet")

    assert [found.st_ino for found in synchronised] == [(tmp_path / "1.incr.aof").stat().st_ino]


def test_a_disk_that_fails_is_told_once_and_the_thread_ends_with_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "1.incr.aof").write_text("kept")
    monkeypatch.setattr(append_only, "EVERY_S", 0.0)

    def fail(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    looks = iter([True, True, True])
    ended = threading.Event()
    told: list[str] = []

    def is_running() -> bool:
        if next(looks, False):
            return True
        ended.set()
        return False

    append_only.keep_synchronised(tmp_path, is_running, told.append)

    assert ended.wait(30)
    assert len(told) == 1
    assert "Input/output error" in told[0]
