"""Events of Plausible Community Edition: rows of ClickHouse's events_v2.

The columns are those of plausible/analytics, lib/plausible/clickhouse_event_v2.ex. Its user_id
names a visitor for a day only. The rows have no ids: what they say names them.
"""

from __future__ import annotations

from typing import Any

from datasets.event_mapping import RowError
from datasets.histories.cells import read_array, read_moment, read_text, without_empty
from datasets.histories.pages import read_campaign, read_device, read_page
from intake.dialects.commerce import add_commerce
from intake.dialects.numbers import read_number, read_whole

#: A scroll depth above this says that nothing was measured: lib/plausible/exports.ex.
_DEEPEST = 100


def read_plausible(row: dict[str, Any]) -> dict[str, Any]:
    """Make the event of a row. Raises RowError."""
    name = read_text(row.get("name"))
    if name is None:
        raise RowError(
            "not_an_event",
            "the row has no name: is it of events_v2? An imported_….csv holds totals, not events",
        )
    page = read_page(
        read_text(row.get("hostname")),
        read_text(row.get("pathname")),
        referrer=read_text(row.get("referrer")),
    )
    is_page = name == "pageview"
    properties = without_empty(
        {
            **(page if is_page else {}),
            "scroll_depth": _scroll_depth(row),
            **_money(row),
            **_own_properties(row),
        }
    )
    event = {
        "event_type": name,
        "occurred_at": read_moment(row.get("timestamp")),
        "anonymous_id": read_text(row.get("user_id")),
        "session_id": read_text(row.get("session_id")),
        "source": "web",
        "device_type": read_device(row.get("screen_size")),
        "duration_ms": read_whole(row.get("engagement_time")) or None,
        "context": without_empty(
            {
                "page": {} if is_page else page,
                "campaign": read_campaign(row),
                "location": _location(row),
                "channel": read_text(row.get("acquisition_channel")),
                "referrer_source": read_text(row.get("referrer_source")),
                "click_id_param": read_text(row.get("click_id_param")),
                "browser": _versioned(row, "browser"),
                "os": without_empty(
                    {
                        "name": read_text(row.get("operating_system")),
                        "version": read_text(row.get("operating_system_version")),
                    }
                ),
            }
        ),
    }
    add_commerce(event, properties)
    return without_empty(event)


def _own_properties(row: dict[str, Any]) -> dict[str, Any]:
    names, values = read_array(row.get("meta.key")), read_array(row.get("meta.value"))
    return {
        str(name): value for name, value in zip(names, values, strict=False) if value is not None
    }


def _money(row: dict[str, Any]) -> dict[str, Any]:
    """Give what a revenue goal brought, in the currency in which it was sent."""
    for kind in ("source", "reporting"):
        amount = read_number(row.get(f"revenue_{kind}_amount"))
        if amount is not None:
            return {"revenue": amount, "currency": read_text(row.get(f"revenue_{kind}_currency"))}
    return {}


def _scroll_depth(row: dict[str, Any]) -> int | None:
    depth = read_whole(row.get("scroll_depth"))
    return depth if row.get("name") == "engagement" and depth and depth <= _DEEPEST else None


def _location(row: dict[str, Any]) -> dict[str, Any]:
    city = read_text(row.get("city_geoname_id"))
    return without_empty(
        {
            "country": read_text(row.get("country_code")),
            "region": read_text(row.get("subdivision1_code")),
            "city_geoname_id": None if city == "0" else city,
        }
    )


def _versioned(row: dict[str, Any], name: str) -> str | None:
    words = (read_text(row.get(name)), read_text(row.get(f"{name}_version")))
    return " ".join(word for word in words if word) or None
