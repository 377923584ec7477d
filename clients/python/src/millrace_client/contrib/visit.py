"""What a web request says of its visitor, whatever the framework."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any
from urllib.parse import parse_qs, urlsplit

from millrace_client.ids import uuid7

ANONYMOUS_COOKIE_AGE_S = 365 * 86_400
SESSION_COOKIE_AGE_S = 30 * 60

_MAX_ID = 200
_MAX_TEXT = 300
_CAMPAIGN = ("source", "medium", "campaign", "term", "content")
_BOT = re.compile(r"bot\b|bot/|crawl|spider|slurp|headless|lighthouse|preview|monitor", re.I)
_TABLET = re.compile(r"iPad|Tablet|Android(?!.*Mobile)", re.I)
_MOBILE = re.compile(r"Mobi|iPhone|Android", re.I)


@dataclass(frozen=True)
class VisitRules:
    """What is read of a request, and what is told of it by itself."""

    #: The cookie with the anonymous id.
    anonymous_cookie: str = "mr_anonymous"
    #: The cookie with the session id.
    session_cookie: str = "mr_session"
    #: True: visitors without these cookies get them. Ask for consent first where the law says so.
    set_cookies: bool = False
    #: Track nothing for browsers that say Do Not Track or Global Privacy Control.
    respect_dnt: bool = True
    #: Tell each page that was answered as a `page_view`.
    page_views: bool = True
    #: Paths, and what begins with them, that are no pages.
    exclude: tuple[str, ...] = ("/static/", "/media/", "/admin/", "/favicon.ico", "/robots.txt")
    #: What is kept of an address: `off`, `truncated` (/24 and /48) or `full`.
    ip_mode: str = "truncated"
    #: Proxies in front whose X-Forwarded-For is believed.
    trusted_proxies: int = 0

    def __post_init__(self) -> None:
        """Check the rules. Raises ValueError."""
        if self.ip_mode not in ("off", "truncated", "full"):
            raise ValueError(f"ip_mode must be off, truncated or full, got {self.ip_mode!r}")


@dataclass(frozen=True)
class Visit:
    """One request, as much of it as events need. Header names are matched in any case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    cookies: Mapping[str, str]
    address: str | None
    rules: VisitRules

    @property
    def declines(self) -> bool:
        """Tell whether the browser asks not to be tracked, and is listened to."""
        says = (self.headers.get("DNT"), self.headers.get("Sec-GPC"))
        return self.rules.respect_dnt and "1" in says

    @cached_property
    def anonymous_id(self) -> str | None:
        """The anonymous id of the header or the cookie; a new one where cookies are set."""
        return _readable(self.headers.get("X-Client-ANON-ID")) or self._cookie(
            self.rules.anonymous_cookie
        )

    @cached_property
    def session_id(self) -> str | None:
        """The session id of the cookie; a new one where cookies are set."""
        return self._cookie(self.rules.session_cookie)

    def fields(self, user_id: Any = None) -> dict[str, Any]:
        """Give what all events of the request share."""
        agent = self.headers.get("User-Agent", "")[:_MAX_TEXT]
        context = {
            "ip": self._address(),
            "user_agent": agent or None,
            "referrer": _without_query(self.headers.get("Referer", "")),
            "locale": self.headers.get("Accept-Language", "").split(",")[0][:35] or None,
            "campaign": self._campaign(),
        }
        return {
            "user_id": user_id,
            "anonymous_id": self.anonymous_id,
            "session_id": self.session_id,
            "source": "web",
            "device_type": _device_type(agent),
            # The server sees the client's User-Agent, not the visitor's.
            "excluded": "bot" if _BOT.search(agent) else None,
            "context": {name: value for name, value in context.items() if value},
        }

    def is_page(self, status: int, content_type: str) -> bool:
        """Tell whether a person saw a page: neither a part of one nor one fetched in advance."""
        get = self.headers.get
        return (
            self.rules.page_views
            and self.method == "GET"
            and content_type.startswith("text/html")
            and not 300 <= status < 400
            and not self.path.startswith(self.rules.exclude)
            and get("X-Requested-With") != "XMLHttpRequest"
            and get("HX-Request") != "true"
            and "prefetch" not in (get("Sec-Purpose") or get("Purpose") or "")
        )

    def page(self, status: int, route: str | None) -> dict[str, Any]:
        """Give the properties of the request's page view."""
        found = {"path": self.path[:_MAX_TEXT], "status": status, "route": route}
        return {name: value for name, value in found.items() if value is not None}

    def new_cookies(self) -> list[tuple[str, str, int]]:
        """List the cookies to set: name, value, age in seconds. The session's begins anew."""
        if not self.rules.set_cookies:
            return []
        cookies = [(self.rules.session_cookie, self.session_id or "", SESSION_COOKIE_AGE_S)]
        if self.cookies.get(self.rules.anonymous_cookie) != self.anonymous_id:
            name = self.rules.anonymous_cookie
            cookies.append((name, self.anonymous_id or "", ANONYMOUS_COOKIE_AGE_S))
        return cookies

    def _cookie(self, name: str) -> str | None:
        known = _readable(self.cookies.get(name))
        return known or (uuid7() if self.rules.set_cookies else None)

    def _address(self) -> str | None:
        address = self.address or ""
        if self.rules.trusted_proxies:
            given = self.headers.get("X-Forwarded-For", "").split(",")
            hops = [hop.strip() for hop in given if hop.strip()]
            if hops:
                address = hops[-min(self.rules.trusted_proxies, len(hops))]
        return shorten_address(address, self.rules.ip_mode)

    def _campaign(self) -> dict[str, str]:
        if "utm_" not in self.query:
            return {}
        given = parse_qs(self.query[:2000], max_num_fields=100)
        found = {name: given.get(f"utm_{name}", [""])[0][:100] for name in _CAMPAIGN}
        return {name: value for name, value in found.items() if value}


def shorten_address(address: str, mode: str) -> str | None:
    """Keep as much of an address as the mode says; None for what is no address."""
    if mode == "off":
        return None
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    if mode == "full":
        return str(parsed)
    bits = 24 if isinstance(parsed, IPv4Address) else 48
    return str(ip_network((parsed, bits), strict=False).network_address)


def _readable(value: str | None) -> str | None:
    """Give an id as it is, or None for what cannot be one."""
    return value if value and len(value) <= _MAX_ID and value.isprintable() else None


def _device_type(agent: str) -> str | None:
    if not agent:
        return None
    if _TABLET.search(agent):
        return "tablet"
    return "mobile" if _MOBILE.search(agent) else "desktop"


def _without_query(address: str) -> str | None:
    """Give a page's address without what may be personal."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    if not parts.hostname:
        return None
    return f"{parts.scheme}://{parts.hostname}{parts.path}"[:_MAX_TEXT]
