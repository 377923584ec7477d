"""Name events whose sender gave them no id, so that a request sent again makes no second ones."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from typing import Any

import orjson

from intake.rows import Rejected


def name_content(event: dict[str, Any], *, apart: str = "") -> str:
    """Name an event by all that it says; `apart` tells those that say the same. Raises Rejected."""
    try:
        text = orjson.dumps(event, option=orjson.OPT_SORT_KEYS)
    except (TypeError, RecursionError) as error:
        raise Rejected("invalid", f"the message cannot be read: {error}") from None
    return "content-" + blake2b(text + apart.encode(), digest_size=16).hexdigest()


class ContentNames:
    """Names for the events of one request: those that say the same are told apart by their order.

    An SDK whose clock counts milliseconds may well have two of them; sent again they come in the
    same order.
    """

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def name(self, event: dict[str, Any]) -> str:
        """Name the next event of the request. Raises Rejected."""
        first = name_content(event)
        self._seen[first] += 1
        number = self._seen[first]
        return first if number == 1 else f"{first}-{number}"
