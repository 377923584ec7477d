"""Fail points: obeyed by one process, once, and by nobody unless a test says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import fail_points
from fail_points import FailPointError, arm, fail_point, fired
from settings import SettingsError, read_settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def armed(tmp_path: Path) -> Iterator[Path]:
    """Give a directory whose files are obeyed."""
    fail_points.enable(str(tmp_path))
    yield tmp_path
    fail_points.enable("")


def test_a_point_without_a_file_does_nothing(armed: Path) -> None:
    fail_point("drain.taken")

    assert not fired(armed, "drain.taken")


def test_a_point_is_obeyed_once(armed: Path) -> None:
    arm(armed, "drain.taken", "raise")

    with pytest.raises(FailPointError, match=r"drain\.taken"):
        fail_point("drain.taken")
    fail_point("drain.taken")

    assert fired(armed, "drain.taken") == [os.getpid()]


def test_another_point_goes_on(armed: Path) -> None:
    arm(armed, "drain.taken", "raise")

    fail_point("drain.done")

    assert (armed / "drain.taken").exists()


def test_a_point_waits_as_long_as_it_is_told(armed: Path) -> None:
    arm(armed, "door.put", "sleep 0.05")
    began = time.monotonic()

    fail_point("door.put")

    assert time.monotonic() - began >= 0.05


def test_a_word_that_it_does_not_know_is_an_error(armed: Path) -> None:
    arm(armed, "door.put", "explode now")

    with pytest.raises(ValueError, match="explode now"):
        fail_point("door.put")


def test_without_a_directory_no_file_is_obeyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arm(tmp_path, "drain.taken", "raise")

    fail_point("drain.taken")

    assert (tmp_path / "drain.taken").exists()


@pytest.mark.parametrize(("action", "code"), [("kill", -signal.SIGKILL), ("exit", 1)])
def test_of_two_processes_one_dies(tmp_path: Path, action: str, code: int) -> None:
    arm(tmp_path, "drain.taken", action)
    words = f"import fail_points as f; f.enable({str(tmp_path)!r}); f.fail_point('drain.taken')"

    two = [subprocess.Popen([sys.executable, "-c", words], cwd=ROOT) for _ in range(2)]

    assert sorted(process.wait() for process in two) == sorted([0, code])
    assert fired(tmp_path, "drain.taken")[0] in {process.pid for process in two}


def test_the_setting_is_for_tests_only(tmp_path: Path) -> None:
    environ = {"MILLRACE_FAIL_POINTS_DIR": str(tmp_path)}

    with pytest.raises(SettingsError, match="MILLRACE_FAIL_POINTS_DIR"):
        read_settings(environ)

    assert read_settings({**environ, "PYTEST_VERSION": "9"}).fail_points_dir == str(tmp_path)
