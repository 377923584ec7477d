"""The middleware: put it behind Django's AuthenticationMiddleware."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable
from inspect import iscoroutinefunction
from typing import Any, Callable

from django.conf import settings
from django.utils.decorators import sync_and_async_middleware

from millrace_client.contrib.django.config import Config, configure
from millrace_client.contrib.visit import Visit, VisitRules
from millrace_client.default import default_client
from millrace_client.scope import scope

log = logging.getLogger("millrace")


@sync_and_async_middleware  # type: ignore[untyped-decorator]
def MillraceMiddleware(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Give the events of each request its visitor, and tell the pages that were answered."""
    config = configure()

    def answer(request: Any) -> Any:
        visit, started = _visit_of(request, config.rules), time.monotonic()
        with scope(lambda: _fields(request, visit, config)):
            response = get_response(request)
            _finish(request, response, visit, started, config)
        return response

    async def answer_async(request: Any) -> Any:
        visit, started = _visit_of(request, config.rules), time.monotonic()
        await _load_user(request)
        with scope(lambda: _fields(request, visit, config)):
            response = await get_response(request)
            _finish(request, response, visit, started, config)
        return response

    return answer_async if iscoroutinefunction(get_response) else answer


def _visit_of(request: Any, rules: VisitRules) -> Visit:
    return Visit(
        method=request.method,
        path=request.path,
        query=request.META.get("QUERY_STRING", ""),
        headers=request.headers,
        cookies=request.COOKIES,
        address=request.META.get("REMOTE_ADDR"),
        rules=rules,
    )


async def _load_user(request: Any) -> None:
    """Have the user at hand: events are told by functions that cannot wait for the database."""
    load: Callable[[], Awaitable[Any]] | None = getattr(request, "auser", None)
    if load is None or settings.SESSION_COOKIE_NAME not in request.COOKIES:
        return
    try:
        request._cached_user = await load()
    except Exception:
        log.exception("the user of a request is not known")


def _fields(request: Any, visit: Visit, config: Config) -> dict[str, Any] | None:
    if visit.declines or not config.consent(request):
        return None
    return visit.fields(config.user(request) if config.user else None)


def _finish(request: Any, response: Any, visit: Visit, started: float, config: Config) -> None:
    try:
        if visit.declines or not config.consent(request):
            return
        for name, value, age_s in visit.new_cookies():
            response.set_cookie(
                name, value, max_age=age_s, secure=request.is_secure(), samesite="Lax"
            )
        if visit.is_page(response.status_code, response.get("Content-Type", "")):
            match = getattr(request, "resolver_match", None)
            properties = visit.page(response.status_code, match.route if match else None)
            took_ms = round((time.monotonic() - started) * 1000)
            default_client().page(None, properties, duration_ms=took_ms)
    except Exception:
        log.exception("a page view was not told")
