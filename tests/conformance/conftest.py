"""One running Millrace for all cells, and a few threads that run them side by side."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

import inbox
from cli.stack import stack
from models.api_keys import WRITE, make_key
from models.database import make_engine, transaction
from settings import read_settings
from tests.chromium import find_chromium
from tests.conformance.browser import running_shop
from tests.conformance.cells import Bench, Outcome, run_cell
from tests.conformance.environments import RegistryUnreachableError, ensure_node, ensure_python
from tests.conformance.scenarios import BEHAVIOURS, Behaviour
from tests.conformance.sdks import BROWSER, PYTHON, SDKS, Sdk
from tests.conformance.table import NO, read_table, replace_table, write_cell, write_lack

#: Cells at once: most of their time is waiting, whatever the machine.
SIDE_BY_SIDE = 4
Key = tuple[Sdk, Behaviour]
_SEEN: dict[tuple[str, str], str] = {}
_UNREACHED: dict[Sdk, str] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that writes the table."""
    parser.addoption("--write", action="store_true", help="Write what was seen into docs/sdks.md.")


def missing_of(sdk: Sdk) -> str | None:
    """Say what this machine lacks to run an SDK, None when it has all."""
    if sdk.runtime != PYTHON and not (shutil.which("node") and shutil.which("npm")):
        return "no Node with npm on this machine"
    if sdk.runtime == BROWSER:
        if find_chromium() is None:
            return "no Chromium on this machine"
        if importlib.util.find_spec("playwright") is None:
            return "Playwright's Python package is not installed"
    return None


@cache
def install(sdk: Sdk) -> str | None:
    """Install what an SDK needs; say why it cannot be had, None when it is there.

    A machine that reaches no registry is like one without Node: these rows are left out, by name.
    """
    try:
        if sdk.runtime == PYTHON:
            ensure_python(sdk)
        else:
            ensure_node()
    except RegistryUnreachableError:
        _UNREACHED[sdk] = "the package registry cannot be reached"
    return _UNREACHED.get(sdk)


@pytest.fixture(scope="session")
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Start web, worker and servers, in a place with a short path, and a shop's page."""
    sdks = {sdk for sdk, _ in _wanted(request.session)}
    packages = ensure_node() if any(sdk.runtime != PYTHON for sdk in sdks) else Path()
    folder = Path(tempfile.mkdtemp(prefix="mr-sdks-"))
    settings = replace(
        # The faults are the proxy's: a busy machine is to add none.
        read_settings({"LOG_LEVEL": "warning", "INGEST_TIMEOUT_S": "2", "WORKER_PROCESSES": "1"}),
        port=_free_port(),
    )
    with ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        running = cleanup.enter_context(
            stack(settings, folder, only=("web", "worker", "beat"), fast=True)
        )
        engine = make_engine(running.settings.sqlalchemy_url, application="conformance")
        cleanup.callback(engine.dispose)
        client = inbox.connect(running.settings.redis_url, timeout_s=5.0)
        cleanup.callback(client.close)
        shop_url = cleanup.enter_context(running_shop(packages))
        # The door learns of a key that is made later within seconds only.
        with transaction(engine) as session:
            row, key = make_key(WRITE, "conformance")
            session.add(row)
        upstream = ("127.0.0.1", running.settings.port)
        yield Bench(upstream, engine, client, packages, shop_url, key, row.key_id)


@pytest.fixture(scope="session")
def cells(request: pytest.FixtureRequest, bench: Bench) -> Iterator[dict[Key, Future[Outcome]]]:
    """Begin all cells that were asked for."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        yield {key: pool.submit(run_cell, bench, *key) for key in _wanted(request.session)}
        pool.shutdown(cancel_futures=True)


@pytest.fixture
def outcome(sdk: Sdk, behaviour: Behaviour, request: pytest.FixtureRequest) -> Outcome:
    """Give what came of one cell, when it is done."""
    if reason := missing_of(sdk) or install(sdk):
        pytest.skip(reason)
    future: Future[Outcome] = request.getfixturevalue("cells")[sdk, behaviour]
    # A driver that breaks is a cell that failed.
    _SEEN[sdk.label, behaviour.title] = NO if future.exception() else write_cell(future.result())
    return future.result()


@pytest.fixture(scope="session")
def documented() -> dict[tuple[str, str], str]:
    """Give the table as the page has it."""
    return read_table()


def _wanted(session: pytest.Session) -> list[Key]:
    """List the cells that this run collected and this machine can run."""
    calls = [item.callspec.params for item in session.items if hasattr(item, "callspec")]
    keys = [(call["sdk"], call["behaviour"]) for call in calls if "sdk" in call]
    return [key for key in keys if not (missing_of(key[0]) or install(key[0]))]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what could not run; write the table when that was asked for."""
    reasons = {sdk: missing_of(sdk) or _UNREACHED.get(sdk) for sdk in SDKS}
    for reason in sorted({reason for reason in reasons.values() if reason}):
        names = ", ".join(sdk.label for sdk in SDKS if reasons[sdk] == reason)
        terminalreporter.write_line(f"not run ({reason}): {names}")
    if terminalreporter.config.getoption("--write", default=False):
        lacks = {
            (sdk.label, each.title): write_lack(sdk, each)
            for sdk in SDKS
            for each in BEHAVIOURS
            if each.name in sdk.lacks
        }
        replace_table({**read_table(), **_SEEN, **lacks})
        terminalreporter.write_line("docs/sdks.md has the table of this run")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
