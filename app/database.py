"""Sessions for reading, one a request. The ingestion path has none."""

from __future__ import annotations

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session

#: For its engine and sessions only: the tables are those of `models`, which know no Flask.
db = SQLAlchemy()


def current_session() -> Session:
    """Give the session of the current request."""
    return db.session()
