"""What the doctor looks at, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from settings import Settings

OK, WARNING, ERROR = "ok", "warning", "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, and what to do about it."""

    id: str
    status: str
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """What the checks look at. Without servers, those that need them say so."""

    settings: Settings
    data_dir: Path
    running: int | None
    reachable: bool
