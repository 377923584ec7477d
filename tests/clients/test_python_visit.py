"""What the Python client's middleware reads of a request."""

from __future__ import annotations

from typing import Any

import pytest
from millrace_client.contrib.visit import Visit, VisitRules, shorten_address
from werkzeug.datastructures import Headers

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari"
IPAD = "Mozilla/5.0 (iPad; CPU OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def visit(path: str = "/", **given: Any) -> Visit:
    rules = VisitRules(**given.pop("rules", {}))
    return Visit(
        method=given.get("method", "GET"),
        path=path,
        query=given.get("query", ""),
        headers=Headers(given.get("headers", {})),
        cookies=given.get("cookies", {}),
        address=given.get("address", "192.0.2.77"),
        rules=rules,
    )


@pytest.mark.parametrize(
    ("address", "mode", "kept"),
    [
        ("192.0.2.77", "truncated", "192.0.2.0"),
        ("2001:db8:1:2::3", "truncated", "2001:db8:1::"),
        ("::ffff:192.0.2.77", "truncated", "192.0.2.0"),
        ("fe80::1%eth0", "truncated", "fe80::"),
        ("192.0.2.77", "full", "192.0.2.77"),
        ("192.0.2.77", "off", None),
        ("unknown", "full", None),
        ("", "truncated", None),
    ],
)
def test_as_much_of_an_address_is_kept_as_the_mode_says(address, mode, kept) -> None:
    assert shorten_address(address, mode) == kept


def test_only_proxies_that_are_there_are_believed() -> None:
    headers = {"X-Forwarded-For": "203.0.113.9, 198.51.100.7"}

    assert visit(headers=headers).fields()["context"]["ip"] == "192.0.2.0"
    behind_one = visit(headers=headers, rules={"trusted_proxies": 1})
    assert behind_one.fields()["context"]["ip"] == "198.51.100.0"
    behind_three = visit(headers=headers, rules={"trusted_proxies": 3})
    assert behind_three.fields()["context"]["ip"] == "203.0.113.0"


@pytest.mark.parametrize(
    ("agent", "device", "excluded"),
    [
        (FIREFOX, "desktop", None),
        (IPHONE, "mobile", None),
        (IPAD, "tablet", None),
        (GOOGLEBOT, "desktop", "bot"),
        ("", None, None),
    ],
    ids=["firefox", "iphone", "ipad", "googlebot", "none"],
)
def test_the_device_and_bots_are_known_by_the_agent(agent, device, excluded) -> None:
    fields = visit(headers={"User-Agent": agent}).fields()

    assert (fields["device_type"], fields["excluded"]) == (device, excluded)


def test_what_may_be_personal_is_left_out_of_addresses() -> None:
    seen = visit(
        query="email=a@example.com&utm_source=news&utm_medium=mail",
        headers={"Referer": "https://u:p@mail.example:8443/read?token=secret#x"},
    )

    context = seen.fields()["context"]

    assert context["referrer"] == "https://mail.example/read"
    assert context["campaign"] == {"source": "news", "medium": "mail"}
    assert "example.com" not in str(seen.page(200, None))


@pytest.mark.parametrize(
    ("path", "given", "status", "kind", "is_page"),
    [
        ("/", {}, 200, "text/html; charset=utf-8", True),
        ("/gone", {}, 404, "text/html", True),
        ("/", {}, 302, "text/html", False),
        ("/", {}, 200, "application/json", False),
        ("/", {"method": "POST"}, 200, "text/html", False),
        ("/static/a.html", {}, 200, "text/html", False),
        ("/part", {"headers": {"HX-Request": "true"}}, 200, "text/html", False),
        ("/part", {"headers": {"X-Requested-With": "XMLHttpRequest"}}, 200, "text/html", False),
        ("/next", {"headers": {"Sec-Purpose": "prefetch;prerender"}}, 200, "text/html", False),
        ("/", {"rules": {"page_views": False}}, 200, "text/html", False),
    ],
)
def test_a_page_is_what_a_person_saw(path, given, status, kind, is_page) -> None:
    assert visit(path, **given).is_page(status, kind) is is_page


def test_ids_come_from_header_or_cookie_and_are_made_only_where_cookies_are_set() -> None:
    known = visit(cookies={"mr_anonymous": "a1", "mr_session": "s1"})
    named = visit(cookies={"mr_anonymous": "a1"}, headers={"X-Client-ANON-ID": "a2"})
    hostile = visit(cookies={"mr_anonymous": "a\0b", "mr_session": "x" * 500})
    new = visit(rules={"set_cookies": True})

    assert (known.anonymous_id, known.session_id) == ("a1", "s1")
    assert named.anonymous_id == "a2"
    assert (hostile.anonymous_id, hostile.session_id) == (None, None)
    assert (known.new_cookies(), hostile.new_cookies()) == ([], [])
    assert [name for name, _, _ in new.new_cookies()] == ["mr_session", "mr_anonymous"]
    assert new.fields()["anonymous_id"] == new.new_cookies()[1][1]


def test_a_mode_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="ip_mode must be off, truncated or full, got 'none'"):
        VisitRules(ip_mode="none")
