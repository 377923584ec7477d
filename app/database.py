"""Sessions for reading, one a request. The ingestion path has none."""

from __future__ import annotations

from flask_sqlalchemy import SQLAlchemy

#: For its engine and sessions only: the tables are those of `models`, which know no Flask.
db = SQLAlchemy()
