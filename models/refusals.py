"""Errors of the database that are the data's fault: trying again cannot help."""

from __future__ import annotations

from sqlalchemy.exc import DataError, DBAPIError

#: Classes of SQLSTATE in which the data is at fault: data exception, integrity constraint (a
#: missing partition too), program limit (an index row too large, nesting too deep).
_FINAL_CLASSES = ("22", "23", "54")


def is_final(error: DBAPIError | UnicodeDecodeError) -> bool:
    """Tell whether an event is at fault, rather than the database or the way to it."""
    # The driver refuses some texts itself, with no SQLSTATE.
    if isinstance(error, UnicodeDecodeError | DataError):
        return True
    return sqlstate(error)[:2] in _FINAL_CLASSES


def describe_refusal(error: DBAPIError | UnicodeDecodeError) -> str:
    """Say what was wrong with an event, without what the event holds."""
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 (byte {error.start})"
    # The first line names the fault; the lines below it quote the data, which may be personal.
    return f"{sqlstate(error)}: {str(error.orig).splitlines()[0][:200]}"


def sqlstate(error: DBAPIError) -> str:
    """Give the code of a database's error; an empty text where it told none."""
    return getattr(error.orig, "sqlstate", None) or ""
