"""The rate limit of the reading API, by Flask-Limiter. Ingestion has limits of its own."""

from __future__ import annotations

import time
from typing import Any

from flask import Flask, Response, current_app, request
from flask_limiter import Limiter, RateLimitExceeded
from limits import parse_many
from redis.backoff import NoBackoff
from redis.retry import Retry
from werkzeug.wrappers import Response as BaseResponse

from app.auth import current_caller
from app.errors import Problem, error_response
from app.visitor import read_address
from settings import Settings, SettingsError

#: Asked by machines that must never be refused.
EXEMPT_PATHS = frozenset({"/healthz", "/readyz", "/metrics", "/openapi.json"})


def limit_requests(app: Flask, settings: Settings) -> None:
    """Limit how often a token, or else an address, may ask. Nothing to do without a limit.

    Redis has a quarter of a second for its answer; without one each process counts for itself,
    and asks Redis again later and later.
    """
    if not settings.rate_limit:
        return
    try:
        parse_many(settings.rate_limit)
    except ValueError as error:
        raise SettingsError(
            f"API_RATE_LIMIT must be like 600/minute, got {settings.rate_limit!r}"
        ) from error
    quick: dict[str, Any] = {
        "socket_timeout": 0.25,
        "socket_connect_timeout": 0.25,
        "retry": Retry(NoBackoff(), 0),
    }
    limiter = _ApiLimiter(
        lambda: _identify(settings.trusted_proxies),
        storage_uri=_storage_uri(settings.redis_url),
        storage_options=quick,
        application_limits=[settings.rate_limit],
        strategy="fixed-window",
        in_memory_fallback_enabled=True,
        swallow_errors=True,
        key_prefix="api",
    )
    limiter.init_app(app)
    app.extensions["millrace_limiter"] = limiter
    app.register_error_handler(RateLimitExceeded, _too_many)
    app.after_request(_say_what_is_left)


class _ApiLimiter(Limiter):
    """Flask-Limiter's, but exempt requests are passed over before anything is done for them.

    The library asks its filters late: by then a tenth of the time of a short answer is gone.
    """

    def _check_request_limit(self, *args: Any, **kwargs: Any) -> None:
        if not _is_exempt():
            super()._check_request_limit(*args, **kwargs)


def _identify(trusted_proxies: int) -> str:
    caller = current_caller()
    if caller is not None:
        return f"token {caller.key_id}"
    return f"address {read_address(request, trusted_proxies=trusted_proxies)}"


def _is_exempt() -> bool:
    view = current_app.view_functions.get(request.endpoint or "")
    if request.blueprint in ("tracker", "recommendations"):
        # All visitors of a shop ask for them, many from one address: that of the shop's server.
        return True
    return request.path.rstrip("/") in EXEMPT_PATHS or getattr(view, "takes_write_key", False)


def _storage_uri(redis_url: str) -> str:
    return redis_url.replace("unix://", "redis+unix://", 1)


def _too_many(error: RateLimitExceeded) -> BaseResponse:
    return error_response(
        Problem(429, "too_many_requests", f"one caller may make {error.limit.limit} requests")
    )


def _say_what_is_left(response: Response) -> Response:
    """Add the RateLimit headers (draft 06 of the IETF), and to a refusal when to come again."""
    current = current_app.extensions["millrace_limiter"].current_limit
    if current is None:
        return response
    reset_s = max(0, int(current.reset_at - time.time()))
    response.headers["RateLimit-Limit"] = str(current.limit.amount)
    response.headers["RateLimit-Remaining"] = str(current.remaining)
    response.headers["RateLimit-Reset"] = str(reset_s)
    if response.status_code == 429:
        response.headers["Retry-After"] = str(max(1, reset_s))
    return response
