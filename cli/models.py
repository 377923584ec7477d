"""`./millrace models`: which models are kept, which one is served, and how to change that."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from sqlalchemy.orm import Session

from app.artefact_check import find_fault
from cli.installation import installation
from cli.words import counted
from ml.parts import LISTS, promoted_lists
from models.database import transaction
from models.model_artefacts import VERSIONS_KEPT, ModelArtefact, read_artefacts
from models.model_promotions import Authority, ModelPromotion, read_promotion, read_promotion_of
from models.model_switch import Switch, SwitchRefused, promote_version, roll_back

_DRY_RUN = click.option("--dry-run", is_flag=True, help="Say what would be done, do nothing.")
_REASON = click.option("--reason", default="by hand", help="For whoever reads the history.")


@click.group(invoke_without_command=True, epilog="Example: ./millrace models promote 3 --dry-run")
@click.pass_context
def models(context: click.Context) -> None:
    """List the kept models; choose which one is served."""
    if context.invoked_subcommand is None:
        context.invoke(list_models)


@models.command("list", epilog="Example: ./millrace models list")
def list_models() -> None:
    """List the kept models, the newest first, with what the gate said of each."""
    with installation() as (_, engine), transaction(engine) as session:
        found = read_artefacts(session, limit=2 * VERSIONS_KEPT, before=None)
        served = read_promotion(session)
        lines = [(row, read_promotion_of(session, row.version)) for row in found]
    table = Table("version", "trained", "gate", "lists", "NDCG@10", "size", "served")
    for row, promotion in lines:
        holds = served is not None and served.version == row.version
        table.add_row(*_cells(row), _describe(promotion, holds=holds))
    Console().print(table)
    click.echo(counted(len(found), "model"))


@models.command(epilog="Example: ./millrace models promote 3 --reason 'the newer one is odd'")
@click.argument("version", type=click.IntRange(1, 2**63 - 1))
@_REASON
@_DRY_RUN
def promote(version: int, reason: str, dry_run: bool) -> None:
    """Serve a kept model, whatever the gate said of it. Its bytes are verified first."""
    _switch(
        lambda session, authority: promote_version(
            session, version, authority, find_fault=find_fault
        ),
        reason,
        dry_run,
    )


@models.command(epilog="Example: ./millrace models rollback --dry-run")
@_REASON
@_DRY_RUN
def rollback(reason: str, dry_run: bool) -> None:
    """Serve the model that was served before this one; once more, and further back."""
    _switch(
        lambda session, authority: roll_back(session, authority, find_fault=find_fault),
        reason,
        dry_run,
    )


def _switch(change: Callable[[Session, Authority], Switch], reason: str, dry_run: bool) -> None:
    authority = Authority(by="command", reason=reason, at=datetime.now(UTC))
    with installation() as (_, engine), Session(engine, expire_on_commit=False) as session:
        try:
            switch = change(session, authority)
        except SwitchRefused as error:
            raise click.ClickException(error.detail) from None
        session.rollback() if dry_run else session.commit()
    version = switch.promotion.version
    if not switch.changed:
        click.echo(f"version {version} is served already")
        return
    before = "no model" if switch.before is None else f"version {switch.before}"
    click.echo(f"{'would serve' if dry_run else 'serves'} version {version} in place of {before}")


def _cells(row: ModelArtefact) -> list[str]:
    manifest: dict[str, Any] = row.manifest
    ndcg = (manifest.get("metrics") or {}).get("ndcg_at_10")
    return [
        str(row.version),
        f"{row.created_at:%Y-%m-%d %H:%M}",
        str(manifest.get("status", "")),
        ", ".join(sorted(promoted_lists(manifest.get("parts")), key=LISTS.index)),
        f"{ndcg:.4f}" if isinstance(ndcg, float) else "",
        f"{row.size_bytes:,}",
    ]


def _describe(promotion: ModelPromotion | None, *, holds: bool) -> str:
    if promotion is None:
        return ""
    word = "since" if holds else "from"
    return f"{word} {promotion.promoted_at:%Y-%m-%d %H:%M}, by {promotion.promoted_by}"
