"""Bring an installation to the state in which its processes can start."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

import inbox
from models.api_keys import ADMIN, ADMIN_SCOPES, WRITE, ApiKey, create_key
from models.database import make_engine, transaction
from models.migrate import migrate
from settings import Settings
from tasks.retention import ensure_partitions_ahead


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `prepare` made. The keys are there at the first start only: they are stored hashed."""

    first_start: bool
    write_key: str | None
    admin_token: str | None


def prepare(settings: Settings, *, now: datetime) -> Prepared:
    """Migrate the database, make the partitions ahead and the consumer group, and the first keys.

    Run again it finds everything done.
    """
    engine = make_engine(settings.sqlalchemy_url, application="prepare")
    try:
        migrate(engine)
        ensure_partitions_ahead(engine, now=now)
        with transaction(engine) as session:
            if session.scalar(select(ApiKey.key_id).limit(1)) is not None:
                prepared = Prepared(first_start=False, write_key=None, admin_token=None)
            else:
                prepared = Prepared(
                    first_start=True,
                    write_key=create_key(session, kind=WRITE, name="default"),
                    admin_token=create_key(session, kind=ADMIN, name="first", scopes=ADMIN_SCOPES),
                )
    finally:
        engine.dispose()
    client = inbox.connect(settings.redis_url, timeout_s=5.0)
    inbox.ensure_group(client)
    client.close()
    return prepared
