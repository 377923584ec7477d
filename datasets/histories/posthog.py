"""Events of PostHog: batch exports, answers of its events API, and tables saved as CSV.

The fields are those of PostHog/posthog.com, contents/docs/cdp/batch-exports/s3.md: properties are
an object in JSON lines, and its text in Parquet and CSV. The API calls the uuid `id`.
"""

from __future__ import annotations

from typing import Any

from datasets.event_mapping import RowError
from datasets.histories.cells import read_moment, read_object, without_empty


def read_posthog(row: dict[str, Any]) -> dict[str, Any]:
    """Give the message of a record, as an SDK would have sent it. Raises RowError."""
    if not row.get("event"):
        what = "a person" if "person_id" in row or "is_deleted" in row else "no event"
        raise RowError("not_an_event", f"the row names no event: it is {what}")
    properties = read_object(row.get("properties"))
    if row.get("elements_chain"):
        properties = {"$elements_chain": row["elements_chain"], **properties}
    message = {
        "event": row["event"],
        "distinct_id": row.get("distinct_id"),
        "uuid": row.get("uuid") or row.get("id"),
        "timestamp": read_moment(row.get("timestamp")),
        "properties": properties,
    }
    return without_empty(message)
