"""Which products' exports are read, and how a record of one becomes an event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from datasets.event_mapping import RowError
from datasets.histories.google import read_ga4
from datasets.histories.plausible import read_plausible
from datasets.histories.posthog import read_posthog
from datasets.histories.segment import read_segment, read_times
from datasets.histories.umami import read_umami
from intake.dialects import posthog, segment
from intake.rows import Rejected
from intake.traffic import exclusion_of

PRODUCTS = ("segment", "rudderstack", "posthog", "umami", "plausible", "ga4")


@dataclass(frozen=True, slots=True)
class History:
    """Read the records of one file of a product's export; it stands in the place of a mapping.

    `table` is the name of the table that the file has, for products that have several.
    """

    product: str
    table: str = ""
    encoding: str = "utf-8"
    delimiter: str = ","

    def needed(self) -> set[str]:
        """Name no column: which there are differs from version to version."""
        return set()

    def to_event(self, row: dict[str, Any], *, from_text: bool) -> dict[str, Any]:
        """Make an event in the shape of the contract, which has not judged it yet.

        It may say `original_at` and `clock` too, as an export of ours does. Raises RowError.
        """
        try:
            event = self._read(row)
        except Rejected as verdict:
            raise RowError(verdict.reason, verdict.detail) from None
        return _with_sender(event)

    def _read(self, row: dict[str, Any]) -> dict[str, Any]:
        match self.product:
            case "umami":
                return read_umami(row)
            case "plausible":
                return read_plausible(row)
            case "ga4":
                return read_ga4(row)
            case "posthog":
                # Each row says its time, and not how long ago it was; nobody corrects it here.
                return {**posthog.translate(read_posthog(row), came_ms=0), "clock": None}
        message = read_segment(row, self.table)
        occurred_at, original_at = read_times(message)
        timed = {**message, "timestamp": occurred_at, "originalTimestamp": None}
        known = {"original_at": original_at, "clock": "corrected"} if original_at else {}
        return {**segment.translate(timed), **known}


def _with_sender(event: dict[str, Any]) -> dict[str, Any]:
    """Take out of the context whose address and User-Agent it was, and judge them as the door does.

    The address goes where ANALYTICS_IP_MODE is heeded.
    """
    context = event.get("context")
    if not isinstance(context, dict):
        return event
    agent = context.get("userAgent")
    agent = agent if isinstance(agent, str) else None
    kept = {name: value for name, value in context.items() if name != "ip"}
    return {
        **event,
        "context": kept,
        "ip_address": context.get("ip"),
        "user_agent": agent,
        "excluded": event.get("excluded") or exclusion_of(agent),
    }
