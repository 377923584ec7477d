"""What the doors of other systems' dialects do alike.

A dialect's module says where its key stands, what its messages are and how it answers; the
translation of one message is a pure function of `intake.dialects`. All policy is here and behind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from werkzeug.wrappers import Request, Response

from app.doors.rejects import keep_rejected
from app.doors.routes import Door
from app.errors import Problem, problem_of
from app.sender import accept, keep_address, read_sender, skew_of
from app.state import State
from app.visitor import MAX_USER_AGENT
from intake.envelope import BodyError
from intake.messages import Settle, Translate, read_document, read_messages, share_sender
from intake.request import Origin, Reading, note_sent
from intake.rows import Sender
from intake.traffic import exclusion_of

#: Writes a problem in the words of a dialect.
WriteProblem = Callable[[Problem], Response]


@dataclass(frozen=True, slots=True)
class Parcel:
    """What a request brings: its write key, its decoded messages, and when it was sent.

    `device` names the device whose clock said so. `is_visitors` tells whether the request came
    from the person's own browser or app: its address and User-Agent are theirs then.
    `guesses_source` says that the dialect has no word for the source and goes by its libraries.
    """

    key: str | None
    messages: Sequence[Any]
    sent_at: Any = None
    device: str | None = None
    is_visitors: bool = True
    guesses_source: bool = False


def in_dialect(write: WriteProblem) -> Callable[[Door], Door]:
    """Let a door answer every error in the words of its dialect."""

    def decorate(door: Door) -> Door:
        def answer(request: Request, here: State) -> Response:
            try:
                return door(request, here)
            except Exception as error:
                return write(problem_of(error))

        return answer

    return decorate


def parse_body(body: bytes) -> Any:
    """Decode a request's body. Raises Problem 400."""
    try:
        return read_document(body)
    except BodyError as error:
        raise Problem(400, error.reason, error.detail) from None


def is_of_browser(request: Request) -> bool:
    """Tell whether a request comes from a page: only browsers say which, and call themselves so."""
    agent = request.headers.get("User-Agent", "")
    return "Origin" in request.headers or agent.startswith("Mozilla/")


def take_parcel(
    request: Request, here: State, parcel: Parcel, *, translate: Translate, door: str
) -> Reading:
    """Judge the messages of a request and put those accepted into the inbox. Raises Problem.

    Messages that are not accepted do not fail the request: a client that is told so would send
    the good ones again, or give all of them up. They become dead letters.
    """
    here.suppressed.watch()
    sender = read_sender(request, here, key=parcel.key)
    if parcel.sent_at is not None:
        judge = skew_of(request, here, sender)
        sender = note_sent(sender, parcel.sent_at, device=parcel.device, skew_of=judge)
    settle = _settle_with(here, sender, guesses_source=parcel.guesses_source)
    try:
        reading = read_messages(
            parcel.messages, translate=translate, settle=settle, sender=sender, rules=here.sdk_rules
        )
    except BodyError as error:
        raise Problem(413, error.reason, error.detail) from None
    if not parcel.is_visitors:
        share_sender(reading)
    letters = keep_rejected(here, reading, dialect=door) if reading.rejects else []
    accept(here, reading, door=door, letters=letters, path=request.path)
    return reading


def _settle_with(here: State, sender: Sender, *, guesses_source: bool) -> Settle:
    def settle(event: dict[str, Any]) -> Origin:
        if guesses_source and sender.source is not None:
            # Whoever made the key knows better.
            event["source"] = sender.source
        context = event.get("context")
        if not isinstance(context, dict):
            return None, None
        address = None
        if "ip" in context:
            # As much of it as ANALYTICS_IP_MODE says, wherever it was found.
            given = context["ip"]
            if isinstance(given, str):
                address = keep_address(given, here, now_ms=sender.received_ms)
            rest = {name: value for name, value in context.items() if name != "ip"}
            event["context"] = rest if address is None else {**rest, "ip": address}
        agent = context.get("userAgent")
        if not isinstance(agent, str):
            return address, None
        agent = agent[:MAX_USER_AGENT]
        if not event.get("excluded"):
            event["excluded"] = exclusion_of(agent)
        return address, agent or None

    return settle
