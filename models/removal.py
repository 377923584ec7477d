"""Remove events so that counters and aggregates follow: as if they had never been stored.

A purge keeps the figures of what it deletes; a removal takes them back.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.product_metrics import COUNTERS, add_counts_sql, counts_sql

CHUNK = 10_000
#: An id lies in one partition, and the server looks it up there. The planner does not count on
#: that: it would rather read every event there is, once for each chunk.
_LOOK_UP_EACH = text(
    "SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)"
)


def remove_events(
    session: Session, condition: str, parameters: dict[str, Any], *, zone: str, limit: int = CHUNK
) -> int:
    """Delete up to `limit` events, in the open transaction; give how many.

    `condition` is SQL over the columns of events, with `parameters`. The counters of their
    products go down by what the events had added, and their days are marked for a recount. (A
    sealed day keeps its figures.) Call it, a transaction each that begins with `lock_for_removal`,
    until it gives less than `limit`.
    """
    session.execute(_LOOK_UP_EACH)
    negated = ", ".join(f"-{name} AS {name}" for name in COUNTERS)
    removed = session.scalar(
        text(
            f"""
WITH gone AS (
    DELETE FROM events WHERE event_id IN (
        SELECT event_id FROM events WHERE {condition} LIMIT :removal_limit)
    RETURNING event_type, product_id, quantity, value, items, occurred_at, excluded
), counted AS ({counts_sql("gone")}
), negated AS (SELECT product_id, {negated}, CAST(NULL AS timestamptz) AS last_event_at FROM counted
), subtracted AS ({add_counts_sql("product_metrics", "negated")}
), marked AS (
    INSERT INTO dirty_days (day)
    SELECT DISTINCT (occurred_at AT TIME ZONE :removal_zone)::date FROM gone
)
SELECT count(*) FROM gone"""
        ),
        {**parameters, "removal_limit": limit, "removal_zone": zone},
    )
    return int(removed or 0)
