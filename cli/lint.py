"""`./millrace lint` and `./millrace lock`: style, types and layers, and the pinned lists."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[1]
#: A package of its own, with settings of its own.
CLIENT = "clients/python"
LISTS = ("requirements", "requirements-embedded", "requirements-dev")
HEADER = "# Written by `./millrace lock` from {name}.in: change that file, not this one.\n"


@click.command(epilog="Example: ./millrace lint --fix")
@click.option("--fix", is_flag=True, help="Format, and repair what can be repaired.")
@click.option(
    "--audit", is_flag=True, help="Also look for known vulnerabilities (needs the network)."
)
def lint(fix: bool, audit: bool) -> int:
    """Check style (ruff), types (mypy) and layers (import-linter)."""
    python = (sys.executable, "-m")
    checks: list[tuple[str, ...]] = [
        (*python, "ruff", "check", *(["--fix"] if fix else []), ".", CLIENT),
        (*python, "ruff", "format", *([] if fix else ["--check"]), ".", CLIENT),
        (*python, "mypy"),
        (*python, "mypy", "--config-file", f"{CLIENT}/pyproject.toml", f"{CLIENT}/src"),
        (str(Path(sys.executable).with_name("lint-imports")),),
    ]
    if audit:
        lists = [word for name in LISTS for word in ("-r", f"{name}.txt")]
        checks += [
            (*python, "pip_audit", "--disable-pip", "--require-hashes", *lists),
            (*python, "bandit", "-q", "-r", "app", "tasks", "cli", "models", "ml", "-ll"),
        ]
    failed = [check for check in checks if not _passes(check)]
    return 1 if failed else 0


def _passes(command: Sequence[str]) -> bool:
    words = [Path(command[0]).name, *command[1:]]
    name = " ".join(words[2:] if words[1:2] == ["-m"] else words)
    click.secho(f"== {name}", bold=True, err=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == 0


@click.command(epilog="Example: ./millrace lock && ./millrace test")
@click.option("--upgrade", is_flag=True, help="Take newer versions where the .in files allow them.")
def lock(upgrade: bool) -> int:
    """Write requirements*.txt from requirements*.in, with hashes, for all systems.

    All lists are resolved together first, so that no two of them disagree.
    """
    compile_ = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "compile",
        "--quiet",
        "--universal",
        "--no-header",
    ]
    compile_ += ["--python-version", "3.11", "--no-emit-index-url"]
    with tempfile.TemporaryDirectory() as scratch:
        together = Path(scratch) / "constraints.txt"
        if not upgrade:
            together.write_text("".join((ROOT / f"{name}.txt").read_text() for name in LISTS))
        sources = [f"{name}.in" for name in LISTS]
        _lock([*compile_, *sources, "--no-annotate", "-o", str(together)])
        for name in LISTS:
            draft = Path(scratch) / f"{name}.txt"
            hashed = ["--generate-hashes", "--annotation-style", "line", "-c", str(together)]
            _lock([*compile_, f"{name}.in", *hashed, "-o", str(draft)])
            text = draft.read_text().replace(f"-c {together}, ", "").replace(f", -c {together}", "")
            (ROOT / f"{name}.txt").write_text(HEADER.format(name=name) + text)
    return 0


def _lock(command: Sequence[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode:
        raise click.ClickException(f"the lists do not resolve:\n{done.stderr.strip()}")
