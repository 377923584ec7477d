"""`dead-letters`: list, show, edit, replay and discard what could not be stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from typing import Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sqlalchemy import Engine

from app.schemas.dead_letters import LetterAnswer, LetterCount, LetterSummary
from cli.installation import installation
from cli.progress import progress_bar
from cli.words import counted
from intake.deny import DenyList
from intake.letters import LetterRules
from intake.messages import MAX_MESSAGES
from intake.rows import Rejected, Rules
from models.database import transaction
from models.dead_letter_list import (
    ANY,
    DEAD,
    DISCARDED,
    LetterFilter,
    count_by_reason,
    count_letters,
    discard_letters,
    read_letters,
    read_places,
)
from models.letter_edit import (
    Installation,
    LetterGone,
    LetterWithheld,
    change_letter,
    show_letter,
)
from models.letter_text import describe_letter, state_of
from models.replay import CHUNK, Replayed, replay_letters
from models.suppressions import SecretKeyMissingError
from settings import Settings

_BY = "command"
_RECENT = timedelta(days=1)

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Say what would change, change nothing.")
_DAY = click.DateTime(formats=["%Y-%m-%d"])
Command = TypeVar("Command", bound=Callable[..., Any])


def _filters(command: Command) -> Command:
    for option in (
        click.option("--date-to", type=_DAY, help="Kept before this day."),
        click.option("--date-from", type=_DAY, help="Kept on this day or later."),
        click.option("--dialect", help="segment, posthog, cloudevents; none: accepted events."),
        click.option("--event-type", help="Of this type, as far as it could be read."),
        click.option("--reason", help="Such as refused, sealed, unreadable, too_large."),
    ):
        command = option(command)
    return command


@click.group("dead-letters", epilog="Example: ./millrace dead-letters list --reason refused")
def dead_letters() -> None:
    """What could not be stored: look at it, mend it, store it after all, or give it up."""


@dead_letters.command(
    "list", epilog="Example: ./millrace dead-letters list --counts     by reason, and no letters"
)
@_filters
@click.option(
    "--state", type=click.Choice([DEAD, DISCARDED, ANY]), default=DEAD, show_default=True,
    help="Which ones.",
)  # fmt: skip
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Rows."
)
@click.option("--counts", is_flag=True, help="Count them by reason instead.")
@_JSON
def list_letters(state: str, limit: int, counts: bool, as_json: bool, **given: Any) -> None:
    """List letters, the newest first, or count them by reason."""
    with _open() as (engine, here), transaction(engine) as session:
        wanted = _filter_of(given, here, state=state)
        if counts:
            since = _now() - _RECENT
            _print_counts(count_by_reason(session, wanted, recent_since=since), as_json)
            return
        rows = read_letters(session, wanted, before=None, limit=limit)
        total = count_letters(session, wanted)
    if as_json:
        shown = [{**row._mapping, "state": state_of(row)} for row in rows]
        click.echo(json.dumps(LetterSummary(many=True).dump(shown), indent=2))
        return
    table = Table("id", "kept", "reason", "dialect", "type", "tries", "detail")
    for row in rows:
        when = f"{row.created_at:%Y-%m-%d %H:%M}"
        texts = (row.dialect or "", row.event_type or "", str(row.tries or ""), row.detail)
        table.add_row(str(row.event_id), when, row.reason, *map(escape, texts))
    Console().print(table)
    click.echo(f"{len(rows):,} of {counted(total, 'dead letter')}")


@dead_letters.command(
    epilog="Example: ./millrace dead-letters show 019cf082-5800-7742-af3a-f089aba6564d"
)
@click.argument("event_id", type=click.UUID)
def show(event_id: UUID) -> None:
    """Print a letter as JSON, with its event, and what that was before an edit."""
    with _open() as (engine, here), _refusals(event_id), transaction(engine) as session:
        row = show_letter(session, event_id, secret_key=here.secret_key)
        _print_letter(describe_letter(row))


@dead_letters.command(
    epilog="Example: ./millrace dead-letters edit 019cf082-5800-7742-af3a-f089aba6564d "
    "'{\"quantity\": 2}'"
)
@click.argument("event_id", type=click.UUID)
@click.argument("patch")
@_DRY_RUN
def edit(event_id: UUID, patch: str, dry_run: bool) -> None:
    """Change a letter's event by a JSON merge patch: fields to change, null takes one away.

    Of a rejected message the fields are those of its system. The result must be what its door
    accepts; what it was is kept beside it. An accepted event keeps its id.
    """
    fields = _read_patch(patch)
    with _open() as (engine, here), _refusals(event_id), transaction(engine) as session:
        row = change_letter(session, event_id, fields, here=here, by=_BY, now=_now())
        _print_letter(describe_letter(row))
        if dry_run:
            session.rollback()
    click.echo(f"{'would edit' if dry_run else 'edited'} {counted(1, 'dead letter')}", err=True)


@dead_letters.command(epilog="Example: ./millrace dead-letters replay --reason refused --dry-run")
@click.argument("event_ids", type=click.UUID, nargs=-1)
@_filters
@click.option("--all", "everything", is_flag=True, help="All letters, where nothing is named.")
@click.option(
    "--state", type=click.Choice([DEAD, DISCARDED]), default=DEAD, show_default=True,
    help="Letters in this state.",
)  # fmt: skip
@_DRY_RUN
def replay(
    event_ids: tuple[UUID, ...], everything: bool, state: str, dry_run: bool, **given: Any
) -> None:
    """Store the events of letters, each once. What fails again stays, with the new reason."""
    done = Replayed()
    with _open() as (engine, here):
        wanted = _select(event_ids, given, here, everything=everything, state=state)
        if dry_run:
            _print_dry("would replay", engine, wanted)
            return
        for ids in _chunks(engine, wanted, "replaying"):
            try:
                some = replay_letters(engine, ids, here=here, now=_now(), state=state)
            except SecretKeyMissingError as error:
                raise click.ClickException(str(error)) from None
            for name, count in some.as_dict().items():
                setattr(done, name, getattr(done, name) + count)
    click.echo(f"stored {counted(done.stored, 'event')}")
    click.echo(f"{counted(done.duplicate, 'event')} stored before")
    click.echo(f"{counted(done.dead, 'letter')} failed again")
    if done.refused:
        click.echo(f"{counted(done.refused, 'letter')} of people who opted out or were erased")


@dead_letters.command(
    epilog="Example: ./millrace dead-letters discard --reason sealed --date-to 2026-01-01"
)
@click.argument("event_ids", type=click.UUID, nargs=-1)
@_filters
@click.option("--all", "everything", is_flag=True, help="All letters, where nothing is named.")
@_DRY_RUN
def discard(event_ids: tuple[UUID, ...], everything: bool, dry_run: bool, **given: Any) -> None:
    """Give letters up. They are kept, with who did it, until retention deletes them."""
    discarded = 0
    with _open() as (engine, here):
        wanted = _select(event_ids, given, here, everything=everything, state=DEAD)
        if dry_run:
            _print_dry("would discard", engine, wanted)
            return
        for ids in _chunks(engine, wanted, "discarding"):
            with transaction(engine) as session:
                discarded += discard_letters(session, ids, by=_BY, now=_now())
    click.echo(f"discarded {counted(discarded, 'dead letter')}")


@contextmanager
def _open() -> Iterator[tuple[Engine, Installation]]:
    with installation() as (settings, engine):
        yield engine, _installation_of(settings)


def _installation_of(settings: Settings) -> Installation:
    def rules(largest: int, batch: int) -> Rules:
        return Rules(
            max_event_bytes=largest,
            max_batch_events=batch,
            retention_days=settings.open_days,
            strict_types=settings.strict_types,
            deny_list=DenyList.parse(settings.property_deny_list),
        )

    return Installation(
        rules=LetterRules(
            events=rules(settings.max_event_bytes, settings.max_batch_events),
            messages=rules(settings.sdk_max_event_bytes, MAX_MESSAGES),
        ),
        zone=settings.report_timezone,
        secret_key=settings.secret_key,
    )


def _select(
    event_ids: tuple[UUID, ...],
    given: dict[str, Any],
    here: Installation,
    *,
    everything: bool,
    state: str,
) -> LetterFilter:
    if not (event_ids or everything or any(given.values())):
        raise click.UsageError("name letters by their ids or a filter, or say --all")
    return _filter_of(given, here, state=state, event_ids=event_ids or None)


def _filter_of(
    given: dict[str, Any],
    here: Installation,
    *,
    state: str,
    event_ids: tuple[UUID, ...] | None = None,
) -> LetterFilter:
    texts = {name: given[name] for name in ("reason", "event_type", "dialect")}
    if any(text is not None and "\0" in text for text in texts.values()):
        raise click.UsageError("a filter must not contain the character NUL")
    return LetterFilter(
        state=state,
        event_ids=event_ids,
        since=_midnight(given["date_from"], here),
        until=_midnight(given["date_to"], here),
        **texts,
    )


def _midnight(day: datetime | None, here: Installation) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), tzinfo=ZoneInfo(here.zone))


def _chunks(engine: Engine, wanted: LetterFilter, text: str) -> Iterator[list[UUID]]:
    """Give the ids of the letters that are wanted, the oldest first, some at a time."""
    with transaction(engine) as session:
        total = count_letters(session, wanted)
    after = None
    with progress_bar(text, total, unit="letters") as bar:
        while True:
            with transaction(engine) as session:
                places = read_places(session, wanted, after=after, limit=CHUNK)
            if not places:
                return
            yield [event_id for _, event_id in places]
            after = places[-1]
            bar.advance(len(places))


def _print_dry(words: str, engine: Engine, wanted: LetterFilter) -> None:
    with transaction(engine) as session:
        click.echo(f"{words} {counted(count_letters(session, wanted), 'dead letter')}")


def _print_counts(rows: Any, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(LetterCount(many=True).dump(rows), indent=2))
        return
    table = Table("reason", "dialect", "letters", "last day", "oldest", "newest")
    for row in rows:
        figures = (f"{row.letters:,}", f"{row.recent:,}")
        days = (f"{row.oldest:%Y-%m-%d %H:%M}", f"{row.newest:%Y-%m-%d %H:%M}")
        table.add_row(escape(row.reason), row.dialect or "", *figures, *days)
    Console().print(table)
    click.echo(counted(sum(row.letters for row in rows), "dead letter"))


def _print_letter(described: dict[str, Any]) -> None:
    click.echo(json.dumps(LetterAnswer().dump(described), indent=2))


def _read_patch(patch: str) -> dict[str, Any]:
    try:
        fields = json.loads(patch)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"the patch is not JSON: {error}") from None
    if not isinstance(fields, dict) or not fields:
        raise click.UsageError("the patch must be a JSON object with a field to change")
    return fields


@contextmanager
def _refusals(event_id: UUID) -> Iterator[None]:
    try:
        yield
    except LetterGone:
        raise click.ClickException(f"there is no dead letter {event_id} (any more)") from None
    except LetterWithheld:
        raise click.ClickException(
            "this letter is of a person who opted out or was erased: discard it"
        ) from None
    except SecretKeyMissingError as error:
        raise click.ClickException(str(error)) from None
    except Rejected as verdict:
        raise click.ClickException(f"its door would not accept this: {verdict.detail}") from None


def _now() -> datetime:
    return datetime.now(UTC)
