"""What a training found out, for people: how each list did, and what was decided of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from ml.parts import AGAIN, LISTS, NEW, SESSION, SIMILAR

Parts = Mapping[str, Mapping[str, Any]]

#: How each list of a model is called, and what its questions are counted in.
TITLES = {
    NEW: ("Products that are new to people", "people"),
    AGAIN: ("Lists with products met before", "people"),
    SESSION: ("The next product of a visit", "questions"),
    SIMILAR: ("Similar products", "questions"),
}
#: The metrics that fit on a line; the run has them all.
_SHOWN = {
    "ndcg_at_10": "NDCG@10",
    "recall_at_10": "Recall@10",
    "hit_rate_at_20": "Hits@20",
    "mrr": "MRR",
}


def judged_parts(figures: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Give the lists that were judged, in the order in which they are shown."""
    parts = figures.get("parts") or {}
    return {name: parts[name] for name in LISTS if name in parts}


def print_evaluation(console: Console, figures: Mapping[str, Any]) -> None:
    """Print a table for each list that was judged, then the decision on each in words."""
    parts = judged_parts(figures)
    for name, part in parts.items():
        heading, unit = TITLES[name]
        console.print(f"\n[bold]{heading}[/]: {part['asked']:,} {unit}, days not seen before")
        console.print(_table(part))
    if parts:
        console.print()
    _print_decisions(console, parts)


def print_overview(console: Console, figures: Mapping[str, Any]) -> None:
    """Print one line for each list that was judged, then the decision on each in words."""
    parts = judged_parts(figures)
    if parts:
        table = Table(box=None, header_style="dim")
        table.add_column("NDCG@10 on days not seen before", no_wrap=True)
        for title in ("asked", "this model", "recent popularity", "content", "best single"):
            table.add_column(title, justify="right")
        for name, part in parts.items():
            table.add_row(*_overview_cells(name, part))
        console.print(table)
        console.print()
    _print_decisions(console, parts)


def _overview_cells(name: str, part: Mapping[str, Any]) -> list[str]:
    heading, unit = TITLES[name]
    baselines = part["baselines"]
    single = next((model for model in baselines if model.startswith("best single")), "")
    models = [baselines.get(model, {}) for model in ("recent_popularity", "content", single)]
    figures = [_cell(found.get("ndcg_at_10")) for found in (part["metrics"], *models)]
    return [heading, f"{part['asked']:,} {unit}", *figures]


def reason_beyond_lists(figures: Mapping[str, Any], reason: str | None) -> str:
    """Give what the reason of a run says that is not said of one of its lists."""
    rest = reason or ""
    for part in judged_parts(figures).values():
        _, is_said, after = rest.partition(f"{part['reason']}.")
        rest = after if is_said else rest
    return rest.strip()


def _print_decisions(console: Console, parts: Parts) -> None:
    for name, part in parts.items():
        sentence = f"{part['reason'][:1].upper()}{part['reason'][1:]}."
        console.print(f"[bold]{TITLES[name][0]}[/]: {part['status']}. {sentence}", highlight=False)


def _table(part: Mapping[str, Any]) -> Table:
    table = Table(box=None, header_style="dim")
    table.add_column("model", no_wrap=True)
    for title in (*_SHOWN.values(), "ahead by (95 %)"):
        table.add_column(title, justify="right", no_wrap=True)
    for model, found in {"candidate": part["metrics"], **part["baselines"]}.items():
        ahead = _interval(part["intervals"].get(f"ndcg_at_10_minus_{model}"))
        cells = (_cell(found.get(metric)) for metric in _SHOWN)
        table.add_row(_name(model), *cells, ahead)
    return table


def _name(model: str) -> str:
    """Write "best single (ease_latest)" as people say it."""
    signal = model.removeprefix("best single (").removesuffix(")")
    return signal.replace("_", " ") + (" alone" if signal != model else "")


def _interval(found: Any) -> str:
    """Write by how much the candidate's NDCG@10 is above a baseline's."""
    if not isinstance(found, list | tuple) or len(found) != 3:
        return ""
    _, low, high = found
    return "" if low is None or high is None else f"{low:+.3f} to {high:+.3f}"


def _cell(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "" if value is None else str(value)
