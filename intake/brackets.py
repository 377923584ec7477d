"""Part a list of events by its brackets, where an event is nested too deeply to be read."""

from __future__ import annotations

import re

#: Longer bodies are refused as a whole: looking at each bracket takes its time.
LONGEST_BYTES = 1_048_576
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},]', re.DOTALL)


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
