"""The lists that an artefact serves, each with weights of its own, judged and served for itself.

The standard library only: the web process uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: For somebody known: products new to them.
NEW = "new"
#: For somebody known: products met before may be among them, for shops where people buy again.
AGAIN = "again"
#: Within a visit: the next product.
SESSION = "session"
#: Like one product.
SIMILAR = "similar"
LISTS = (NEW, AGAIN, SESSION, SIMILAR)


def promoted_lists(lists: Any) -> frozenset[str]:
    """Return the lists that may be served, given `parts` of a manifest; none if it has no such."""
    if not isinstance(lists, Mapping):
        return frozenset()
    return frozenset(name for name in LISTS if _status(lists.get(name)) == "promoted")


def _status(judged: Any) -> Any:
    return judged.get("status") if isinstance(judged, Mapping) else None
