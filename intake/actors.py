"""Ids that name nobody, such as the text "undefined" of a client that forgot to look."""

from __future__ import annotations

from typing import Protocol

#: As they are looked up: trimmed and in small letters.
PLACEHOLDER_IDS = frozenset(
    {
        "", "-", "0", "-1", "null", "nil", "none", "nan", "n/a", "undefined", "unknown", "true",
        "false", "anonymous", "anon", "guest", "not_authenticated", "id", "email", "distinct_id",
        "distinctid", "user_id", "userid", "anonymous_id", "anonymousid", "(null)", "<null>",
        "[null]", '""', "''", "{}", "[]", "[object object]", "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
    }
)  # fmt: skip


def is_placeholder(actor_id: str | None) -> bool:
    """Tell whether an id names nobody, though there is a text."""
    return actor_id is not None and actor_id.strip().lower() in PLACEHOLDER_IDS


class Suppressed(Protocol):
    """The people whose events are not taken."""

    def covers(self, user_id: str | None, anonymous_id: str | None) -> bool:
        """Tell whether an event with these ids is of such a person."""
