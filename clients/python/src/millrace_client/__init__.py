"""Send events to Millrace: each exactly once, without ever holding up the application.

    import millrace_client as millrace

    millrace.host = "https://events.example.com"
    millrace.write_key = "wk_…"
    millrace.track_product_view("sku-1", user_id="u-42")

The settings below are read once, when the first event is tracked. `Client` is the same as an
object, of which there may be many.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from millrace_client.client import Client
from millrace_client.default import default_client, on_default
from millrace_client.errors import DroppedError, MillraceError, RejectedError
from millrace_client.options import BeforeSend, OnError, Options
from millrace_client.scope import scope
from millrace_client.stats import Stats
from millrace_client.version import __version__

__all__ = [
    "Client",
    "DroppedError",
    "MillraceError",
    "Options",
    "RejectedError",
    "Stats",
    "__version__",
    "default_client",
    "flush",
    "identify",
    "page",
    "scope",
    "shutdown",
    "stats",
    "track",
    "track_cart_addition",
    "track_cart_removal",
    "track_listing_views",
    "track_product_click",
    "track_product_favorite",
    "track_product_unfavorite",
    "track_product_view",
    "track_purchase",
    "track_rating",
    "track_recommendation_clicked",
    "track_recommendation_shown",
    "track_refund",
    "track_search",
]

host: str = "http://127.0.0.1:8000"
write_key: str | None = Options.write_key
path: str = Options.path
enabled: bool = Options.enabled
sync_mode: bool = Options.sync_mode
on_error: OnError | None = Options.on_error
before_send: BeforeSend | None = Options.before_send
source: str | None = Options.source
context: Mapping[str, Any] | None = Options.context
debug: bool = Options.debug
max_queue_events: int = Options.max_queue_events
max_queue_bytes: int = Options.max_queue_bytes
block: bool = Options.block
max_event_bytes: int = Options.max_event_bytes
list_event_bytes: int = Options.list_event_bytes
batch_events: int = Options.batch_events
batch_bytes: int = Options.batch_bytes
linger_s: float = Options.linger_s
gzip_from: int | None = Options.gzip_from
timeout_s: float = Options.timeout_s
retry_for_s: float = Options.retry_for_s
sync_retry_for_s: float = Options.sync_retry_for_s
max_attempts: int | None = Options.max_attempts
retry_base_s: float = Options.retry_base_s
retry_cap_s: float = Options.retry_cap_s
retry_after_cap_s: float = Options.retry_after_cap_s
shutdown_s: float = Options.shutdown_s
session: Any = Options.session

track = on_default(Client.track)
identify = on_default(Client.identify)
page = on_default(Client.page)
track_product_view = on_default(Client.track_product_view)
track_product_click = on_default(Client.track_product_click)
track_product_favorite = on_default(Client.track_product_favorite)
track_product_unfavorite = on_default(Client.track_product_unfavorite)
track_cart_addition = on_default(Client.track_cart_addition)
track_cart_removal = on_default(Client.track_cart_removal)
track_listing_views = on_default(Client.track_listing_views)
track_purchase = on_default(Client.track_purchase)
track_refund = on_default(Client.track_refund)
track_rating = on_default(Client.track_rating)
track_search = on_default(Client.track_search)
track_recommendation_shown = on_default(Client.track_recommendation_shown)
track_recommendation_clicked = on_default(Client.track_recommendation_clicked)
flush = on_default(Client.flush)
shutdown = on_default(Client.shutdown)


def stats() -> Stats:
    """Count what became of the events of this process."""
    return default_client().stats
