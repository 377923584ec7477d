"""Export events as CSV or NDJSON, streamed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import chain
from typing import Any

from flask import Response

from app.auth import require_scope
from app.blueprint import ApiBlueprint
from app.clock import today
from app.database import db
from app.errors import Problem
from app.event_query import read_filter
from app.schemas.export import ExportQuery
from app.state import state
from models.export import FORMS, INTERRUPTED, Chunk, Form, read_chunks

blueprint = ApiBlueprint(
    "export", __name__, url_prefix="/api/admin/analytics", description="Export"
)
_MEDIA_TYPES = {"csv": "text/csv", "ndjson": "application/x-ndjson"}
_DAY = timedelta(days=1)
#: The ways to say of which time the events are wanted: only one at once.
_WAYS = (("date",), ("date_from", "date_to"), ("days", "since", "until"))


@blueprint.route("/export/")
@blueprint.doc(
    summary="Events as CSV or NDJSON",
    responses={
        "200": {
            "description": "The events in the order of their ids, streamed. A stream that breaks "
            f"off, or whose last line says {INTERRUPTED}, is not complete; one with as many events "
            "as the header X-Export-Limit says may not be. Go on with cursor.",
            "content": {kind: {} for kind in _MEDIA_TYPES.values()},
        }
    },
)
@require_scope("export")
@blueprint.arguments(ExportQuery, location="query")
def export(query: dict[str, Any]) -> Response:
    """Stream the events that the filters leave, at most `limit` of them.

    The days are those of the reporting time zone. The id of the last event that was read is the
    `cursor` from which another request goes on; then CSV has no line of names, so that the files
    can be joined.
    """
    if not _given_ways(query):
        query["date"] = today()
    wanted = read_filter(_with_moments(query))
    form = FORMS[query["format"]]
    cursor = query["cursor"]
    chunks = read_chunks(
        db.engine,
        wanted,
        form=form,
        after=None if cursor is None else str(cursor),
        limit=query["limit"],
    )
    # What can go wrong at once is an answer of its own, not a stream that breaks off.
    first = next(chunks, None)
    named = query["header"] if query["header"] is not None else cursor is None
    return Response(
        _write(form, named, first, chunks),
        mimetype=_MEDIA_TYPES[query["format"]],
        headers={
            "Content-Disposition": f'attachment; filename="{_file_name(query)}"',
            # As many events as this: there may be more.
            "X-Export-Limit": str(query["limit"]),
        },
    )


def _write(
    form: Form, named: bool, first: Chunk | None, others: Iterator[Chunk]
) -> Iterator[bytes]:
    if named:
        yield form.header
    last_id = ""
    try:
        for chunk in chain([] if first is None else [first], others):
            yield from chunk.pieces
            last_id = chunk.last_id
    except Exception:
        # Not every server lets the client see that a stream broke off.
        yield form.interruption(last_id)
        raise


def _given_ways(query: dict[str, Any]) -> list[tuple[str, ...]]:
    return [way for way in _WAYS if any(query[name] is not None for name in way)]


def _with_moments(query: dict[str, Any]) -> dict[str, Any]:
    """Give a query whose days are moments. Raises Problem 422."""
    if len(_given_ways(query)) > 1:
        ways = "; or ".join(", ".join(way) for way in _WAYS)
        raise Problem(422, "ambiguous_period", f"give the time in one way: {ways}")
    first, end = query["date_from"], query["date_to"]
    if query["date"] is not None:
        first, end = query["date"], query["date"] + _DAY
    if first is None and end is None:
        return query
    return {**query, "since": _begin(first), "until": _begin(end)}


def _begin(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), state().settings.zone)


def _file_name(query: dict[str, Any]) -> str:
    day = f"-{query['date']}" if query["date"] else ""
    return f"events{day}.{query['format']}"
