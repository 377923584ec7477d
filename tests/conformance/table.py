"""The table of docs/sdks.md: written from what was seen, and compared with it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from cli.stack import ROOT
from tests.conformance.cells import Outcome
from tests.conformance.scenarios import BEHAVIOURS, Behaviour
from tests.conformance.sdks import SDKS, Sdk

PAGE = ROOT / "docs" / "sdks.md"
_BETWEEN = re.compile(r"(<!-- table -->\n).*?(<!-- /table -->)", re.DOTALL)


NO = "**no**"


def write_cell(outcome: Outcome) -> str:
    """Say how a behaviour went."""
    if outcome.problems:
        return NO
    return "yes" if outcome.attempts <= 1 else f"yes, {outcome.attempts} attempts"


def is_same(word: str | None, other: str) -> bool:
    """Tell whether two cells say the same; attempts depend on how busy a machine is."""
    return word is not None and word.partition(",")[0] == other.partition(",")[0]


def lacking() -> list[str]:
    """List the reasons why SDKs lack behaviours, in the order of the table."""
    reasons = (sdk.lacks.get(behaviour.name) for sdk in SDKS for behaviour in BEHAVIOURS)
    return list(dict.fromkeys(filter(None, reasons)))


def write_table(cells: Mapping[tuple[str, str], str]) -> str:
    """Write the table; `cells` is by label and title."""
    titles = [behaviour.title for behaviour in BEHAVIOURS]
    lines = [f"| SDK | {' | '.join(titles)} |", f"|---{'|---' * len(titles)}|"]
    for sdk in SDKS:
        row = [cells.get((sdk.label, title), "not run") for title in titles]
        lines.append(f"| {sdk.label} | {' | '.join(row)} |")
    reasons = [f"{number}. {reason}" for number, reason in enumerate(lacking(), 1)]
    return "\n".join([*lines, "", *reasons, ""])


def write_lack(sdk: Sdk, behaviour: Behaviour) -> str:
    """Refer to the reason why an SDK lacks a behaviour."""
    return f"n/a ({lacking().index(sdk.lacks[behaviour.name]) + 1})"


def read_table(path: Path = PAGE) -> dict[tuple[str, str], str]:
    """Read the page's table, empty when there is none yet."""
    found = _BETWEEN.search(path.read_text()) if path.exists() else None
    rows = [_words(line) for line in found[0].splitlines() if line.startswith("|")] if found else []
    if not rows:
        return {}
    titles = rows[0][1:]
    return {
        (row[0], title): word
        for row in rows[2:]
        for title, word in zip(titles, row[1:], strict=True)
    }


def replace_table(cells: Mapping[tuple[str, str], str], path: Path = PAGE) -> None:
    """Put the table into the page."""
    text = path.read_text()
    path.write_text(_BETWEEN.sub(lambda found: found[1] + write_table(cells) + found[2], text))


def _words(line: str) -> Sequence[str]:
    return [word.strip() for word in line.strip().strip("|").split("|")]
