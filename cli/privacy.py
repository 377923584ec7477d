"""People by hand: erase-user, export-person, opt-out, opt-in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO

import click
import redis
from rich.console import Console
from sqlalchemy import Engine

import inbox
from cli.installation import installation, open_spool
from cli.words import counted
from models.database import transaction
from models.erasures import Erasure, receipt_of, request_erasure
from models.holdings import count_held, stream_held
from models.person import Person
from models.suppressions import OPT_OUT, Salts, SecretKeyMissingError, lift, suppress
from settings import Settings
from spool import SpoolError
from tasks.erase import erase

_user = click.argument("user_id", required=False)
_anonymous = click.option("--anonymous-id", help="An anonymous id, alone or besides the user.")
_dry_run = click.option("--dry-run", is_flag=True, help="Say what would change, change nothing.")

_LABELS = {
    "events": ("event", "events"),
    "identities": (
        "link between an anonymous id and a user",
        "links between anonymous ids and users",
    ),
    "dead_letters": ("dead letter", "dead letters"),
    "inbox": (
        "event that waited in the inbox or the spool",
        "events that waited in the inbox or the spool",
    ),
}


@dataclass(frozen=True, slots=True)
class _Here:
    """What the commands need of an installation."""

    settings: Settings
    engine: Engine
    redis: redis.Redis
    salts: Salts


@click.command("erase-user", epilog="Example: ./millrace erase-user u-17 --dry-run")
@_user
@_anonymous
@_dry_run
def erase_user(user_id: str | None, anonymous_id: str | None, dry_run: bool) -> None:
    """Delete everything about a person, and take no more events of them. Prints the receipt.

    Linked anonymous ids go with their user. It cannot be undone.
    """
    person = _person(user_id, anonymous_id)
    with _open() as here:
        if dry_run:
            _print_counts("would delete", _count_held(here, person))
            return
        with transaction(here.engine) as session:
            request = request_erasure(session, here.salts, person, now=_now())
        total = 0
        with Console().status("erasing") as status:

            def tell(kind: str, amount: int) -> None:
                nonlocal total
                total += amount
                status.update(f"erasing: {total:,} deleted, at {kind}")

            finished = erase(
                here.engine,
                here.redis,
                request.erasure_id,
                secret_key=here.settings.secret_key,
                zone=here.settings.report_timezone,
                clock=_now,
                tell=tell,
                spool=open_spool(here.settings),
            )
        if not finished:
            raise click.ClickException(
                f"a worker is at it already: see the receipt of {request.erasure_id}"
            )
        with transaction(here.engine) as session:
            receipt = receipt_of(session.get_one(Erasure, request.erasure_id))
    _print_counts("deleted", receipt["counts"])
    print(f"receipt {receipt['erasure_id']}")


@click.command(
    "export-person", epilog="Example: ./millrace export-person u-17 --output u-17.ndjson"
)
@_user
@_anonymous
@click.option("--output", type=click.File("wb"), default="-", help="A file; without it, stdout.")
def export_person(user_id: str | None, anonymous_id: str | None, output: BinaryIO) -> None:
    """Write everything that is held about a person as NDJSON: one thing a line."""
    lines, person = 0, _person(user_id, anonymous_id)
    with _open() as here:
        with transaction(here.engine) as session:
            person = person.with_linked(session)
        spool = open_spool(here.settings)
        for line in stream_held(here.engine, here.redis, person, salts=here.salts, spool=spool):
            output.write(line)
            lines += 1
    click.echo(f"wrote {counted(lines, 'line')}", err=True)


@click.command("opt-out", epilog="Example: ./millrace opt-out --anonymous-id device-9")
@_user
@_anonymous
@_dry_run
def opt_out(user_id: str | None, anonymous_id: str | None, dry_run: bool) -> None:
    """Take no more events of a person. What is held stays."""
    named = _person(user_id, anonymous_id)
    with _open() as here, transaction(here.engine) as session:
        person = named.with_linked(session)
        digests = here.salts.digests(person.user_id, person.anonymous_ids)
        changed = suppress(session, here.salts, digests, reason=OPT_OUT)
        print(f"{'would opt' if dry_run else 'opted'} out {counted(changed, 'id')}")
        if dry_run:
            session.rollback()


@click.command("opt-in", epilog="Example: ./millrace opt-in u-17")
@_user
@_anonymous
@_dry_run
def opt_in(user_id: str | None, anonymous_id: str | None, dry_run: bool) -> None:
    """Take a person's events again. An erasure cannot be taken back."""
    named = _person(user_id, anonymous_id)
    with _open() as here, transaction(here.engine) as session:
        person = named.with_linked(session)
        lifted = lift(session, here.salts.digests(person.user_id, person.anonymous_ids))
        word = "would take back" if dry_run else "took back"
        print(f"{word} the opt-out of {counted(lifted, 'id')}")
        if dry_run:
            session.rollback()


def _person(user_id: str | None, anonymous_id: str | None) -> Person:
    try:
        return Person.of(user_id, anonymous_id)
    except ValueError as error:
        raise click.UsageError(f"{error}: name one") from None


@contextmanager
def _open() -> Iterator[_Here]:
    with installation() as (settings, engine):
        try:
            salts = Salts.of(settings.secret_key)
        except SecretKeyMissingError as error:
            raise click.ClickException(str(error)) from None
        with closing(inbox.connect(settings.redis_url, timeout_s=10.0)) as client:
            try:
                yield _Here(settings, engine, client, salts)
            except SpoolError as error:
                raise click.ClickException(f"the spool cannot be read: {error}") from None


def _count_held(here: _Here, person: Person) -> dict[str, int]:
    with transaction(here.engine) as session:
        return count_held(
            session, here.redis, person.with_linked(session), spool=open_spool(here.settings)
        )


def _print_counts(word: str, counts: dict[str, int]) -> None:
    for kind, label in _LABELS.items():
        print(f"{word} {counted(counts[kind], *label)}")


def _now() -> datetime:
    return datetime.now(UTC)
