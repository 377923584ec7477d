"""The client: events in, from any thread; out in batches, each exactly once."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from millrace_client.backoff import Wait
from millrace_client.delivery import Delivery
from millrace_client.encode import encode
from millrace_client.errors import DroppedError, MillraceError, RejectedError
from millrace_client.event import ensure_id, make_event
from millrace_client.fields import ActorFields, EventFields
from millrace_client.options import Options
from millrace_client.outbox import Outbox
from millrace_client.processes import watch
from millrace_client.scope import merge_fields, read_scope
from millrace_client.shop import ShopEvents
from millrace_client.stats import Stats, Tally
from millrace_client.transport import KeptConnections, SessionTransport, Transport, renew_session
from millrace_client.worker import Worker

if TYPE_CHECKING:
    from typing_extensions import Unpack

log = logging.getLogger("millrace")

#: Reasons for which an event is left out on purpose: counted, and no error.
_WANTED = ("declined", "before_send", "not_collected")
#: Without `on_error`, every so many events of one reason are logged.
_LOG_EVERY = 1000


class Client(Options, ShopEvents):
    """Send events to Millrace.

    `track` puts an event into a bounded queue and returns; one daemon thread sends. Made with the
    fields of `Options`. Every method may be called from any thread, and after a fork.
    """

    def __post_init__(self) -> None:
        """Check the options. Starts no thread and opens no connection yet."""
        super().__post_init__()
        self._begin()
        watch(self)

    def _begin(self) -> None:
        """Start with an empty queue, as a new client and a forked child do."""
        self._tally = Tally()
        self._transport = self._make_transport()
        self._delivery = Delivery(self, self._transport, self._tally)
        self._outbox = Outbox(
            max_events=self.max_queue_events,
            max_bytes=self.max_queue_bytes,
            batch_events=self.batch_events,
            batch_bytes=self.batch_bytes,
            linger_s=self.linger_s,
        )
        self._worker = Worker(
            self._outbox,
            self._delivery,
            self._transport,
            retry_for_s=self.retry_for_s,
            report=self._report,
        )

    def _begin_in_child(self) -> None:
        """Start with an empty queue, and share no connection with the parent."""
        if self.session is not None:
            self.session = renew_session(self.session)
        self._begin()

    def _close(self, *, within_s: float) -> None:
        """Take no more events, and hurry."""
        self._outbox.close(within_s=within_s)

    def _make_transport(self) -> Transport:
        if self.session is not None:
            return SessionTransport(self.url, self.session)
        return KeptConnections(self.url)

    def track(
        self,
        event_type: str,
        properties: Mapping[str, Any] | None = None,
        **fields: Unpack[EventFields],
    ) -> str | None:
        """Queue an event; give its id, None when it was not queued.

        Never raises, never waits (unless `block` is set): what goes wrong goes to `on_error`. In
        sync mode the event is sent at once, and MillraceError is raised when it was not delivered.
        """
        if not self.enabled:
            return None
        body = None
        try:
            event = self._prepare(event_type, properties, fields)
            body = encode(event)
            if len(body) > self.max_event_bytes:
                raise DroppedError(
                    "too_large",
                    f"an event may have {self.max_event_bytes} bytes of JSON, got {len(body)}",
                )
            self._hand_over(body)
            return str(event.get("event_id") or event["message_id"])
        except MillraceError as error:
            self._give_back(error, body or {"event_type": event_type, "properties": properties})
            return None
        except Exception as error:
            self._refuse(event_type, error)
            return None

    def flush(self, timeout_s: float | None = 10.0) -> bool:
        """Send what was tracked until now without lingering; tell whether all was delivered.

        False when time ran out, when an event was not delivered meanwhile, or when the interpreter
        is ending and sends what waits at its very end. None waits as long as it takes.
        """
        if self._worker.is_current:
            return False
        before = self.stats.failed
        if len(self._outbox) and not self._worker.ensure_started():
            return False
        return self._outbox.wait_until_settled(timeout_s) and self.stats.failed == before

    def shutdown(self, timeout_s: float | None = None) -> bool:
        """Send what waits for up to `timeout_s` (`shutdown_s`), and end; tell if all was delivered.

        What could not be sent goes to `on_error`, and so does each event that is tracked later.
        """
        before = self.stats.failed
        self._worker.stop(self.shutdown_s if timeout_s is None else timeout_s)
        stats = self.stats
        return stats.queued == 0 and stats.failed == before

    @property
    def stats(self) -> Stats:
        """Count what became of the events of this process."""
        return self._tally.read(queued=len(self._outbox))

    def __enter__(self) -> Client:
        """Give the client; it is shut down at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Shut the client down."""
        self.shutdown()

    def _prepare(
        self, event_type: str, properties: Mapping[str, Any] | None, fields: Mapping[str, Any]
    ) -> dict[str, Any]:
        scoped = read_scope()
        if scoped is None:
            raise DroppedError("declined", "the person declines to be tracked")
        shared = merge_fields({"source": self.source, "context": self.context}, scoped)
        event = make_event(event_type, properties, fields, shared=shared)
        if self.before_send is None:
            return event
        changed = self.before_send(event)
        if changed is None:
            raise DroppedError("before_send", "before_send left the event out")
        return ensure_id(changed)

    def _hand_over(self, body: bytes) -> None:
        """Queue an event, or send it in sync mode. Raises DroppedError, RejectedError."""
        if self.sync_mode:
            self._send_now(body)
            return
        self._worker.ensure_started()
        if self._outbox.put(body, wait=self.block and not self._worker.is_current):
            return
        if self._outbox.is_closed:
            raise DroppedError("closed", "the client was shut down")
        raise DroppedError(
            "queue_full",
            f"{self.max_queue_events} events or {self.max_queue_bytes} bytes are waiting already",
        )

    def _send_now(self, body: bytes) -> None:
        errors: list[MillraceError] = []
        self._delivery.deliver(
            [body],
            give_up_at=time.monotonic() + self.sync_retry_for_s,
            pacing=_Patience(),
            report=lambda error, _: errors.append(error),
        )
        if errors:
            raise errors[0]

    def _room_for_items(
        self, event_type: str, properties: Mapping[str, Any] | None, fields: ActorFields
    ) -> int:
        try:
            event = make_event(
                event_type,
                properties,
                {**fields, "items": ()},
                shared=merge_fields(
                    {"source": self.source, "context": self.context}, read_scope() or {}
                ),
            )
            return self.list_event_bytes - len(encode(event))
        except Exception:
            # The same goes wrong when the event is tracked, and is reported then.
            return self.list_event_bytes

    def _refuse(self, event_type: str, error: Exception) -> None:
        refusal = DroppedError("invalid", f"the event cannot be sent: {error!r}")
        refusal.__cause__ = error
        self._give_back(refusal, {"event_type": event_type})

    def _give_back(self, error: MillraceError, event: bytes | dict[str, Any]) -> None:
        """Report an event that was not handed over; raise in sync mode what is an error."""
        self._report(error, event)
        if self.sync_mode and error.reason not in _WANTED:
            raise error

    def _report(self, error: MillraceError, event: bytes | dict[str, Any]) -> None:
        """Count an event that is not delivered, and tell the application."""
        if isinstance(error, RejectedError):
            count = self._tally.add_rejected(error.reason)
        else:
            count = self._tally.add_dropped(error.reason)
        if error.reason in _WANTED:
            return
        if self.on_error is None:
            if count % _LOG_EVERY == 1:
                log.warning("%d events are not delivered: %s", count, error)
            return
        try:
            self.on_error(error, json.loads(event) if isinstance(event, bytes) else event)
        except Exception:
            log.exception("on_error failed")


class _Patience:
    """Wait in the calling thread, as sync mode does."""

    def pause(self, wait: Wait) -> bool:
        time.sleep(wait.seconds)
        return True

    def time_left_s(self) -> None:
        return None
