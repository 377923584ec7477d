"""Flask: events of a request know its visitor, and pages are told by themselves.

from millrace_client.contrib.flask import Millrace

Millrace(app, user=lambda: current_user.get_id())
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any, Callable, cast

from flask import Flask, Response, g, has_request_context, request

from millrace_client.client import Client
from millrace_client.contrib.visit import Visit, VisitRules
from millrace_client.default import default_client
from millrace_client.scope import scope

log = logging.getLogger("millrace")


class Millrace:
    """Gives the events of each request its user, anonymous id, session and context.

    `user` gives the id of who is logged in, `consent` tells whether the visitor may be tracked;
    both are called within the request. The other options are those of `VisitRules`.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        client: Client | None = None,
        user: Callable[[], Any] = lambda: None,
        consent: Callable[[], bool] = lambda: True,
        **rules: Any,
    ) -> None:
        self._client = client
        self._user = user
        self._consent = consent
        self._rules = VisitRules(**rules)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Take part in the requests of an application."""
        behind = app.wsgi_app

        def with_scope(environ: Any, start_response: Any) -> Iterable[bytes]:
            with scope(self._fields):
                return behind(environ, start_response)

        app.wsgi_app = with_scope  # type: ignore[method-assign]
        app.before_request(self._begin)
        app.after_request(self._finish)

    def _begin(self) -> None:
        g.millrace_started = time.monotonic()
        g.millrace_visit = Visit(
            method=request.method,
            path=request.path,
            query=request.query_string.decode("latin-1"),
            headers=cast("Mapping[str, str]", request.headers),
            cookies=request.cookies,
            address=request.remote_addr,
            rules=self._rules,
        )

    def _fields(self) -> dict[str, Any] | None:
        visit: Visit | None = g.get("millrace_visit") if has_request_context() else None
        if visit is None:
            return {}
        if visit.declines or not self._consent():
            return None
        return visit.fields(self._user())

    def _finish(self, response: Response) -> Response:
        try:
            self._tell(response)
        except Exception:
            log.exception("a page view was not told")
        return response

    def _tell(self, response: Response) -> None:
        visit: Visit | None = g.get("millrace_visit")
        if visit is None or visit.declines or not self._consent():
            return
        for name, value, age_s in visit.new_cookies():
            response.set_cookie(
                name, value, max_age=age_s, secure=request.is_secure, samesite="Lax"
            )
        if visit.is_page(response.status_code, response.content_type or ""):
            rule = request.url_rule.rule if request.url_rule else None
            took_ms = round((time.monotonic() - g.millrace_started) * 1000)
            client = self._client or default_client()
            client.page(None, visit.page(response.status_code, rule), duration_ms=took_ms)
