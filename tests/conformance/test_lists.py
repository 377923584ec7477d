"""The lists of SDKs: pinned, with hashes, and without anybody's address."""

from __future__ import annotations

import json
import re

import pytest

from tests.conformance.sdks import LISTS

PYTHON_LISTS = sorted(path.stem for path in LISTS.glob("*.txt"))


@pytest.mark.parametrize("name", PYTHON_LISTS)
def test_a_python_list_is_pinned_with_hashes_and_names_no_address(name: str) -> None:
    text = (LISTS / f"{name}.txt").read_text()

    entries = re.sub(r"\\\n", " ", text).splitlines()
    assert all(re.match(r"[\w.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line) for line in entries)
    assert not re.search(r"https?:|file:|--index|--find-links", text)


def test_the_npm_lock_file_has_hashes_and_names_no_registry() -> None:
    packages = json.loads((LISTS / "package-lock.json").read_text())["packages"]
    pinned = {name: package for name, package in packages.items() if name}

    assert all(package["integrity"].startswith("sha512-") for package in pinned.values())
    assert not [name for name, package in pinned.items() if "resolved" in package]
