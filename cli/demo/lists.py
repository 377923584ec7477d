"""The lists that the demo shows: like a product, for a customer, for a visitor nobody knows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import text
from sqlalchemy.orm import Session

from cli.demo.load import Shop
from cli.evaluation import judged_parts
from ml.parts import AGAIN, promoted_lists
from models.histories import Line, read_histories
from models.person import Person

#: Products of a history that are named above the list that follows from it.
_NAMED = 4
_EXAMPLES = text(
    "SELECT product_id, name FROM product_metrics JOIN products USING (product_id) "
    "ORDER BY total_sales + total_views + total_clicks DESC, product_id LIMIT 3"
)
_CUSTOMER = text(
    "SELECT user_id FROM events WHERE user_id IS NOT NULL AND product_id IS NOT NULL "
    "GROUP BY user_id ORDER BY abs(count(*) - 20) / 10, max(occurred_at) DESC, user_id LIMIT 1"
)
_VISITOR = text(
    "SELECT anonymous_id FROM events WHERE user_id IS NULL AND product_id IS NOT NULL "
    "AND NOT EXISTS (SELECT FROM identities WHERE anonymous_id = events.anonymous_id) "
    "GROUP BY anonymous_id HAVING anonymous_id IS NOT NULL "
    "ORDER BY abs(count(*) - 8) / 4, max(occurred_at) DESC, anonymous_id LIMIT 1"
)
_NAMES = text("SELECT product_id, name FROM products WHERE product_id = ANY(:ids)")


def print_lists(console: Console, shop: Shop, session: Session, model: dict[str, Any]) -> None:
    """Print neighbours of three products, and lists for a customer and a visitor."""
    for row in session.execute(_EXAMPLES):
        answer = shop.get(f"/api/recommendations/product/{row.product_id}?n=4")
        _print(console, f"Like [bold]{row.name or row.product_id}[/]", answer)
    customer, visitor = session.scalar(_CUSTOMER), session.scalar(_VISITOR)
    people = {
        0: Person(customer) if customer is not None else None,
        1: Person(None, (visitor,)) if visitor is not None else None,
    }
    known = {number: person for number, person in people.items() if person is not None}
    histories = read_histories(session.connection(), known, now=datetime.now(UTC))
    if 0 in known:
        path = f"/api/recommendations/user/{customer}?n=5"
        did = _describe(session, histories[0])
        if AGAIN in promoted_lists(judged_parts(model)):
            _print(console, f"Again, for customer [bold]{customer}[/]", shop.get(path), did)
        answer = shop.get(f"{path}&exclude_seen=true")
        _print(console, f"New to customer [bold]{customer}[/]", answer, did)
    if 1 in known:
        path = f"/api/recommendations/session?anonymous_id={visitor}&n=5"
        did = _describe(session, histories[1])
        _print(console, f"For visitor [bold]{visitor}[/]", shop.get(path), did)


def _describe(session: Session, history: Sequence[Line]) -> str:
    """Say what somebody did last."""
    last = list({line.product_id: line for line in reversed(history)}.values())[-_NAMED:]
    rows = session.execute(_NAMES, {"ids": [line.product_id for line in last]})
    names = {row.product_id: row.name for row in rows}
    return " · ".join(
        f"{names.get(line.product_id) or line.product_id}{' (bought)' if line.bought else ''}"
        for line in reversed(last)
    )


def _print(console: Console, title: str, answer: dict[str, Any], did: str = "") -> None:
    console.print(f"\n{title}")
    if did:
        console.print(Text(f"  lately: {did}", style="dim"), no_wrap=True, overflow="ellipsis")
    items = answer["recommendations"]
    if not items:
        console.print("  [dim]nothing else to show yet[/]")
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(min_width=34, max_width=40, no_wrap=True)
    table.add_column(style="dim", no_wrap=True)
    for item in items:
        table.add_row(Text(f"  {item['name'] or item['product_id']}"), Text(item["reason"]))
    console.print(table)
