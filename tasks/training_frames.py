"""What a training reads: interactions and catalogue as frames, in the columns that `ml` names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, text

from models.interactions import CATALOGUE_ROWS, IN_BOUNDS, interaction_bounds, lines_sql

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

#: Rows that are Python objects at a time: all of five million would take 3 GB.
CHUNK = 50_000
#: Visits are many and only told apart: their hashes do, and 0 is none.
_VISIT = "CASE WHEN session_id <> '' THEN hashtextextended(session_id, 0) ELSE 0 END"

_FROM = f"FROM ({lines_sql(IN_BOUNDS)}) AS interaction"
_COUNT = text(f"SELECT count(*) {_FROM}")
_NEWEST = text(
    f"SELECT user_id, product_id, {_VISIT}, weight, bought, date_part('epoch', occurred_at) "
    f"{_FROM} ORDER BY occurred_at DESC, event_id DESC, place DESC LIMIT :most"
)


@dataclass(frozen=True, slots=True)
class Frames:
    """Interactions, oldest first, with how many older ones were left out; and the catalogue."""

    interactions: pd.DataFrame
    left_out: int
    catalogue: pd.DataFrame


def read_frames(engine: Engine, *, since: datetime, until: datetime, most: int) -> Frames:
    """Read the newest interactions, `most` at most, and the catalogue.

    Their memory is bounded by `most`: numbers in arrays, each id once. A session_id is a number,
    or missing.
    """
    import pandas as pd

    bounds = interaction_bounds(since, until)
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        interactions = _read_interactions(connection, {**bounds, "most": most})
        left_out = 0
        if len(interactions) == most:
            left_out = (connection.scalar(_COUNT, bounds) or 0) - most
        catalogue = pd.read_sql_query(CATALOGUE_ROWS, connection)
    return Frames(interactions, left_out, catalogue)


class _Ids:
    """Numbers for ids in the order in which they come."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}

    def number(self, ids: Iterable[str], count: int) -> npt.NDArray[np.int32]:
        import numpy as np

        known = self.known
        return np.fromiter((known.setdefault(each, len(known)) for each in ids), np.int32, count)

    def column(self, codes: npt.NDArray[np.int32]) -> Any:
        import pandas as pd

        # Named as text: of no ids at all pandas would make a column of anything.
        categories = pd.Index(list(self.known), dtype="str")
        return pd.Categorical.from_codes(codes, categories=categories)


def _read_interactions(connection: Connection, parameters: dict[str, Any]) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    users, products = _Ids(), _Ids()
    parts: list[tuple[npt.NDArray[Any], ...]] = []
    for rows in _chunks(connection, parameters):
        user, product, visit, weight, bought, time = zip(*rows, strict=True)
        size = len(rows)
        parts.append(
            (
                users.number(user, size),
                products.number(product, size),
                np.array(visit, dtype=np.int64),
                np.array(weight, dtype=np.float32),
                np.array(bought, dtype=bool),
                (np.array(time, dtype=np.float64) * 1e6).round().astype("M8[us]"),
            )
        )
    kinds = (np.int32, np.int32, np.int64, np.float32, bool, "M8[us]")
    empty = tuple(np.empty(0, dtype=kind) for kind in kinds)
    # Newest first they came, so that the oldest could be left out.
    columns = [np.concatenate(column)[::-1] for column in zip(empty, *parts, strict=True)]
    return pd.DataFrame(
        {
            "user_id": users.column(columns[0]),
            "product_id": products.column(columns[1]),
            "session_id": _number_visits(columns[2]),
            "weight": columns[3],
            "bought": columns[4],
            "occurred_at": pd.DatetimeIndex(columns[5]).tz_localize("UTC"),
        }
    )


def _number_visits(hashes: npt.NDArray[np.int64]) -> Any:
    import numpy as np
    import pandas as pd

    known, codes = np.unique(hashes, return_inverse=True)
    absent = hashes == 0
    return pd.Categorical.from_codes(
        np.where(absent, -1, codes).astype(np.int32), categories=pd.RangeIndex(len(known))
    )


def _chunks(connection: Connection, parameters: dict[str, Any]) -> Iterator[Sequence[Any]]:
    """Yield rows as they come from a cursor of the server."""
    options = {"stream_results": True, "max_row_buffer": CHUNK}
    yield from connection.execute(_NEWEST, parameters, execution_options=options).partitions(CHUNK)
