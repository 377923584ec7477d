"""Whose dead letters may be shown and replayed: not those of people who opted out or are erased."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
from msgspec import Raw
from sqlalchemy.orm import Session

from models.dead_letters import Refusal
from models.person import events_of_body, read_actor
from models.suppressions import Salts, read_reasons

#: Texts and whole numbers of JSON, each of which may be somebody's id.
_SCALAR = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d+')
_MAX_ID = 200


def leave_out_suppressed(
    session: Session, refusals: Sequence[Refusal], salts: Salts
) -> list[Refusal]:
    """Leave out the rejected messages of suppressed people, as far as they name them."""
    digests = [_digests_of_message(refusal.event, salts) for refusal in refusals]
    refused = read_reasons(session, set().union(*digests)).keys()
    return [
        refusal for refusal, mine in zip(refusals, digests, strict=True) if refused.isdisjoint(mine)
    ]


def is_of_suppressed(
    session: Session, text: str, *, dialect: str | None, salts: Salts | None
) -> bool:
    """Tell whether a letter's text is of a person whose events are not taken.

    An event of ours goes by its user, or else its anonymous id. A message that was never
    translated, or a text that cannot be read, is anybody's whose id stands in it.
    """
    if salts is None:
        return False
    events = events_of_body(text.encode(errors="replace"))
    if dialect is None and events is not None and len(events) == 1:
        digest = salts.digest_actor(*read_actor(events[0]))
        digests = set() if digest is None else {digest}
    else:
        digests = _digests_of_text(text, salts)
    return bool(read_reasons(session, digests))


def _digests_of_message(text: str, salts: Salts) -> set[bytes]:
    """Hash the id that a message goes by; one that no translation has judged may be of any kind."""
    (event,) = events_of_body(text.encode()) or (Raw(b"{}"),)
    user_id, anonymous_id = read_actor(event)
    found = {salts.digest_actor(user_id, anonymous_id)}
    if user_id is None and anonymous_id is not None:
        found.add(salts.digest_user(anonymous_id))
    return {digest for digest in found if digest is not None}


def _digests_of_text(text: str, salts: Salts) -> set[bytes]:
    found = set()
    for scalar in set(_SCALAR.findall(text)):
        value = _read_scalar(scalar)
        if 0 < len(value) <= _MAX_ID:
            found |= {salts.digest_user(value), salts.digest_anonymous(value)}
    return found


def _read_scalar(scalar: str) -> str:
    if scalar[0] != '"':
        return scalar
    try:
        return msgspec.json.decode(scalar, type=str)
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return ""
