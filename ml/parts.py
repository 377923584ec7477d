"""The two things an artefact serves, each judged and served for itself.

The standard library only: the web process uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LISTS = "lists"
SIMILAR = "similar"
PARTS = (LISTS, SIMILAR)


def promoted_parts(parts: Mapping[str, Any] | None) -> frozenset[str]:
    """Return the parts that may be served, given `parts` of a manifest.

    A manifest without them is older: its model was judged, and is served, as a whole.
    """
    if parts is None:
        return frozenset(PARTS)
    return frozenset(part for part in PARTS if parts.get(part, {}).get("status") == "promoted")
