"""Replace the rows that a daily table has of some days, and leave sealed days as they are."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.base import Base

#: A condition on `day`: its events are not purged, so that its aggregates may be replaced.
UNSEALED = "day NOT IN (SELECT day FROM daily_totals WHERE sealed_at IS NOT NULL)"


def replace_days(
    session: Session, table: type[Base], counted: str, parameters: dict[str, Any]
) -> int:
    """Replace a daily table's rows of the days :first to :last by those of a SELECT; count them.

    The SELECT has the columns of the table, in any order.
    """
    name = table.__tablename__
    written = table.metadata.tables[name]
    columns = ", ".join(column.name for column in written.c)
    keys = ", ".join(column.name for column in written.primary_key)
    session.execute(
        text(f"DELETE FROM {name} WHERE day BETWEEN :first AND :last AND {UNSEALED}"), parameters
    )
    inserted = session.execute(
        text(
            f"INSERT INTO {name} ({columns}) "
            # In the order of the key a day's rows are read page by page.
            f"SELECT {columns} FROM ({counted}) AS counted WHERE {UNSEALED} ORDER BY {keys}"
        ),
        parameters,
    )
    return int(inserted.rowcount)  # type: ignore[attr-defined]
