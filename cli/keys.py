"""`keys`: list, make, rotate and revoke write keys and admin tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from marshmallow import ValidationError
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.schemas.keys import KeyAnswer, KeyRequest
from cli.installation import installation
from cli.words import counted
from intake.contract import messages_of
from models.api_keys import ADMIN, ADMIN_SCOPES, WRITE, ApiKey, read_keys
from models.database import transaction
from models.key_changes import KeyRefused, issue_key, revoke_key, rotate_token

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Say what would be done, do nothing.")
_MOMENT = click.DateTime(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])


@click.group(epilog="Example: ./millrace keys create --kind admin --name reports --scope read")
def keys() -> None:
    """Write keys, which name who sends events, and admin tokens, which read and manage."""


@keys.command("list", epilog="Example: ./millrace keys list --all")
@click.option("--all", "everything", is_flag=True, help="Revoked and expired ones too.")
@_JSON
def list_keys(everything: bool, as_json: bool) -> None:
    """List the keys, the oldest first. The keys themselves are not kept."""
    now = _now()
    with installation() as (_, engine):
        rows = _read_all(engine)
    shown = [row for row in rows if everything or row.status_at(now) == "valid"]
    if as_json:
        click.echo(json.dumps([_describe(row, now) for row in shown], indent=2))
        return
    table = Table("id", "kind", "name", "status", "scopes or source", "expires", "last used")
    for row in shown:
        scopes = "all" if set(row.scopes) == set(ADMIN_SCOPES) else ", ".join(row.scopes)
        rights = scopes if row.kind == ADMIN else _describe_write_key(row)
        used = _short(row.last_used_at) if row.kind == ADMIN else ""
        status = row.status_at(now)
        table.add_row(row.key_id, row.kind, row.name, status, rights, _short(row.expires_at), used)
    Console().print(table)
    click.echo(f"{len(shown)} of {counted(len(rows), 'key')}")


@keys.command(
    epilog="Example: ./millrace keys create --kind write --name shop --source web "
    "--origin https://shop.example"
)
@click.option(
    "--kind",
    type=click.Choice([WRITE, ADMIN]),
    required=True,
    help="write sends events, admin reads and manages.",
)
@click.option("--name", required=True, help="For people; no two valid admin tokens have the same.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(ADMIN_SCOPES),
    help="What an admin token may do. May be given several times.",
)
@click.option("--source", help="Of a write key: the source of events that name none.")
@click.option(
    "--origin",
    "allowed_origins",
    multiple=True,
    help="A page that a write key may send from; without it, any. May be given several times.",
)
@click.option(
    "--rate-limit",
    type=int,
    help="Events a minute that a write key may send; without it, any number.",
)
@click.option(
    "--test",
    is_flag=True,
    help="Reports leave out the events of this write key: they are excluded as `test`.",
)
@click.option(
    "--key",
    help="A write key that clients send already: 8 to 200 characters of ASCII without spaces. It "
    "is as public as it was.",
)
@click.option(
    "--expires", "expires_at", type=_MOMENT, help="When it ends, in UTC; without it, never."
)
@_DRY_RUN
@_JSON
def create(dry_run: bool, as_json: bool, expires_at: datetime | None, **given: Any) -> None:
    """Make a key and show it: it cannot be read again.

    With --key nothing is drawn: a text that SDKs ship with already is a write key from now on. Who
    knows it can send events, as before; only a key that was drawn here was never anywhere else.
    """
    now = _now()
    fields = _check(given)
    fields["expires_at"] = expires_at and expires_at.replace(tzinfo=UTC)
    if fields["expires_at"] is not None and fields["expires_at"] <= now:
        raise click.BadParameter("--expires must lie ahead")
    with installation() as (_, engine), Session(engine, expire_on_commit=False) as session:
        with _refusals():
            row, key = issue_key(session, now=now, **fields)
        _finish(session, dry_run)
    _show_new(row, key, now, as_json=as_json, dry_run=dry_run, given=given["key"] is not None)


@keys.command(epilog="Example: ./millrace keys rotate 1f0c52aa --grace 24")
@click.argument("key_id")
@click.option(
    "--grace",
    "grace_h",
    type=click.FloatRange(0, 720),
    default=24.0,
    show_default=True,
    help="Hours the old token stays valid.",
)
@_DRY_RUN
@_JSON
def rotate(key_id: str, grace_h: float, dry_run: bool, as_json: bool) -> None:
    """Replace an admin token: the old one stays valid for a while."""
    now = _now()
    with installation() as (_, engine), Session(engine, expire_on_commit=False) as session:
        old = _find(session, key_id)
        grace = timedelta(hours=grace_h)
        with _refusals():
            row, key = rotate_token(session, old, now=now, grace=grace)
        _finish(session, dry_run)
    _show_new(row, key, now, as_json=as_json, dry_run=dry_run)
    if not as_json:
        click.echo(f"{old.key_id} stays valid until {_short(old.expires_at)}")


@keys.command(epilog="Example: ./millrace keys revoke 1f0c52aa")
@click.argument("key_id")
@_DRY_RUN
@_JSON
def revoke(key_id: str, dry_run: bool, as_json: bool) -> None:
    """Make a key invalid: a token at once, a write key within seconds."""
    now = _now()
    with installation() as (_, engine), Session(engine, expire_on_commit=False) as session:
        row = _find(session, key_id)
        with _refusals():
            revoke_key(session, row, now=now)
        _finish(session, dry_run)
    if as_json:
        click.echo(json.dumps(_describe(row, now), indent=2))
        return
    click.echo(f"{'would revoke' if dry_run else 'revoked'} {_call(row)} {key_id} ({row.name})")


def _read_all(engine: Engine) -> list[ApiKey]:
    rows: list[ApiKey] = []
    with transaction(engine) as session:
        after = None
        while page := read_keys(session, limit=1000, after=after):
            rows += page
            after = page[-1].created_at, page[-1].key_id
    return rows


def _check(given: dict[str, Any]) -> dict[str, Any]:
    """Check the options as the endpoint checks its body."""
    listed = {name: list(given[name]) for name in ("scopes", "allowed_origins")}
    try:
        fields: dict[str, Any] = KeyRequest().load({**given, **listed})
    except ValidationError as error:
        name, message = next(iter(messages_of(error).items()))
        text = message[0] if isinstance(message, list) else next(iter(message.values()))[0]
        raise click.ClickException(f"{name}: {text}") from None
    return fields


def _find(session: Session, key_id: str) -> ApiKey:
    row = session.get(ApiKey, key_id)
    if row is None:
        raise click.ClickException(f"there is no key {key_id!r}: see ./millrace keys list --all")
    return row


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except KeyRefused as error:
        raise click.ClickException(error.detail) from None


def _finish(session: Session, dry_run: bool) -> None:
    if dry_run:
        session.expunge_all()
        session.rollback()
    else:
        session.commit()


def _show_new(
    row: ApiKey, key: str, now: datetime, *, as_json: bool, dry_run: bool, given: bool = False
) -> None:
    if as_json:
        shown = {} if dry_run else {"key": key}
        click.echo(json.dumps({**_describe(row, now), **shown}, indent=2))
    elif dry_run:
        click.echo(f"would make {_call(row)} {row.name!r}")
    else:
        click.echo(f"made {_call(row)} {row.key_id} ({row.name})")
        click.echo(f"{key}   {'as public as it was' if given else 'shown only now'}")


def _describe(row: ApiKey, now: datetime) -> dict[str, Any]:
    columns = {column.key: getattr(row, column.key) for column in ApiKey.__mapper__.column_attrs}
    described: dict[str, Any] = KeyAnswer().dump({**columns, "status": row.status_at(now)})
    return described


def _describe_write_key(row: ApiKey) -> str:
    return ", ".join(filter(None, [row.source, "test" if row.test else None]))


def _call(row: ApiKey) -> str:
    return "admin token" if row.kind == ADMIN else "write key"


def _short(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def _now() -> datetime:
    return datetime.now(UTC)
