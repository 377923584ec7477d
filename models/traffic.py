"""Which events figures count: those that nobody has flagged, or all that there are."""

from __future__ import annotations

from typing import Literal

Traffic = Literal["counted", "all"]
COUNTED: Traffic = "counted"
ALL: Traffic = "all"

_CONDITIONS: dict[Traffic, str] = {COUNTED: "excluded IS NULL", ALL: "true"}


def is_counted_sql(traffic: Traffic = COUNTED) -> str:
    """Write the condition that figures of this traffic count an event."""
    return _CONDITIONS[traffic]
