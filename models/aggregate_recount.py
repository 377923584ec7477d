"""The aggregates of all days against a recount of their events."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.daily_aggregates import count_days_sql, count_types_sql, events_sql
from models.daily_excluded import count_excluded_sql
from models.daily_product_metrics import count_products_by_day_sql
from models.daily_recommendations import PLACE, count_shown_sql
from models.daily_sessions import count_sessions_sql
from models.daily_values import REST, count_top_values_sql, property_parameters
from models.hourly_aggregates import count_hours_sql
from models.identities import RELINKED_DAYS
from models.product_metrics import COUNTERS
from models.recommendation_credit import COUNTS, affected_days, hash_joins, is_final_sql
from models.recommendation_credit_rule import count_credit_sql
from models.traffic import ALL
from models.weekly_product_metrics import compare_weeks

_DAY = "(occurred_at AT TIME ZONE :zone)::date"
#: Days that the next aggregation counts again: for their events, or for a link that has changed.
WAITING_DAYS = f"SELECT day FROM dirty_days UNION {RELINKED_DAYS}"
_SEALED_DAYS = "SELECT day FROM daily_totals WHERE sealed_at IS NOT NULL"
#: Credit of other days waits with them, and is final up to the last sealed day.
_CREDIT_STANDS = f"day <> ALL(CAST(:affected AS date[])) AND NOT {is_final_sql()}"
#: Rows that say something: others only tell that their day was counted.
_SAYING = {
    "daily_totals": "events > 0",
    "daily_sessions": "sessions > 0",
    "daily_values": f"(value <> '{REST}' OR events > 0)",
    "daily_recommendation_credit": _CREDIT_STANDS,
}


def compare_aggregates(session: Session, *, zone: str) -> tuple[int, int]:
    """Recount the days that are neither waiting nor sealed; give the rows compared and wrong.

    Weeks are compared with their days, whatever these are.
    """
    waiting = list(session.scalars(text(WAITING_DAYS), {"zone": zone}))
    left_out = [*waiting, *session.scalars(text(_SEALED_DAYS))]
    properties = list(session.scalars(text("SELECT DISTINCT property FROM daily_values")))
    parameters = {
        **property_parameters(properties),
        "left_out": left_out,
        "affected": sorted(affected_days(waiting)),
        "zone": zone,
    }
    compared, wrong = compare_weeks(session)
    for table, (columns, counted) in _recounts(properties).items():
        kept = (
            f"SELECT {columns} FROM {table} WHERE day <> ALL(CAST(:left_out AS date[])) "
            f"AND {_SAYING.get(table, 'true')}"
        )
        with hash_joins(session):
            row = session.execute(
                text(
                    f"""
SELECT coalesce(sum(kept), 0), count(*) FILTER (WHERE kept <> counted) FROM (
    SELECT {columns}, count(*) FILTER (WHERE is_kept) AS kept,
        count(*) FILTER (WHERE NOT is_kept) AS counted
    FROM (SELECT *, true AS is_kept FROM ({kept}) AS kept
          UNION ALL SELECT {columns}, false FROM ({counted}) AS counted) AS both_ways
    GROUP BY {columns}
) AS compared"""
                ),
                parameters,
            ).one()
        compared, wrong = compared + int(row[0]), wrong + int(row[1])
    return compared, wrong


def _recounts(properties: list[str]) -> dict[str, tuple[str, str]]:
    """Give the columns of each daily table, and the SELECT that counts them from the events."""
    of_days = f"{_DAY} <> ALL(CAST(:left_out AS date[]))"
    events = events_sql(of_days)
    # A property has been counted on the days on which it was in REPORT_PROPERTIES.
    values = (
        f"SELECT * FROM ({count_top_values_sql(events, properties)}) AS counted "
        "WHERE (day, property) IN "
        f"(SELECT day, property FROM daily_values WHERE value = '{REST}')"
    )
    people = "events, unique_users, unique_anonymous"
    return {
        "daily_totals": (f"day, {people}", count_days_sql(events)),
        "daily_aggregates": (f"day, event_type, source, {people}", count_types_sql(events)),
        "daily_product_metrics": (
            f"day, product_id, {', '.join(COUNTERS)}",
            count_products_by_day_sql(events),
        ),
        "hourly_aggregates": ("day, hour, event_type, source, events", count_hours_sql(events)),
        "daily_values": ("day, property, value, events", values),
        "daily_sessions": (
            "day, sessions, bounces, events, duration_ms",
            count_sessions_sql(events),
        ),
        "daily_recommendations": (
            f"day, {', '.join(PLACE)}, lists, shown",
            count_shown_sql(events),
        ),
        "daily_recommendation_credit": (
            f"day, {', '.join((*PLACE, *COUNTS))}",
            f"SELECT * FROM ({count_credit_sql(events_sql('true'))}) AS counted "
            f"WHERE {_CREDIT_STANDS}",
        ),
        "daily_excluded": (
            "day, reason, events",
            count_excluded_sql(events_sql(of_days, traffic=ALL)),
        ),
    }
