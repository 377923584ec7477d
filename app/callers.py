"""What a caller is called, for records that people read."""

from __future__ import annotations

from app.auth import current_caller
from app.database import current_session
from models.api_keys import ApiKey


def caller_name() -> str:
    """Give the name of the admin token that makes the request."""
    caller = current_caller()
    row = current_session().get(ApiKey, caller.key_id) if caller else None
    return row.name if row else "api"
