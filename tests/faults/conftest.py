"""One Millrace for all faults: each scenario leaves it whole, and finds what the others left."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.checker import Verdict, check, wait_until_empty
from tests.faults.recorder import Recorder
from tests.faults.system import System, running_system

_LINES: list[str] = []


@pytest.fixture(scope="session")
def system() -> Iterator[System]:
    """Start it once, in a place with a short path."""
    folder = Path(tempfile.mkdtemp(prefix="mr-faults-"))
    try:
        with running_system(folder) as started:
            yield started
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    """Give a log to one scenario."""
    return Recorder(tmp_path / "client.jsonl")


@pytest.fixture
def judge(
    system: System, recorder: Recorder, request: pytest.FixtureRequest
) -> Callable[..., Verdict]:
    """Give a function that waits for rest, compares, and notes the line to print."""

    def judged(faults: str) -> Verdict:
        rest_s = wait_until_empty(system.client)
        verdict = check(recorder, system.engine, system.client)
        name = request.node.name.removeprefix("test_").replace("_", " ")
        _LINES.append(f"{name}: {faults}; {verdict}; at rest after {rest_s:.1f} s")
        return verdict

    return judged


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print a line for each fault."""
    if _LINES:
        terminalreporter.section("faults")
        for line in _LINES:
            terminalreporter.write_line(line)
