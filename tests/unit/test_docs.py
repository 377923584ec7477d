"""The documents say what the code does."""

from __future__ import annotations

import re
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


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.name)
def test_links_between_documents_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())

    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []
