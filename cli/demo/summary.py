"""What the demo tells in the end: counts, days, products, the model, and lists of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, text

from cli.check import print_invariants
from cli.demo.expected import Expected
from cli.demo.lists import print_lists
from cli.demo.load import Sent, Shop
from cli.evaluation import print_overview, reason_beyond_lists
from cli.run import curl_line
from cli.stack import Stack
from datasets import Dataset
from models.database import transaction
from models.invariants import Invariant

BARS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Story:
    """All that the demo found out."""

    dataset: Dataset
    sent: Sent
    stored: int
    dead: int
    seconds: float
    expected: Expected
    sums: dict[str, Any]
    invariants: list[Invariant]
    model: dict[str, Any]
    shop: Shop
    running: Stack
    engine: Engine

    @property
    def events_per_s(self) -> float:
        """Give events stored per second, from the first request to the last commit."""
        return self.stored / max(self.seconds, 0.001)

    @property
    def counters_agree(self) -> bool:
        """Tell whether the counters are what the client counted while it sent."""
        wanted = dict(self.expected.sums)
        kept = {name: int(self.sums[name]) for name in wanted}
        return (
            kept == wanted
            and self.sums["total_revenue"] == self.expected.revenue
            and self._holds("I3")
            and self._holds("I6")
        )

    @property
    def aggregates_agree(self) -> bool:
        """Tell whether the aggregates equal a recount."""
        return self._holds("I5")

    @property
    def agrees(self) -> bool:
        """Tell whether every count agrees: sent = stored, counters, aggregates, all invariants."""
        return (
            self.sent.sent == self.stored == self.sums["events"] == self.expected.events
            and self.counters_agree
            and all(item.ok for item in self.invariants)
        )

    def _holds(self, wanted: str) -> bool:
        return all(item.ok for item in self.invariants if item.id == wanted)


def print_story(console: Console, story: Story) -> None:
    """Print the summary."""
    _print_counts(console, story)
    facts = _read_facts(story)
    _print_days(console, story, facts["days"])
    _print_top(console, facts["top"])
    _print_model(console, story)
    with transaction(story.engine) as session:
        print_lists(console, story.shop, session, story.model.get("decision") or {})
    _print_urls(console, story)


def _print_counts(console: Console, story: Story) -> None:
    data = story.dataset
    kind = "simulated shop" if data.simulated else data.name
    span = (data.last_day - data.first_day).days + 1
    console.rule(f"[bold]{kind}: {data.event_count:,} events over {span} days")
    for note in data.notes:
        console.print(f"[dim]• {note}[/]")
    good = "[bold green]" if story.sent.sent == story.stored else "[bold red]"
    console.print(
        f"\n{good}{story.sent.sent:,} sent, {story.stored:,} stored[/] in {story.seconds:.1f} s: "
        f"[bold]{story.events_per_s:,.0f} events/s[/] from HTTP to committed, counted rows"
    )
    if story.sent.rejected:
        console.print(f"[red]{story.sent.rejected:,} rejected: {story.sent.first_rejection}[/]")
    if story.dead:
        console.print(f"[red]{story.dead:,} dead letters[/]")
    mark = "[green]✓[/]" if story.counters_agree else "[red]✗[/]"
    console.print(
        f" {mark} [bold]sent[/] the counters are what the client counted: "
        f"{int(story.sums['total_sales']):,} units, {story.sums['total_revenue']:,.2f} revenue, "
        f"{int(story.sums['total_views'] + story.sums['total_clicks']):,} views and clicks"
    )
    print_invariants(console, story.invariants)


def _print_days(console: Console, story: Story, days: list[tuple[date, int]]) -> None:
    """Draw the events per day: one column for one day, or for as many as fit."""
    if not days:
        return
    width = max(20, min(console.width - 4, 100))
    by_day = dict(days)
    first, last = days[0][0], days[-1][0]
    span = (last - first).days + 1
    per_column = -(-span // width)
    columns = [
        sum(by_day.get(first + timedelta(days=start + n), 0) for n in range(per_column))
        for start in range(0, span, per_column)
    ]
    top = max(columns)
    height = 6
    unit = "day" if per_column == 1 else f"{per_column} days"
    console.print(f"\n[bold]Events per {unit}[/] (most: {top:,})")
    for row in range(height, 0, -1):
        cells = []
        for value in columns:
            level = value / top * height - (row - 1)
            cells.append(BARS[max(0, min(8, round(level * 8)))])
        console.print("  " + "".join(cells), style="cyan")
    begin, end = f"{first:%d %b %Y}", f"{last:%d %b %Y}"
    gap = max(3, len(columns) - len(begin) - len(end))
    console.print(f"  {begin}{' ' * gap}{end}", style="dim")


def _print_top(console: Console, top: list[Any]) -> None:
    table = Table(title="Top products", title_justify="left", box=None, pad_edge=False)
    table.add_column("product", max_width=44, no_wrap=True)
    for name in ("views + clicks", "carts", "units sold", "revenue"):
        table.add_column(name, justify="right")
    for row in top:
        table.add_row(
            row.name or row.product_id,
            f"{row.views:,}",
            f"{row.carts:,}",
            f"{row.sales:,}",
            f"{row.revenue:,.2f}",
        )
    console.print()
    console.print(table)


def _print_model(console: Console, story: Story) -> None:
    run = story.model.get("last_run") or {}
    figures = run.get("figures") or {}
    rest = reason_beyond_lists(figures, run.get("reason"))
    console.print(f"\n[bold]Model[/] {run.get('status')}. {rest}".rstrip(), highlight=False)
    print_overview(console, figures)


def _print_urls(console: Console, story: Story) -> None:
    running = story.running
    console.print("\n[bold]Have a look[/]")
    console.print(f"  {running.url}/openapi.json")
    console.print(f"  {running.url}/api/recommendations/popular")
    console.print(f"  {running.url}/api/model/info")
    flower = f"http://127.0.0.1:{running.settings.flower_port}"
    console.print(f"  {flower} (flower: admin / {running.secrets.admin_password})")
    console.print(f"  admin token: {running.prepared.admin_token}")
    console.print(f"  MILLRACE_DATA_DIR={running.data_dir} ./millrace check", soft_wrap=True)
    console.print(f"  {curl_line(running)}", style="cyan", soft_wrap=True)


def _read_facts(story: Story) -> dict[str, Any]:
    with transaction(story.engine) as session:
        days = session.execute(
            text("SELECT day, events FROM daily_totals WHERE events > 0 ORDER BY day")
        ).all()
        top = session.execute(
            text(
                "SELECT product_id, name, total_views + total_clicks AS views, "
                "total_cart_additions AS carts, total_sales AS sales, total_revenue AS revenue "
                "FROM product_metrics LEFT JOIN products USING (product_id) "
                "ORDER BY total_revenue DESC, total_views + total_clicks DESC, product_id LIMIT 8"
            )
        ).all()
    return {
        "days": [(row.day, row.events) for row in days],
        "top": top,
    }
