"""`./millrace check`: do counters, aggregates and events agree?"""

from __future__ import annotations

import sys

import click
import orjson
from rich.console import Console
from sqlalchemy import Engine

import inbox
from cli.installation import installation, open_spool
from models.invariants import Invariant, check_invariants
from settings import Settings


@click.command(epilog="Example: ./millrace check --json")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(as_json: bool) -> None:
    """Count everything again and compare; exit with 1 when anything disagrees."""
    with installation() as (settings, engine):
        found = run_check(settings, engine)
    ok = all(invariant.ok for invariant in found)
    if as_json:
        print(orjson.dumps({"ok": ok, "invariants": [as_answer(item) for item in found]}).decode())
    else:
        print_invariants(Console(), found)
    sys.exit(0 if ok else 1)


def run_check(settings: Settings, engine: Engine) -> list[Invariant]:
    """Check the invariants of an installation."""
    client = inbox.connect(settings.redis_url, timeout_s=10.0)
    try:
        return check_invariants(
            engine,
            client,
            zone=settings.report_timezone,
            secret_key=settings.secret_key,
            spool=open_spool(settings),
        )
    finally:
        client.close()


def as_answer(invariant: Invariant) -> dict[str, object]:
    """Give one invariant as it stands in the JSON answer."""
    return {
        "id": invariant.id,
        "ok": invariant.ok,
        "text": invariant.text,
        "figure": invariant.figure,
    }


def print_invariants(console: Console, found: list[Invariant]) -> None:
    """Print a line for each invariant."""
    for item in found:
        mark = "[green]✓[/]" if item.ok else "[red]✗[/]"
        line = f" {mark} [bold]{item.id:4}[/] {item.text}: {item.figure}"
        console.print(line, highlight=False, soft_wrap=True)
