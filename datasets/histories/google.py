"""Events of Google Analytics 4, as it exports them to BigQuery: rows of events_YYYYMMDD.

The fields are those of Google's "[GA4] BigQuery Export schema"
(support.google.com/analytics/answer/7029846). In JSON, BigQuery writes whole numbers as text. The
rows have no ids: what they say names them.
"""

from __future__ import annotations

from typing import Any

from datasets.event_mapping import RowError
from datasets.histories.cells import read_text, without_empty
from datasets.histories.pages import read_device
from intake.dialects.commerce import add_commerce
from intake.dialects.numbers import read_number, read_whole

#: Where reports look for what its parameters call otherwise.
_PAGE = {"url": "page_location", "title": "page_title", "referrer": "page_referrer"}
_MONEY = ("purchase_revenue", "refund_value")
_UNSET = ("(not set)", "")


def read_ga4(row: dict[str, Any]) -> dict[str, Any]:
    """Make the event of a row. Raises RowError."""
    name = read_text(row.get("event_name"))
    if name is None:
        raise RowError("not_an_event", "the row has no event_name: is it of events_YYYYMMDD?")
    params = _read_params(row.get("event_params"))
    ecommerce = _said(row.get("ecommerce"))
    revenue = next((found for key in _MONEY if (found := read_number(ecommerce.get(key)))), None)
    page = {ours: params.pop(theirs, None) for ours, theirs in _PAGE.items()}
    visitor, visit = read_text(row.get("user_pseudo_id")), params.pop("ga_session_id", None)
    device, geo = _said(row.get("device")), _said(row.get("geo"))
    is_page = name == "page_view"
    properties = without_empty(
        {
            **params,
            **(page if is_page else {}),
            "order_id": ecommerce.get("transaction_id"),
            "revenue": revenue,
            "items": _read_items(row.get("items")),
        }
    )
    event = {
        "event_type": name,
        "occurred_at": _read_ms(row.get("event_timestamp")),
        "user_id": read_text(row.get("user_id")),
        "anonymous_id": visitor,
        # The session's number is the second in which it began: visitors may have the same.
        "session_id": f"{visitor}.{visit}" if visitor and visit else None,
        "source": (read_text(row.get("platform")) or "").lower(),
        "device_type": read_device(device.get("category")),
        "duration_ms": read_whole(params.get("engagement_time_msec")),
        "context": without_empty(
            {
                "page": {} if is_page else without_empty(page),
                "campaign": _read_campaign(row.get("collected_traffic_source")),
                "location": {key: geo[key] for key in ("country", "region", "city") if key in geo},
                "locale": device.get("language"),
                "browser": _said(device.get("web_info")).get("browser") or device.get("browser"),
                "os": without_empty(
                    {
                        "name": device.get("operating_system"),
                        "version": device.get("operating_system_version"),
                    }
                ),
            }
        ),
    }
    add_commerce(event, properties)
    return without_empty(event)


def _read_params(params: Any) -> dict[str, Any]:
    found = {}
    for param in map(_said, params if isinstance(params, list) else []):
        value = _said(param.get("value"))
        if "int_value" in value:
            value["int_value"] = read_whole(value["int_value"])
        known = (value.get(f"{kind}_value") for kind in ("string", "int", "float", "double"))
        found[str(param.get("key"))] = next((one for one in known if one is not None), None)
    return found


def _read_items(items: Any) -> list[dict[str, Any]]:
    return [_said(item) for item in items] if isinstance(items, list) else []


def _read_campaign(source: Any) -> dict[str, Any]:
    manual = _said(source)
    names = {"source": "source", "medium": "medium", "name": "campaign_name", "term": "term"}
    found = {ours: manual.get(f"manual_{theirs}") for ours, theirs in names.items()}
    return without_empty({**found, "content": manual.get("manual_content")})


def _said(record: Any) -> dict[str, Any]:
    """Give the fields of a record that say something."""
    fields = record if isinstance(record, dict) else {}
    return {key: value for key, value in fields.items() if value is not None and _is_set(value)}


def _is_set(value: Any) -> bool:
    return not (isinstance(value, str) and value in _UNSET) and value != []


def _read_ms(microseconds: Any) -> int | None:
    try:
        return int(microseconds) // 1000
    except (TypeError, ValueError, OverflowError):
        return None
