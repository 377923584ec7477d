"""`./millrace test`: pytest on real servers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parents[1]
SUITES_APART = ("faults", "conformance")


def usable_cores() -> int:
    """Count the cores this process may use, where the system tells."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="Example: ./millrace test -k ingest -x     Everything after `test` goes to pytest.",
)
@click.option("--faults", is_flag=True, help="Kill processes under load instead (minutes).")
@click.option("--smoke", "size", flag_value="smoke", help="Of the faults: a minute.")
@click.option("--all", "size", flag_value="all", help="Of the faults: everything.")
@click.option(
    "--soak",
    "minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Three faults at a time for so many minutes.",
)
@click.option("--seed", type=int, help="Make the faults as in the run that named this number.")
@click.option("--report", type=click.Path(path_type=Path), help="Write the faults as JSON here.")
@click.option("--write-docs", is_flag=True, help="Put their table into docs/reliability.md.")
@click.option(
    "--conformance", is_flag=True, help="Let the released SDKs send instead (needs registries)."
)
@click.option(
    "--jobs", default=min(4, usable_cores()), show_default=True, help="Processes to test in."
)
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def test(
    faults: bool, conformance: bool, jobs: int, pytest_arguments: tuple[str, ...], **plan: Any
) -> int:
    """Run the tests; the servers they need are started from the wheels."""
    apart = "faults" if faults else "conformance" if conformance else None
    if not faults and any(plan.values()):
        raise click.UsageError("--smoke, --all, --soak, --seed and --report go with --faults")
    command = [sys.executable, "-m", "pytest", *selection(apart, pytest_arguments)]
    if faults:
        command += fault_options(**plan)
    # Suites of their own have one running Millrace, not one a process.
    if jobs > 1 and not apart:
        # Work is handed out by file, so that one file's servers are started once.
        command += ["-n", str(jobs), "--dist", "loadfile"]
    command += pytest_arguments
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def fault_options(
    *,
    size: str | None,
    minutes: float | None,
    seed: int | None,
    report: Path | None,
    write_docs: bool,
) -> list[str]:
    """Say to tests/faults which of them to make, and where the report goes."""
    words = ["--faults-size", "soak" if minutes else size or "usual"]
    if minutes:
        words += ["--faults-minutes", str(minutes)]
    if seed is not None:
        words += ["--faults-seed", str(seed)]
    if report:
        words += ["--faults-report", str(report.absolute())]
    return [*words, "--faults-write-docs"] if write_docs else words


def selection(apart: str | None, arguments: tuple[str, ...]) -> list[str]:
    """Give pytest what to collect, unless the person has named files.

    `apart` names a suite that runs by itself only.
    """
    if any((ROOT / word.split("::")[0]).exists() for word in arguments if not word.startswith("-")):
        return []
    if apart:
        return [f"tests/{apart}"]
    return ["tests", *(f"--ignore=tests/{suite}" for suite in SUITES_APART)]
