"""Daily excluded: what reports leave out, by reason, so that nobody wonders where events went."""

from __future__ import annotations

from datetime import date

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base
from models.traffic import is_counted_sql

#: Reasons of one day that are kept, the most frequent ones: clients may give their own words.
MAX_REASONS = 100
#: Stands for the reasons beyond those.
REST = ""


class DailyExcluded(Base):
    """Count one day's events that no figure counts, by the reason they are flagged with."""

    __tablename__ = "daily_excluded"

    day: Mapped[date] = mapped_column(primary_key=True)
    reason: Mapped[str] = mapped_column(primary_key=True)
    events: Mapped[int] = mapped_column(BigInteger)


def count_excluded_sql(source: str) -> str:
    """Write the SELECT of (day, reason, events) of a relation of all traffic."""
    return f"""
SELECT day, CASE WHEN place <= {MAX_REASONS} THEN reason ELSE '{REST}' END AS reason,
    sum(events)::bigint AS events
FROM (
    SELECT day, excluded AS reason, count(*) AS events,
        row_number() OVER (PARTITION BY day ORDER BY count(*) DESC, excluded) AS place
    FROM {source} WHERE NOT ({is_counted_sql()}) GROUP BY 1, 2
) AS placed
GROUP BY 1, 2"""
