"""The pinned lists: whole, hashed, of one mind, and without anybody's address."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LISTS = ("requirements", "requirements-embedded", "requirements-dev")


def entries(name: str) -> list[str]:
    text = re.sub(r"\\\n", " ", (ROOT / f"{name}.txt").read_text())
    return [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]


def named(name: str) -> dict[str, str]:
    """Give package and marker with the version."""
    found = {}
    for entry in entries(name):
        pin, _, rest = entry.partition("==")
        version, _, marker = rest.split(" --hash")[0].partition(";")
        found[f"{pin} {marker.strip()}"] = version.strip()
    return found


@pytest.mark.parametrize("name", LISTS)
def test_every_package_is_pinned_with_hashes(name):
    assert entries(name)
    assert all(
        re.match(r"[\w.\[\]-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line) for line in entries(name)
    )


@pytest.mark.parametrize("name", LISTS)
def test_no_address_stands_in_the_lists(name):
    for path in (ROOT / f"{name}.in", ROOT / f"{name}.txt"):
        assert not re.search(r"https?:|file:|--index|--find-links|--trusted-host", path.read_text())


@pytest.mark.parametrize("name", LISTS)
def test_every_dependency_asked_for_is_pinned_and_has_its_reason(name):
    pinned = {key.split()[0].split("[")[0] for key in named(name)}
    for line in (ROOT / f"{name}.in").read_text().splitlines():
        if line and not line.startswith("#"):
            package = re.match(r"[\w.-]+", line).group()
            assert package in pinned
            assert "#" in line or package == "pytest"


def test_the_lists_do_not_disagree():
    together: dict[str, str] = {}
    for name in LISTS:
        for package, version in named(name).items():
            assert together.setdefault(package, version) == version
