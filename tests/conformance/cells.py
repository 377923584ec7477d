"""One cell of the table: run a behaviour with an SDK, then look into the database."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from sqlalchemy import Engine

import inbox
from tests.conformance.browser import drive_page
from tests.conformance.checks import Seen, find_problems, read_stored
from tests.conformance.environments import DRIVERS, ensure_python
from tests.conformance.proxy import Proxy, running_proxy
from tests.conformance.scenarios import Behaviour
from tests.conformance.sdks import BROWSER, CLIENTS, PYTHON, Sdk

UNKNOWN_KEY = "wk_nobody_knows_this_one"
WITHIN_S = 45.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was wrong, nothing if all is well, and the most attempts that one event took."""

    problems: tuple[str, ...]
    attempts: int


@dataclass(frozen=True, slots=True)
class Bench:
    """A running Millrace, the npm packages, and the shop whose pages use them."""

    upstream: tuple[str, int]
    engine: Engine
    client: redis.Redis
    packages: Path
    shop_url: str
    write_key: str
    key_id: str


def run_cell(bench: Bench, sdk: Sdk, behaviour: Behaviour) -> Outcome:
    """Let an SDK do the steps through a faulty proxy, then look at what is stored."""
    name = f"{sdk.slug}-{behaviour.name}"
    steps = behaviour.steps(name)
    key = bench.write_key if behaviour.known_key else UNKNOWN_KEY
    scenario: dict[str, Any] = {"key": key, "steps": steps, "mode": sdk.mode}
    if behaviour.gzip:
        scenario["gzip"] = True
    if behaviour.leaves:
        scenario["leaves"] = True
    with running_proxy(bench.upstream, behaviour.faults) as proxy:
        scenario["host"] = proxy.url + behaviour.prefix
        times = (
            _drive_browser(bench, sdk, proxy, scenario)
            if sdk.runtime == BROWSER
            else _drive_process(bench, sdk, scenario)
        )
        wait_until_stored(bench.client)
        stored = read_stored(bench.engine, name)
        seen = Seen(sdk, behaviour, steps, times, proxy.deliveries(), stored)
    problems = tuple(find_problems(seen, bench.engine, key_id=bench.key_id))
    return Outcome(problems, max(len(seen.attempts(mark)) for mark in marks_of(steps)))


def _drive_browser(bench: Bench, sdk: Sdk, proxy: Proxy, scenario: dict[str, Any]) -> list[float]:
    known = scenario["key"] != UNKNOWN_KEY
    return drive_page(
        f"{bench.shop_url}/{sdk.driver}",
        proxy,
        scenario,
        marks_of(scenario["steps"]),
        # An SDK that is not let in may not even try.
        within_s=WITHIN_S if known else 5.0,
    )


def _drive_process(bench: Bench, sdk: Sdk, scenario: dict[str, Any]) -> list[float]:
    """Run the driver in its own environment until it ends by itself."""
    if sdk.runtime == PYTHON:
        command = [ensure_python(sdk), DRIVERS / "python" / sdk.driver]
    else:
        command = [Path("node"), bench.packages / sdk.driver]
    # Nothing of this environment may help the SDK, and no proxy may stand before ours.
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    if sdk.is_ours:
        environment["PYTHONPATH"] = str(CLIENTS / "python" / "src")
    done = subprocess.run(
        [*map(str, command), json.dumps(scenario), *filter(None, [sdk.mode])],
        env=environment,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{sdk.label}: {done.stderr[-2000:]}")
    lines = (line for line in done.stdout.splitlines() if line.startswith('{"at"'))
    return [json.loads(line)["at"] for line in lines]


def marks_of(steps: list[dict[str, Any]]) -> list[str]:
    """Give the marks of the events that the steps send."""
    return [step["properties"]["mark"] for step in steps if "properties" in step]


def wait_until_stored(client: redis.Redis, *, within_s: float = 20.0) -> None:
    """Wait until all that is in the inbox now has been stored. Entries leave it after that."""
    last = client.xinfo_stream(inbox.STREAM)["last-generated-id"]
    deadline = time.monotonic() + within_s
    while client.xrange(inbox.STREAM, max=last, count=1):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the inbox still holds events after {within_s:.0f} s")
        time.sleep(0.05)
