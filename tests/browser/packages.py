"""The npm packages that build, check and bundle the tracker, installed once for a lock file."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from pathlib import Path

import pytest

from tests.conformance.environments import RegistryUnreachableError, run

CLIENT = Path(__file__).parents[2] / "clients" / "javascript"
PACKAGES = CLIENT / "node_modules"


def ensure_packages() -> Path:
    """Give the folder of packages; skip the test on a machine that cannot have them."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("no Node with npm on this machine")
    lock = hashlib.sha256((CLIENT / "package-lock.json").read_bytes()).hexdigest()
    PACKAGES.parent.joinpath("build").mkdir(exist_ok=True)
    done = PACKAGES / ".installed"
    with (CLIENT / "build" / "npm.lock").open("w") as turn:
        # Two test processes would install over each other.
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not (done.exists() and done.read_text() == lock):
            options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]
            patience = ["--fetch-retries", "1", "--fetch-retry-mintimeout", "1000"]
            try:
                run(["npm", "ci", *options, *patience], cwd=CLIENT)
            except RegistryUnreachableError:
                pytest.skip("the package registry cannot be reached")
            done.write_text(lock)
    return PACKAGES
