"""Sessions for reading, one a request. The ingestion path has none."""

from __future__ import annotations

from typing import Any

from flask import request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Connection, event, text
from sqlalchemy.orm import Session

from app.state import state

#: For its engine and sessions only: the tables are those of `models`, which know no Flask.
db = SQLAlchemy()


def current_session() -> Session:
    """Give the session of the current request."""
    return db.session()


@event.listens_for(db.session, "after_begin")
def _limit_reads(session: Session, transaction: Any, connection: Connection) -> None:
    """Stop a question that nobody waits for any more. Streams and changes have no such limit."""
    if request and request.method in ("GET", "HEAD"):
        limit = f"{state().settings.report_timeout_s * 1000:.0f}"
        connection.execute(
            text("SELECT set_config('statement_timeout', :limit, true)"), {"limit": limit}
        )
