"""The report of a run: a line and an entry for each fault, and the table in the documents."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.checker import Verdict

BEGIN, END = "<!-- faults -->", "<!-- /faults -->"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: what was done, and what became of the events sent meanwhile."""

    name: str
    what: str
    kills: int
    events_in: int
    stored: int
    dead: int
    lost: int
    twice: int
    #: Never answered with 2xx: stored once or not at all.
    unknown: int
    rejected: int
    #: From the last event to an empty inbox.
    rest_s: float
    seconds: float
    broken: Sequence[str] = ()

    @classmethod
    def of(
        cls, name: str, what: str, verdict: Verdict, *, kills: int, rest_s: float, seconds: float
    ) -> Fault:
        """Make the entry of a verdict."""
        return cls(
            name=name,
            what=what,
            kills=kills,
            events_in=verdict.accepted,
            stored=verdict.stored,
            dead=verdict.dead,
            lost=verdict.lost,
            twice=verdict.twice,
            unknown=verdict.unanswered,
            rejected=verdict.rejected,
            rest_s=round(rest_s, 1),
            seconds=round(seconds, 1),
            broken=[f"{item.id}: {item.figure}" for item in verdict.broken],
        )

    @classmethod
    def failed(cls, name: str, why: str, *, seconds: float) -> Fault:
        """Make the entry of a scenario that did not come to a verdict."""
        return cls(name, why, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, round(seconds, 1), [why])

    def __str__(self) -> str:
        broken = "; ".join(self.broken)
        return (
            f"{self.name}: {self.what}; kills {self.kills:,}, events in {self.events_in:,}, "
            f"stored {self.stored:,}, dead {self.dead:,}, lost {self.lost:,}, "
            f"twice {self.twice:,}, unknown {self.unknown:,}, at rest after {self.rest_s:.1f} s, "
            f"{self.seconds:.0f} s: {f'BROKEN: {broken}' if broken else 'holds'}"
        )


@dataclass(slots=True)
class Report:
    """All faults of a run."""

    seed: int
    size: str
    faults: list[Fault] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Give sums and faults."""
        sums = ("events_in", "stored", "dead", "lost", "twice", "kills")
        return {
            **{name: sum(getattr(fault, name) for fault in self.faults) for name in sums},
            "faults": [asdict(fault) for fault in self.faults],
            "seed": self.seed,
            "size": self.size,
        }

    def write(self, path: Path) -> None:
        """Write the report, whole or not at all."""
        draft = path.with_name(f".{path.name}")
        draft.write_text(json.dumps(self.as_dict(), indent=1) + "\n")
        draft.replace(path)


def write_table(report: dict[str, Any], document: Path) -> None:
    """Put the table of a report into a document, in the place of the one before it."""
    text = document.read_text()
    head, rest = text.split(BEGIN)
    document.write_text(f"{head}{BEGIN}\n{_table(report)}\n{END}{rest.split(END)[1]}")


def _table(report: dict[str, Any]) -> str:
    columns = ("kills", "events_in", "stored", "dead", "lost", "twice", "unknown")
    lines = [
        f"| fault | what | {' | '.join(name.replace('_', ' ') for name in columns)} | s |",
        "|---|---|" + "--:|" * (len(columns) + 1),
    ]
    for fault in report["faults"]:
        counts = " | ".join(f"{fault[name]:,}" for name in columns)
        lines.append(f"| {fault['name']} | {fault['what']} | {counts} | {fault['seconds']:.0f} |")
    sums = {**report, "unknown": sum(fault["unknown"] for fault in report["faults"])}
    counts = " | ".join(f"**{sums[name]:,}**" for name in columns)
    seconds = sum(fault["seconds"] for fault in report["faults"])
    lines.append(f"| **all {len(report['faults'])}** | | {counts} | {seconds:,.0f} |")
    return f"Seed {report['seed']}, size `{report['size']}`.\n\n" + "\n".join(lines)
