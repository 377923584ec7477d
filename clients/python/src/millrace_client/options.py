"""Every option of a client, with its default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable, Optional
from urllib.parse import urlsplit

from millrace_client.errors import MillraceError

OnError = Callable[[MillraceError, dict[str, Any]], None]
BeforeSend = Callable[[dict[str, Any]], Optional[dict[str, Any]]]


@dataclass(eq=False, repr=False)
class Options:
    """What a client is made with. Those from `path` on are given by name."""

    #: Where Millrace is, such as https://events.example.com; a path in front is kept.
    host: str
    #: The write key; None where the installation asks for none.
    write_key: str | None = None
    #: The path of the door; `/mr/in` is the neutral one, should a proxy on the way block this.
    path: str = "/api/v1/analytics/events/"
    #: False: nothing is tracked, and no thread is started. May be changed at any time.
    enabled: bool = True
    #: Send in the calling thread, and raise when an event is not delivered.
    sync_mode: bool = False
    #: Called with the error and the event for each event that is not delivered.
    on_error: OnError | None = None
    #: Called with each event before it is queued; what it gives is sent, None drops the event.
    before_send: BeforeSend | None = None
    #: Where the events come from, unless an event says so itself.
    source: str | None = "server"
    #: Context of every event, under what the event itself has.
    context: Mapping[str, Any] | None = None
    #: Log each request on the logger `millrace`.
    debug: bool = False
    #: Events that may wait, those on their way included. The newest is dropped when it is full.
    max_queue_events: int = 10_000
    #: Bytes of JSON that may wait.
    max_queue_bytes: int = 16 * 1024 * 1024
    #: True: track() waits for room in a full queue instead of dropping the event.
    block: bool = False
    #: Bytes of JSON one event may have; the server has a bound of its own.
    max_event_bytes: int = 32 * 1024
    #: Bytes of JSON one event with products may have (as the server has it); longer is parted.
    list_event_bytes: int = 2048
    #: Events of one request.
    batch_events: int = 100
    #: Bytes of JSON of one request, before it is packed.
    batch_bytes: int = 512 * 1024
    #: Seconds an event may wait for others to share its request.
    linger_s: float = 0.5
    #: Bytes from which a request is packed with gzip; None: never.
    gzip_from: int | None = 1024
    #: Seconds to wait for the server, at each step of a request.
    timeout_s: float = 10.0
    #: Seconds after which a batch that cannot be delivered is given up.
    retry_for_s: float = 3600.0
    #: The same in sync mode, where the application waits.
    sync_retry_for_s: float = 10.0
    #: Attempts after which a batch is given up; None: only its age counts.
    max_attempts: int | None = None
    #: The first pause between attempts is up to this long; each next one up to twice as long.
    retry_base_s: float = 0.5
    #: The longest pause, unless the server asks for more.
    retry_cap_s: float = 30.0
    #: The longest pause a server may ask for with Retry-After.
    retry_after_cap_s: float = 300.0
    #: Seconds that the end of the process waits for the queue to empty.
    shutdown_s: float = 5.0
    #: A requests session, or what behaves like one: for proxies and client certificates.
    session: Any = None

    def __post_init__(self) -> None:
        """Check the options. Raises ValueError."""
        parts = urlsplit(self.host)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"host must be an http:// or https:// address, got {self.host!r}")
        if parts.query or parts.fragment:
            raise ValueError(f"host must have neither query nor fragment, got {self.host!r}")
        for name in _AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        for name in _NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be >= 0, got {getattr(self, name)}")
        if self.timeout_s <= 0:
            raise ValueError(f"timeout_s must be > 0, got {self.timeout_s}")
        if self.max_event_bytes > self.max_queue_bytes:
            raise ValueError("max_event_bytes must be <= max_queue_bytes")

    def __repr__(self) -> str:
        """Say where it sends, and not by which key."""
        return f"{type(self).__name__}(host={self.host!r})"

    @property
    def url(self) -> str:
        """Give the address events are posted to."""
        return f"{self.host.rstrip('/')}/{self.path.lstrip('/')}"


_AT_LEAST_ONE = (
    "max_queue_events",
    "max_queue_bytes",
    "max_event_bytes",
    "list_event_bytes",
    "batch_events",
    "batch_bytes",
)
_NOT_NEGATIVE = (
    "linger_s",
    "retry_for_s",
    "sync_retry_for_s",
    "retry_base_s",
    "retry_cap_s",
    "retry_after_cap_s",
    "shutdown_s",
)
