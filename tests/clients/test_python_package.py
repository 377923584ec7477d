"""The Python client as a package: built, installed on nothing else, and used."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import millrace_client
import pytest
from millrace_client import Client, Options

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "clients" / "python"


def run(*words: str | Path) -> str:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(
    importlib.util.find_spec("hatchling") is None or importlib.util.find_spec("pip") is None,
    reason="pip or hatchling, which builds it, is not installed",
)
def test_it_builds_installs_on_nothing_and_sends(tmp_path, server, write_key, stored) -> None:
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    offline = ("--quiet", "--no-index", "--no-deps")
    run(*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", tmp_path, PACKAGE)
    (wheel,) = tmp_path.glob("millrace_client-*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "fresh")
    python = tmp_path / "fresh" / "bin" / "python"
    run(*pip, "--python", python, "install", *offline, wheel)

    code = (
        "import millrace_client as millrace\n"
        f"millrace.host, millrace.write_key = {server.url!r}, {write_key!r}\n"
        "millrace.track_product_view('p1')\n"
    )
    run(python, "-I", "-c", code)

    assert [event["product_id"] for event in stored()] == ["p1"]
    names = zipfile.ZipFile(wheel).namelist()
    assert "millrace_client/py.typed" in names
    assert not [name for name in names if "test" in name]


def test_it_stands_on_the_standard_library_alone() -> None:
    code = (
        "import sys; known = set(sys.stdlib_module_names) | {'millrace_client'}\n"
        "import millrace_client\n"
        "print({name.partition('.')[0] for name in sys.modules} - known - {'__main__'})\n"
    )
    source = f"import sys; sys.path.insert(0, {str(PACKAGE / 'src')!r})\n"

    assert run(sys.executable, "-I", "-S", "-c", source + code) == "set()\n"
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    assert project["dependencies"] == []


def test_the_settings_of_the_package_are_the_options_of_a_client() -> None:
    defaults = {option.name: option.default for option in fields(Options) if option.name != "host"}

    assert {name: getattr(millrace_client, name) for name in defaults} == defaults
    assert set(defaults) <= set(millrace_client.__annotations__)


def test_each_method_of_a_client_is_a_function_of_the_package() -> None:
    methods = {
        name
        for name, value in {**vars(Client.__mro__[2]), **vars(Client)}.items()
        if not name.startswith("_") and callable(value)
    }

    assert "track_purchase" in methods
    assert methods <= set(millrace_client.__all__)
    assert all(hasattr(millrace_client, name) for name in millrace_client.__all__)


def test_the_documentation_tells_every_option_with_its_default() -> None:
    text = (ROOT / "docs" / "python-client.md").read_text()
    rows: dict[str, Any] = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and cells[0].startswith("`"):
            rows[cells[0].strip("`")] = cells[1]

    for option in fields(Options):
        assert option.name in rows, f"docs/python-client.md does not tell {option.name}"
        if option.name != "host":
            assert rows[option.name] == f"`{option.default!r}`", option.name


def test_the_documentation_tells_every_function() -> None:
    text = (ROOT / "docs" / "python-client.md").read_text()

    names = [name for name in millrace_client.__all__ if not name.startswith("_")]
    missing = [name for name in names if not re.search(rf"\b{name}\b", text)]

    assert missing == []
