"""What new events add to the counters of products, added up before the database sees it.

Most events move one counter by one: they are counted here, by the table that writes the SQL of the
rule. Events with items, sales and ratings go to that SQL one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from event_lines import Line
from event_types import types_by_counter
from models.product_metrics import COUNTERS, ONE_EACH, counts_sql
from models.traffic import ALL

#: Columns of the events that the SQL counts.
_LINE = {
    "event_type": "text",
    "product_id": "text",
    "quantity": "int",
    "value": "numeric",
    "items": "jsonb",
    "occurred_at": "timestamptz",
}
#: Columns of what is added up, in the order of a product's list.
_SUMS = {**dict.fromkeys(ONE_EACH.values(), "bigint"), "last_event_at": "timestamptz"}
_LAST = len(ONE_EACH)


def _places() -> dict[str, int | None]:
    """Give the place in a product's list that an event type counts at; None: the SQL counts it."""
    counters = list(ONE_EACH)
    return {
        name: counters.index(counter) if counter in ONE_EACH and sign == 1 else None
        for (counter, sign), names in types_by_counter().items()
        for name in names
    }


@dataclass(frozen=True, slots=True)
class Tally:
    """Events added up: for each product its counts and last moment; and those left to the SQL."""

    products: dict[str, list[Any]]
    lines: Sequence[Line]

    @classmethod
    def of(cls, events: Iterable[Line]) -> Tally:
        """Add up events of which none has been counted. Excluded ones do not count."""
        places = _places()
        products: dict[str, list[Any]] = {}
        lines = []
        for event in events:
            product_id = event.product_id
            if event.excluded is not None:
                continue
            if event.items is not None:
                lines.append(event)
            elif product_id is not None:
                # An event that moves no counter tells when the product was last met.
                place = places.get(event.event_type, _LAST)
                if place is None:
                    lines.append(event)
                    continue
                counts = products.get(product_id)
                if counts is None:
                    counts = products[product_id] = [0] * _LAST + [event.occurred_at]
                elif event.occurred_at > counts[_LAST]:
                    counts[_LAST] = event.occurred_at
                if place != _LAST:
                    counts[place] += 1
        return cls(products, lines)

    def as_parameters(self) -> dict[str, str]:
        """Give the parameters of `tallied_sql`."""
        columns = list(zip(*self.products.values(), strict=True)) or [()] * len(_SUMS)
        return {
            **columns_text(self.lines, _LINE, "line_"),
            "sum_product_id": array_text(self.products),
            **{
                f"sum_{name}": array_text(found) for name, found in zip(_SUMS, columns, strict=True)
            },
        }


def tallied_sql() -> str:
    """Write the SELECT that gives a tally's counts per product, as `counts_sql` does."""
    counts = ", ".join(
        f"coalesce(one.{name}, 0) + coalesce(other.{name}, 0) AS {name}"
        if name in _SUMS
        else f"coalesce(other.{name}, 0) AS {name}"
        for name in COUNTERS
    )
    others = counts_sql(f"(SELECT * FROM {relation_sql(_LINE, 'line_')}) AS line", traffic=ALL)
    # What is in both is joined: to sum up all of it would cost as much as to count it.
    return f"""
SELECT product_id, {counts}, greatest(one.last_event_at, other.last_event_at) AS last_event_at
FROM (
    SELECT * FROM {relation_sql({"product_id": "text", **_SUMS}, "sum_")}
) AS one FULL JOIN ({others}
) AS other USING (product_id)"""


def relation_sql(columns: dict[str, str], prefix: str = "") -> str:
    """Write the relation `event` of arrays that come as parameters."""
    arrays = ", ".join(f"CAST(:{prefix}{name} AS {kind}[])" for name, kind in columns.items())
    return f"unnest({arrays}) AS event({', '.join(columns)})"


def columns_text(
    events: Sequence[Line], columns: Iterable[str], prefix: str = ""
) -> dict[str, str]:
    """Write columns of events as the parameters of `relation_sql`."""
    return {
        f"{prefix}{name}": array_text([getattr(event, name) for event in events])
        for name in columns
    }


def array_text(values: Iterable[Any]) -> str:
    """Write values as PostgreSQL reads an array: a JSON list in braces.

    Both escape quotes and backslashes alike; events in lines have no control characters.
    """
    return "{" + msgspec.json.encode(list(values)).decode()[1:-1] + "}"
