"""Keep the rejected messages that a batch carries beside its events, as dead letters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

import msgspec
import structlog
from msgspec import Raw
from sqlalchemy.orm import Session

from models.dead_letters import Refusal, insert_dead_letters
from models.letter_people import leave_out_suppressed
from models.suppressions import Salts

log = structlog.get_logger()

#: Says at the head of a batch that it carries any: most are long, and carry none.
_TRACE = b'"dialect":'
_HEAD_BYTES = 64


class _Letter(msgspec.Struct):
    letter_id: UUID
    reason: str
    detail: str


class _Body(msgspec.Struct):
    dialect: str | None = None
    rejected: list[Raw] = []


_read_body = msgspec.json.Decoder(_Body).decode
_read_letter = msgspec.json.Decoder(_Letter).decode
_read_fields = msgspec.json.Decoder(dict[str, Raw]).decode


def keep_rejected(session: Session, bodies: Sequence[bytes], *, salts: Salts | None) -> int:
    """Store the rejected messages of some batches; give how many are new.

    A message that came before is kept once. With `salts`, those of suppressed people are left out.
    """
    refusals = [
        item for body in bodies if _TRACE in body[:_HEAD_BYTES] for item in _read_rejected(body)
    ]
    if salts is not None and refusals:
        refusals = leave_out_suppressed(session, refusals, salts)
    return insert_dead_letters(session, refusals)


def _read_rejected(body: bytes) -> Iterator[Refusal]:
    try:
        batch, shared = _read_body(body), _read_fields(body)
        shared.pop("rejected", None)
        for raw in batch.rejected:
            letter, fields = _read_letter(raw), _read_fields(raw)
            event = {name: fields[name] for name in fields if name not in _Letter.__struct_fields__}
            text = msgspec.json.encode({**shared, "events": [event]})
            yield Refusal(
                event_id=str(letter.letter_id),
                reason=letter.reason,
                detail=letter.detail.replace("\0", "\\u0000"),
                event=text.decode(errors="replace").replace("\0", "\\u0000"),
                dialect=batch.dialect,
            )
    except (msgspec.MsgspecError, RecursionError):
        # Nobody but a door writes them. The events of the batch are looked at by themselves.
        log.error("rejected_unreadable")
