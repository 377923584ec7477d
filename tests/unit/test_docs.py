"""The documents say what the code does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from celeryconfig import beat_schedule
from cli.main import COMMANDS
from settings import describe_settings

ROOT = Path(__file__).parents[2]


def between(text: str, name: str) -> str:
    """Give what stands between the markers of a name."""
    match = re.search(rf"<!-- {name} -->\n(.*)<!-- /{name} -->", text, re.DOTALL)
    assert match is not None
    return match[1].strip()


def test_the_readme_lists_every_setting() -> None:
    readme = (ROOT / "README.md").read_text()

    assert between(readme, "settings") == describe_settings()


def test_every_place_on_the_readme_map_exists() -> None:
    rows = re.search(r"## The map\n(.*?)\n## ", (ROOT / "README.md").read_text(), re.DOTALL)
    assert rows is not None
    places = re.findall(
        r"`([^`]+)`", "\n".join(re.findall(r"^\| (`[^|]+)\|", rows[1], re.MULTILINE))
    )

    assert len(places) > 15
    assert [place for place in places if not (ROOT / place).exists()] == []


def test_every_command_is_told_in_the_changelog() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()

    assert [name for name in COMMANDS if name not in changelog] == []


def test_operations_names_every_timed_task() -> None:
    operations = (ROOT / "docs" / "operations.md").read_text()

    tasks = {entry["task"] for entry in beat_schedule.values()}
    assert [task for task in sorted(tasks) if task not in operations] == []


#: What carries a code to a client, and where among its arguments.
CARRIERS = {
    "Problem": 1,
    "BodyError": 0,
    "FileError": 0,
    "KeyRefused": 0,
    "Rejected": 0,
    "SinkUnavailable": 0,
    "SwitchRefused": 0,
}


def codes_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            place = CARRIERS.get(node.func.id)
            if place is None or len(node.args) <= place:
                continue
            if isinstance(code := node.args[place], ast.Constant):
                yield code.value


def test_every_error_code_is_explained_once_and_no_other() -> None:
    written = {
        code
        for folder in ("app", "intake", "models")
        for path in (ROOT / folder).rglob("*.py")
        for code in codes_of(path)
    }
    # Those of Flask and webargs, which `app.errors.http_problem` translates.
    written |= {"not_found", "method_not_allowed", "request_too_large", "invalid", "bad_request"}

    rows = re.findall(r"^\| `(\w+)` \| (\d{3})", (ROOT / "docs" / "errors.md").read_text(), re.M)
    explained = [code for code, _ in rows]
    assert len(explained) == len(set(explained))
    assert set(explained) == written
    assert [int(status) for _, status in rows] == sorted(int(status) for _, status in rows)


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.name)
def test_links_between_documents_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())

    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []
