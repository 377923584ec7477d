"""Deliver a batch: attempts, pauses and halves, until the fate of each event is known."""

from __future__ import annotations

import gzip
import logging
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from http.client import HTTPException
from typing import Callable, Protocol

from millrace_client.backoff import Wait, next_wait, read_retry_after
from millrace_client.encode import encode, format_moment
from millrace_client.errors import DroppedError, MillraceError
from millrace_client.options import Options
from millrace_client.stats import Tally
from millrace_client.transport import Transport
from millrace_client.verdict import Verdict, judge
from millrace_client.version import __version__

log = logging.getLogger("millrace")

Report = Callable[[MillraceError, bytes], None]


class Pacing(Protocol):
    """How long a delivery may take."""

    def pause(self, wait: Wait) -> bool:
        """Wait before the next attempt; False when the client closes before that."""

    def time_left_s(self) -> float | None:
        """Give the seconds until all sending must end; None while there is no such end."""


class Delivery:
    """Deliver batches of encoded events. Knows no queue and no thread."""

    def __init__(self, options: Options, transport: Transport, tally: Tally) -> None:
        self._options = options
        self._transport = transport
        self._tally = tally
        self._headers = {
            "Content-Type": "application/json",
            "User-Agent": f"millrace-python/{__version__}",
        }
        if options.write_key:
            self._headers["X-Write-Key"] = options.write_key

    def deliver(
        self, batch: Sequence[bytes], *, give_up_at: float, pacing: Pacing, report: Report
    ) -> None:
        """Send a batch until each event is confirmed or reported.

        `give_up_at` is in monotonic seconds. Every batch gets one attempt, however old it is.
        """
        parts = [list(batch)]
        attempts = 0
        while parts:
            part = parts.pop()
            left_s = pacing.time_left_s()
            if left_s == 0:
                _drop(part, "shutdown", "the client was closed before the event was sent", report)
                continue
            verdict = self._attempt(part, left_s)
            if verdict.halve:
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]
                continue
            for index, error in verdict.failed.items():
                report(error, part[index])
            rest = [part[index] for index in verdict.again]
            self._tally.add_sent(len(part) - len(verdict.failed) - len(rest))
            attempts = attempts + 1 if rest else 0
            if not rest:
                continue
            end = self._wait(attempts, verdict, give_up_at, pacing)
            if end is None:
                self._tally.add_retry()
                parts.append(rest)
            else:
                _drop(rest, end, f"given up after {attempts} attempts: {verdict.why}", report)
                attempts = 0

    def _attempt(self, part: Sequence[bytes], left_s: float | None) -> Verdict:
        """Make one request. The time it is sent at is that of this attempt."""
        sent_at = encode(format_moment(datetime.now(timezone.utc)))
        body = b'{"sent_at":' + sent_at + b',"events":[' + b",".join(part) + b"]}"
        headers = self._headers
        gzip_from = self._options.gzip_from
        if gzip_from is not None and len(body) >= gzip_from:
            body = gzip.compress(body, compresslevel=6, mtime=0)
            headers = {**headers, "Content-Encoding": "gzip"}
        timeout_s = self._options.timeout_s
        if left_s is not None:
            timeout_s = min(timeout_s, left_s)
        try:
            answer = self._transport.post(body, headers, timeout_s=timeout_s)
        except (OSError, HTTPException) as error:
            self._debug("%d events, no answer: %r", len(part), error)
            return Verdict(again=list(range(len(part))), why=f"no answer: {error!r}")
        except Exception as error:
            # Such as a write key that no header can hold: it would fail the same way again.
            refusal = DroppedError("not_sendable", f"the request cannot be made: {error!r}")
            return Verdict(failed=dict.fromkeys(range(len(part)), refusal))
        self._debug("%d events, %d bytes: %d", len(part), len(body), answer.status)
        return judge(answer, len(part))

    def _wait(
        self, attempts: int, verdict: Verdict, give_up_at: float, pacing: Pacing
    ) -> str | None:
        """Wait before the next attempt; or say why there is none."""
        options = self._options
        wait = next_wait(
            attempts,
            asked_s=read_retry_after(verdict.retry_after, cap_s=options.retry_after_cap_s),
            base_s=options.retry_base_s,
            cap_s=options.retry_cap_s,
        )
        if options.max_attempts is not None and attempts >= options.max_attempts:
            return "gave_up"
        if time.monotonic() + wait.seconds > give_up_at:
            return "gave_up"
        return None if pacing.pause(wait) else "shutdown"

    def _debug(self, message: str, *values: object) -> None:
        if self._options.debug:
            log.debug(message, *values)


def _drop(events: Sequence[bytes], reason: str, detail: str, report: Report) -> None:
    for event in events:
        report(DroppedError(reason, detail), event)
