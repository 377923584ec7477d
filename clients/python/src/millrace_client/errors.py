"""Why an event was not delivered."""

from __future__ import annotations


class MillraceError(Exception):
    """An event was not delivered: `reason` is a code for programs, `detail` a text for people."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class RejectedError(MillraceError):
    """The server refused the event, or its whole request: sending it again would not help."""


class DroppedError(MillraceError):
    """The client let go of the event: the queue was full, the server away for too long, …"""
