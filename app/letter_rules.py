"""What a replay needs to know of this process: its rules, its zone, its key."""

from __future__ import annotations

from app.state import state
from intake.letters import LetterRules
from models.letter_edit import Installation


def installation_here() -> Installation:
    """Gather what the settings say of events that come now."""
    here = state()
    return Installation(
        rules=LetterRules(events=here.rules, messages=here.sdk_rules),
        zone=here.settings.report_timezone,
        secret_key=here.settings.secret_key,
    )
