"""Events of Umami 2 and 3: rows of website_event, with their session and their data.

The columns are those of umami-software/umami, prisma/schema.prisma, and of its raw export,
src/queries/sql/export/getExportWebsiteEvents.ts. Its session is a visitor, by address and
User-Agent, for as long as a salt lasts; its visit is a session: src/lib/collection-session.ts.
"""

from __future__ import annotations

from typing import Any

from datasets.event_mapping import RowError
from datasets.histories.cells import (
    read_json,
    read_moment,
    read_object,
    read_text,
    without_empty,
)
from datasets.histories.pages import read_campaign, read_device, read_page
from intake.dialects.commerce import add_commerce

#: EVENT_TYPE in src/lib/constants.ts; the second is an event with a name of its own.
_TYPES = {"1": "page_view", "3": "link_visit", "4": "pixel_view", "5": "web_vitals"}
_CUSTOM = "2"
_CLICK_IDS = ("gclid", "fbclid", "msclkid", "ttclid", "li_fat_id", "twclid")
_VITALS = ("lcp", "inp", "cls", "fcp", "ttfb")


def read_umami(row: dict[str, Any]) -> dict[str, Any]:
    """Make the event of a row. Raises RowError.

    The session's columns may stand beside the event's, or in an object `session`; what the
    event's data says, in an object `data`.
    """
    row = {**read_object(row.get("session")), **without_empty(row)}
    kind = _type(row)
    data = {name: read_json(value) for name, value in read_object(row.get("data")).items()}
    page = read_page(
        read_text(row.get("hostname")),
        read_text(row.get("url_path")),
        query=read_text(row.get("url_query")),
        title=read_text(row.get("page_title")),
        referrer=_referrer(row),
    )
    more = {name: row.get(name) for name in ("tag", *_CLICK_IDS, *_VITALS)}
    is_page = kind == "page_view"
    properties = without_empty({**more, **(page if is_page else {}), **data})
    event = {
        "event_type": kind,
        "message_id": read_text(row.get("event_id")),
        "occurred_at": read_moment(row.get("created_at")),
        "anonymous_id": read_text(row.get("session_id")),
        "user_id": read_text(row.get("distinct_id")),
        "session_id": read_text(row.get("visit_id")),
        "source": "web",
        "device_type": read_device(row.get("device")),
        "context": without_empty(
            {
                "page": {} if is_page else page,
                "campaign": read_campaign(row),
                "location": _location(row),
                "locale": row.get("language"),
                "browser": row.get("browser"),
                "os": without_empty({"name": row.get("os")}),
                "screen": row.get("screen"),
            }
        ),
    }
    add_commerce(event, properties)
    return without_empty(event)


def _type(row: dict[str, Any]) -> str:
    name = read_text(row.get("event_name"))
    number = read_text(row.get("event_type")) or (_CUSTOM if name else "1")
    kind = name if number == _CUSTOM else _TYPES.get(number)
    if kind is None:
        raise RowError("unknown_type", f"event_type {number[:20]!r}: no event of Umami has it")
    return kind


def _referrer(row: dict[str, Any]) -> str | None:
    host, path = read_text(row.get("referrer_domain")), read_text(row.get("referrer_path"))
    if host is None:
        return None
    query = read_text(row.get("referrer_query"))
    return f"https://{host}{path or ''}{f'?{query}' if query else ''}"


def _location(row: dict[str, Any]) -> dict[str, Any]:
    # Until 2.17 the region had another name.
    region = row.get("region") or row.get("subdivision1")
    return without_empty({"country": row.get("country"), "region": region, "city": row.get("city")})
