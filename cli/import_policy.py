"""What an import takes and how it keeps it: as the door would, with the settings of now."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import click
from sqlalchemy import Engine

from app.visitor import anonymise_address
from intake.deny import DenyList
from intake.rows import Rules, Sender
from models.api_keys import WRITE, ApiKey
from models.database import transaction
from settings import Settings
from tasks.import_events import BATCH, Policy

#: What a row says beyond what a client sends: an export has names for each column, and times.
ROW_BYTES = 4096


def read_sender(engine: Engine, key_id: str | None) -> Sender:
    """Say who sends: a write key that there is, or nobody. Raises ClickException."""
    sender = Sender(received_ms=int(datetime.now(UTC).timestamp() * 1000))
    if key_id is None:
        return sender
    with transaction(engine) as session:
        row = session.get(ApiKey, key_id)
        if row is None or row.kind != WRITE:
            raise click.ClickException(
                f"there is no write key {key_id!r}: see ./millrace keys list"
            )
        excluded = "test" if row.test else None
        return replace(sender, key_id=row.key_id, source=row.source, excluded=excluded)


def make_policy(settings: Settings, sender: Sender, *, is_of_sdks: bool) -> Policy:
    """Gather what the settings say; events of other products' SDKs may be larger."""
    largest = settings.sdk_max_event_bytes if is_of_sdks else settings.max_event_bytes
    rules = Rules(
        max_event_bytes=largest + ROW_BYTES,
        max_batch_events=BATCH,
        retention_days=settings.open_days,
        strict_types=settings.strict_types,
        deny_list=DenyList.parse(settings.property_deny_list),
    )
    # The salt of the day on which an address was seen is forgotten.
    mode = "off" if settings.ip_mode == "hashed" else settings.ip_mode
    return Policy(
        rules=rules,
        sender=sender,
        zone=settings.report_timezone,
        secret_key=settings.secret_key,
        keep_address=partial(anonymise_address, mode=mode),
    )
