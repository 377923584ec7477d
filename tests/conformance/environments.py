"""Throw-away environments with the released SDKs, kept until their lists change."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from cli.stack import ROOT
from tests.conformance.sdks import LISTS, Sdk

DRIVERS = Path(__file__).parent / "drivers"
#: How pip and npm say that they reached nobody.
_UNREACHED = re.compile(
    "ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|new connection|timed out"
    "|name resolution|Network is unreachable"
)
#: Git ignores it.
CACHE = ROOT / "build" / "conformance"


class RegistryUnreachableError(RuntimeError):
    """The registry that has the SDKs does not answer."""


def ensure_python(sdk: Sdk) -> Path:
    """Install an SDK's list into a virtual environment of its own; give its Python."""
    if sdk.is_ours:
        return Path(sys.executable)
    pins = LISTS / f"{sdk.listed_in}.txt"

    def install(folder: Path) -> None:
        run([sys.executable, "-m", "venv", "--without-pip", str(folder)])
        pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
        run([*pip, "install", "--quiet", "--require-hashes", "--no-compile", "-r", str(pins)])

    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return _ensure(f"{sdk.listed_in}-py{version}", pins.read_bytes(), install) / "bin" / "python"


def ensure_node() -> Path:
    """Install the npm packages and put the drivers beside them; give the folder.

    Node looks for packages where the importing file is.
    """

    def install(folder: Path) -> None:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(LISTS / name, folder)
        # Not `npm ci`: it wants the optional packages of every platform in the lock file.
        options = ["--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund"]
        # Its own patience with a registry that is away is minutes for each package.
        patience = ["--fetch-retries", "1", "--fetch-retry-mintimeout", "1000"]
        run(["npm", "install", *options, *patience, "--loglevel", "error"], cwd=folder)

    folder = _ensure("node", (LISTS / "package-lock.json").read_bytes(), install)
    for driver in (DRIVERS / "node").glob("*.mjs"):
        shutil.copy(driver, folder)
    return folder


def _ensure(name: str, pins: bytes, install: Callable[[Path], None]) -> Path:
    folder = CACHE / f"{name}-{hashlib.sha256(pins).hexdigest()[:12]}"
    done = folder / ".installed"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        install(folder)
        done.touch()
    return folder


def run(command: list[str], cwd: Path | None = None) -> None:
    """Run a command; show what it said when it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr or done.stdout
        kind = RegistryUnreachableError if _UNREACHED.search(said) else RuntimeError
        raise kind(f"{' '.join(command[:5])} …: {said[-2000:]}")
