"""Read messages in another system's words: each is translated into an event and judged as one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any

import orjson

from intake.brackets import cut_deep_values
from intake.envelope import BodyError
from intake.request import Origin, Reading, Reject, read_event
from intake.rows import Rejected, Rules, Sender

#: Makes the event, as our contract has it, of one decoded message. Raises Rejected.
Translate = Callable[[Any], dict[str, Any]]
#: Settles what a dialect knows nothing of, in the event that was made: addresses, bots. Gives the
#: address and the User-Agent that the event names.
Settle = Callable[[dict[str, Any]], Origin]
#: How many a request may carry. The bounds of other systems are in bytes, and their SDKs give up
#: what is refused.
MAX_MESSAGES = 10_000
#: As the `clock` of a translated event: its time was named, and not read from the device's clock.
KEPT = "kept"


def read_document(body: bytes) -> Any:
    """Decode a request's body. Raises BodyError.

    What one bad message holds does not hurt the others of the body: half of an emoji that was cut
    in two, numbers that no JSON has, and values nested too deeply are read here in a form that is
    refused with their message.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        try:
            return _read_leniently(body)
        except (ValueError, RecursionError):
            raise BodyError("not_json", f"the body is not JSON: {error}") from None


def read_messages(
    messages: Sequence[Any],
    *,
    translate: Translate,
    settle: Settle,
    sender: Sender,
    rules: Rules,
) -> Reading:
    """Judge each message by itself: one bad message does not hurt the others.

    Raises BodyError when there are too many.
    """
    if len(messages) > rules.max_batch_events:
        raise BodyError(
            "too_many_events",
            f"a request may carry {rules.max_batch_events} events, got {len(messages)}: "
            "send them in parts",
        )
    reading = Reading(single=False, sender=sender, received=len(messages))
    unskewed = replace(sender, skew_ms=0)
    for index, message in enumerate(messages):
        event = None
        try:
            event = translate(message)
            origin = settle(event)
            by = unskewed if event.pop("clock", None) == KEPT else sender
            row = read_event(_write(event), sender=by, rules=rules, index=index)
        except Rejected as verdict:
            reading.reject(verdict)
            reading.rejects.append(Reject(message, event, verdict.reason, verdict.detail))
        else:
            reading.accept(row)
            reading.origins.add(origin)
    return reading


def share_sender(reading: Reading) -> None:
    """Say of whom a batch is, where the request came from a back end and not from the person.

    What all accepted events share is known of the batch; otherwise it is in their context only.
    """
    addresses = {address for address, _ in reading.origins}
    agents = {agent for _, agent in reading.origins}
    reading.sender = replace(
        reading.sender,
        ip_address=addresses.pop() if len(addresses) == 1 else None,
        user_agent=agents.pop() if len(agents) == 1 else None,
    )


_LONGEST_INT = 19


class _Unwritable:
    """Stands for a number that no event can hold; writing the event says so."""

    def __init__(self, text: str) -> None:
        del text


def _read_leniently(body: bytes) -> Any:
    try:
        return _LENIENT.decode(body.decode())
    except RecursionError:
        return _LENIENT.decode(cut_deep_values(body).decode())


def _read_float(text: str) -> Any:
    number = float(text)
    return number if isfinite(number) else _Unwritable(text)


def _read_int(text: str) -> Any:
    # As the strict reader does: what 64 bits cannot hold is read as a float.
    return int(text) if len(text) < _LONGEST_INT else _read_float(text)


_LENIENT = json.JSONDecoder(
    parse_constant=_Unwritable, parse_float=_read_float, parse_int=_read_int
)


def _write(event: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(event)
    except (TypeError, RecursionError) as error:
        raise Rejected("invalid", f"the event cannot be read: {error}") from None
