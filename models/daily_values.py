"""Daily values: events per value of the properties that reports are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from sqlalchemy import BigInteger, Integer, Numeric, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base
from models.events import Event

#: The columns of events that have values to count; any other name is a key of `properties`.
COLUMNS = frozenset(
    column.name for column in Event.__table__.c if isinstance(column.type, Text | Integer | Numeric)
)
#: Texts, numbers and truth values of up to this many characters are values.
MAX_VALUE_CHARS = 200
#: Values of one property that are kept a day, the most frequent ones.
MAX_VALUES = 10_000
#: Stands for the values of a day beyond those. No event has it: an empty text is no value. Each
#: counted day has this row, so that a report can tell a day without values from one not counted.
REST = ""


class DailyValue(Base):
    """Count one day's events that have a value in a property or column."""

    __tablename__ = "daily_values"

    day: Mapped[date] = mapped_column(primary_key=True)
    property: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(primary_key=True)
    events: Mapped[int] = mapped_column(BigInteger)


def count_values_sql(source: str, properties: Sequence[str]) -> str:
    """Write the SELECT of (day, property, value, events) of a relation; every value has a row.

    The names go with it as the parameters of `property_parameters`.
    """
    rows = [
        f"(CAST(:property_{n} AS text), {_value_sql(name, f':property_{n}')})"
        for n, name in enumerate(properties)
    ]
    named = ", ".join(rows or ["(CAST(NULL AS text), CAST(NULL AS text))"])
    return f"""
SELECT day, named.property, named.value, count(*) AS events
FROM {source} CROSS JOIN LATERAL (VALUES {named}) AS named(property, value)
WHERE named.value <> '{REST}' AND length(named.value) <= {MAX_VALUE_CHARS}
GROUP BY 1, 2, 3"""


def count_top_values_sql(source: str, properties: Sequence[str]) -> str:
    """Write the same with at most MAX_VALUES rows a day and property; REST has the others."""
    return f"""
SELECT day, property, CASE WHEN place <= {MAX_VALUES} THEN value ELSE '{REST}' END AS value,
    sum(events)::bigint AS events
FROM (
    SELECT *, row_number() OVER (PARTITION BY day, property ORDER BY events DESC, value) AS place
    FROM ({count_values_sql(source, properties)}) AS counted
) AS placed
GROUP BY 1, 2, 3"""


def count_values_of_days_sql(source: str, properties: Sequence[str]) -> str:
    """Write the SELECT of a daily table's rows: REST is there for each day from :first to :last."""
    return f"""
SELECT day, property, value, sum(events)::bigint AS events FROM (
    {count_top_values_sql(source, properties)}
    UNION ALL
    SELECT day::date, property, '{REST}', 0
    FROM generate_series(CAST(:first AS date), CAST(:last AS date), interval '1 day') AS day
    CROSS JOIN unnest(CAST(:properties AS text[])) AS property
) AS marked
GROUP BY 1, 2, 3"""


def property_parameters(properties: Sequence[str]) -> dict[str, object]:
    """Give the parameters of these SELECTs."""
    named: dict[str, object] = {f"property_{n}": name for n, name in enumerate(properties)}
    return {**named, "properties": list(properties)}


def _value_sql(name: str, parameter: str) -> str:
    """Write the expression of an event's value; only names of columns become SQL."""
    if name in COLUMNS:
        return f"CAST({name} AS text)"
    found = f"properties -> CAST({parameter} AS text)"
    return (
        f"CASE WHEN jsonb_typeof({found}) IN ('string', 'number', 'boolean') "
        f"THEN properties ->> CAST({parameter} AS text) END"
    )
