"""Go by the brackets of JSON, where a part of it is nested too deeply to be read."""

from __future__ import annotations

import re

from intake.payload import MAX_DEPTH

#: Longer bodies are refused as a whole: looking at each bracket takes its time.
LONGEST_BYTES = 1_048_576
#: Twice as deep as what is accepted.
_DEEP = 2 * MAX_DEPTH
_MAX_TOKENS = 1_000_000
# A text without an end is one all the same: else each quotation mark within it would be tried as
# the beginning of another.
_TEXT = rb'"(?:[^"\\]++|\\.)*+"?+'
_TOKENS = re.compile(_TEXT + rb"|[\[\]{},]", re.DOTALL)
_BRACKETS = re.compile(_TEXT + rb"|[\[\]{}]", re.DOTALL)


def split_by_brackets(body: bytes) -> list[bytes] | None:
    """Give the texts of the events in `{"events": […]}`; None when there is no such list.

    Readers give up on deep nesting with all of the body; only the event that is so deep shall
    be rejected. The texts are not checked: each is read by itself later.
    """
    if len(body) > LONGEST_BYTES:
        return None
    depth, key, start = 0, b"", -1
    events: list[bytes] = []
    for token in _TOKENS.finditer(body):
        text = token[0]
        if text in (b"[", b"{"):
            depth += 1
            if depth == 2 and text == b"[" and key == b'"events"':
                start = token.end()
        elif text in (b"]", b"}"):
            if start >= 0 and depth == 2:
                return [*events, body[start : token.start()]]
            depth -= 1
        elif text == b",":
            if start >= 0 and depth == 2:
                events.append(body[start : token.start()])
                start = token.end()
        elif depth == 1:
            key = text
    return None


def cut_deep_values(body: bytes) -> bytes:
    """Put null in the place of each value that is nested more deeply than any event may be.

    What is left of it is still nested too deeply to be accepted. A body of mere brackets stays as
    it is: looking at each takes its time.
    """
    kept: list[bytes] = []
    depth, start = 0, 0
    for number, token in enumerate(_BRACKETS.finditer(body)):
        if number == _MAX_TOKENS:
            return body
        text = token[0]
        if text in (b"[", b"{"):
            depth += 1
            if depth == _DEEP:
                kept.append(body[start : token.start()])
        elif text in (b"]", b"}"):
            if depth == _DEEP:
                kept.append(b"null")
                start = token.end()
            depth -= 1
    return b"".join([*kept, body[start:]])
