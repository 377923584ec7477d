"""Recommended products in events: a line for each, with the list it stood on, where, and whose."""

from __future__ import annotations

from recommendation_ids import LETTERS, MAX_PLACES, MAX_VERSION, UNKNOWN

MAX_PLACEMENT_CHARS = 200
#: Positions beyond this one are taken for none.
MAX_POSITION = 1000

#: The rung of what is told without the id of a list: nobody knows which list it was.
UNLISTED = "unlisted"

IS_SHOWN = "event_type = 'rec_shown'"
#: Who an event is of, with links followed; NULL: nobody knows.
PERSON = "coalesce('u' || known_user_id, 'a' || unknown_id)"
_LIST = "nullif(coalesce({}), '')".format(
    ", ".join(
        f"CASE WHEN jsonb_typeof(properties -> '{name}') IN ('string', 'number') "
        f"THEN properties ->> '{name}' END"
        for name in ("recommendation_id", "recommendationId")
    )
)
_PLACEMENT = (
    "CASE WHEN jsonb_typeof(properties -> 'placement') = 'string' "
    f"THEN left(properties ->> 'placement', {MAX_PLACEMENT_CHARS}) ELSE '' END"
)
_POSITION = (
    "CASE WHEN jsonb_typeof(properties -> 'position') = 'number' "
    "THEN CAST(properties -> 'position' AS numeric) END"
)


def told_sql(source: str, condition: str, *, more: str = "") -> str:
    """Write the SELECT of those events of a relation that meet a condition, with what they say.

    That is, beside columns of their own: person, list, what the id of the list tells (rungs, a
    letter for each position, and model_version), placement, and the position they name. `more` are
    further columns of the events, each behind a comma.
    """
    return f"""
SELECT *, {rungs_sql("list")} AS rungs, {version_sql("list")} AS model_version
FROM (
    SELECT day, occurred_at, event_id, product_id, value, items{more}, {PERSON} AS person,
        {_LIST} AS list, {_PLACEMENT} AS placement, {_POSITION} AS position
    FROM {source} WHERE {condition}
) AS told"""


def lines_sql(told: str, *, more: str = "") -> str:
    """Write the SELECT of a line for each product of the events of `told_sql`.

    An event with items has a line for each of them at its position, one without has one at the
    position that its properties name. `place` is the line's number within the event, position is 0
    where none is said. `more` are columns of the event, each behind a comma.
    """
    event = (
        "SELECT day, occurred_at, event_id, person, list, rungs, model_version, placement" + more
    )
    return f"""
SELECT *,
    CASE WHEN list IS NULL THEN '{UNLISTED}' ELSE {rung_sql("rungs", "position")} END AS rung
FROM (
    SELECT day, occurred_at, event_id, place, person, list, rungs, model_version, placement,
        product_id, value{more},
        CASE WHEN position BETWEEN 1 AND {MAX_POSITION} AND position = trunc(position)
            THEN CAST(position AS int) ELSE 0 END AS position
    FROM (
        {event}, CAST(1 AS bigint) AS place, product_id, value, position
        FROM ({told}) AS told WHERE items IS NULL
        UNION ALL
        {event}, item.place, item.product_id, item.value, CAST(item.position AS numeric)
        FROM ({told}) AS told CROSS JOIN LATERAL ROWS FROM (
            jsonb_to_recordset(items) AS (product_id text, value numeric, position int)
        ) WITH ORDINALITY AS item(product_id, value, position, place)
        WHERE items IS NOT NULL
    ) AS said
) AS line"""


def version_sql(id_of_list: str) -> str:
    """Write the version of the model that made a list; 0: no model, or an id that is not ours."""
    return (
        f"CASE WHEN {_is_ours(id_of_list)} "
        f"THEN CAST(split_part({id_of_list}, '.', 2) AS int) ELSE 0 END"
    )


def rungs_sql(id_of_list: str) -> str:
    """Write the letters of a list's rungs, one for each position."""
    return f"CASE WHEN {_is_ours(id_of_list)} THEN split_part({id_of_list}, '.', 3) ELSE '' END"


def rung_sql(rungs: str, position: str) -> str:
    """Write the rung of a position by the letters of `rungs_sql`."""
    names = " ".join(f"WHEN '{letter}' THEN '{rung}'" for rung, letter in LETTERS.items())
    return (
        f"CASE WHEN {position} > 0 THEN CASE substr({rungs}, {position}, 1) {names} "
        f"ELSE '{UNKNOWN}' END ELSE '{UNKNOWN}' END"
    )


def _is_ours(id_of_list: str) -> str:
    # The same as the pattern in Python. With bounds inside, PostgreSQL takes twenty times as long.
    form = r"^r1\.(0|[1-9][0-9]*)\.[a-z]*\.[0-9a-f]+$"
    version, rungs, unique = (f"length(split_part({id_of_list}, '.', {n}))" for n in (2, 3, 4))
    return (
        f"coalesce({id_of_list} ~ '{form}' AND {version} <= {len(str(MAX_VERSION))} "
        f"AND {rungs} <= {MAX_PLACES} AND {unique} = 24, false)"
    )
