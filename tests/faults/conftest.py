"""One Millrace for the faults of a module: each leaves it whole, and finds what others left."""

from __future__ import annotations

import random
import secrets
import shutil
import tempfile
import time
from collections.abc import Collection, Generator, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.faults.checker import Verdict, check, wait_until_empty
from tests.faults.plan import ALL, SMOKE, SOAK, USUAL, Plan
from tests.faults.recorder import Recorder
from tests.faults.report import Fault, Report, write_table
from tests.faults.system import System, running_system

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
PLAN = pytest.StashKey[Plan]()
REPORT = pytest.StashKey[Report]()


class Judge(Protocol):
    """Wait for rest, compare, and note the fault."""

    def __call__(
        self, what: str, *, kills: int = 0, gone: Collection[str] = (), within_s: float = 120.0
    ) -> Verdict: ...


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take what `./millrace test --faults` says."""
    group = parser.getgroup("faults")
    group.addoption("--faults-size", choices=(SMOKE, USUAL, ALL, SOAK), default=USUAL)
    group.addoption("--faults-seed", type=int, default=None)
    group.addoption("--faults-minutes", type=float, default=0.0)
    group.addoption("--faults-report", default=None)
    group.addoption("--faults-write-docs", action="store_true")


def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed."""
    config.addinivalue_line("markers", "smoke: a fault of the run that takes a minute")
    config.addinivalue_line("markers", "thorough: a fault of the run that does everything")
    config.addinivalue_line("markers", "soak: faults at random, for as long as is asked")
    given = config.getoption("--faults-seed")
    plan = Plan(
        size=config.getoption("--faults-size"),
        seed=secrets.randbelow(1_000_000) if given is None else given,
        minutes=config.getoption("--faults-minutes"),
    )
    config.stash[PLAN] = plan
    config.stash[REPORT] = Report(plan.seed, plan.size)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what does not belong to the size of the run."""
    size = config.stash[PLAN].size
    here = [item for item in items if item.path.parent == Path(__file__).parent]
    left_out = [item for item in here if not _belongs(item, size)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _belongs(item: pytest.Item, size: str) -> bool:
    marks = {mark.name for mark in item.iter_markers()}
    if "soak" in marks or size == SOAK:
        return "soak" in marks and size == SOAK
    if size == SMOKE:
        return "smoke" in marks
    return size == ALL or "thorough" not in marks


@pytest.fixture(scope="session")
def plan(pytestconfig: pytest.Config) -> Plan:
    """Give the size of the run and its seed."""
    return pytestconfig.stash[PLAN]


@pytest.fixture
def chance(plan: Plan, request: pytest.FixtureRequest) -> random.Random:
    """Give the random numbers of one scenario: the same for the same seed."""
    return plan.chance(request.node.name)


@pytest.fixture
def seed(chance: random.Random) -> int:
    """Give the seed of one scenario's load."""
    return chance.randrange(1_000_000)


@pytest.fixture(scope="module")
def system(request: pytest.FixtureRequest) -> Iterator[System]:
    """Start it once a module, in a place with a short path; a module's SETTINGS change it."""
    folder = Path(tempfile.mkdtemp(prefix="mr-faults-"))
    changes: dict[str, Any] = getattr(request.module, "SETTINGS", {})
    try:
        with running_system(folder, **changes) as started:
            yield started
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def port(system: System) -> int:
    """Give the door's port."""
    return system.settings.port


@pytest.fixture
def recorder(tmp_path: Path, plan: Plan) -> Recorder:
    """Give a log to one scenario."""
    return Recorder(tmp_path / "client.jsonl", batch=plan.batch, least_s=plan.least_s)


@pytest.fixture
def judge(
    system: System, recorder: Recorder, request: pytest.FixtureRequest, pytestconfig: pytest.Config
) -> Judge:
    """Give a function that waits for rest, compares, and notes the fault and its verdict."""
    began = time.monotonic()

    def judged(
        what: str, *, kills: int = 0, gone: Collection[str] = (), within_s: float = 120.0
    ) -> Verdict:
        nonlocal began
        rest_s = wait_until_empty(
            system.client,
            within_s=within_s,
            waiting=system.count_spooled,
            meanwhile=system.revive,
        )
        verdict = check(
            recorder,
            system.engine,
            system.client,
            zone=system.settings.report_timezone,
            secret_key=system.settings.secret_key,
            gone=gone,
        )
        seconds, began = time.monotonic() - began, time.monotonic()
        fault = Fault.of(
            _name_of(request.node), what, verdict, kills=kills, rest_s=rest_s, seconds=seconds
        )
        _note(pytestconfig, fault)
        return verdict

    return judged


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note a scenario that came to no verdict too, as broken."""
    found = yield
    report = item.config.stash[REPORT]
    name = _name_of(item)
    if found.failed and call.excinfo and not any(fault.name == name for fault in report.faults):
        why = call.excinfo.exconly().splitlines()[0][:300]
        _note(item.config, Fault.failed(name, why, seconds=found.duration))
    return found


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print a line for each fault, and write the table when that is asked for."""
    report = config.stash[REPORT]
    if not report.faults:
        return
    terminalreporter.section("faults")
    for fault in report.faults:
        terminalreporter.write_line(str(fault))
    sums = report.as_dict()
    terminalreporter.write_line(
        f"all: {len(report.faults)} faults, {sums['kills']:,} kills, "
        f"events in {sums['events_in']:,}, stored {sums['stored']:,}, dead {sums['dead']:,}, "
        f"lost {sums['lost']:,}, twice {sums['twice']:,}; seed {report.seed}"
    )
    if config.getoption("--faults-write-docs"):
        write_table(sums, DOCUMENT)


def pytest_report_header(config: pytest.Config) -> str:
    """Say how to run the same again."""
    plan = config.stash[PLAN]
    return f"faults: {plan.size}, seed {plan.seed}"


def _note(config: pytest.Config, fault: Fault) -> None:
    """Keep a fault, in the file too: a run that is stopped leaves what it has found."""
    report = config.stash[REPORT]
    report.faults.append(fault)
    if path := config.getoption("--faults-report"):
        report.write(Path(path))


def _name_of(item: pytest.Item) -> str:
    return item.name.removeprefix("test_").replace("_", " ").replace("[", ": ").removesuffix("]")
