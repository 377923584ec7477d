"""A Django shop that tells Millrace, with the Python client's application and middleware.

Django is set up once a process, so the shop has a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("django", reason="Django is not installed: pip install -r requirements-dev.txt")

SOURCE = Path(__file__).resolve().parents[2] / "clients" / "python" / "src"

#: The worked example of the client's README, and visits to it.
SHOP = """
import asyncio, os, sys
import django
from django.conf import settings
from django.http import HttpResponse, JsonResponse
from django.urls import path
from django.utils.functional import lazystr

settings.configure(
    SECRET_KEY="only for tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["SHOP"]}},
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "django.contrib.sessions",
        "millrace_client.contrib.django",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "millrace_client.contrib.django.middleware.MillraceMiddleware",
    ],
    MILLRACE={
        "host": os.environ["MILLRACE_HOST"],
        "write_key": os.environ["MILLRACE_KEY"],
        "linger_s": 60,
        **eval(os.environ["MILLRACE_MORE"]),
    },
)
django.setup()

from django.contrib.auth import authenticate, login
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import AsyncClient, Client
import millrace_client as millrace

def show(request, product_id):
    millrace.track_product_view(product_id, {"name": lazystr("Hat")})
    return HttpResponse("<h1>a hat</h1>")

async def show_later(request, product_id):
    millrace.track_product_view(product_id)
    return HttpResponse("<h1>a hat</h1>")

def log_in(request):
    login(request, User.objects.get(username="ada"))
    millrace.track("login")
    return JsonResponse({})

def break_down(request):
    raise ZeroDivisionError

urlpatterns = [
    path("products/<product_id>/", show),
    path("later/<product_id>/", show_later),
    path("login/", log_in),
    path("broken/", break_down),
]

call_command("migrate", verbosity=0)
User.objects.create_user("ada", password="x", id=7)
"""


@pytest.fixture
def visit(server: Any, write_key: str, tmp_path: Path) -> Callable[..., str]:
    """Give a function that runs visits in the shop and gives what they print."""

    def run(visits: str, **options: Any) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", SHOP + visits],
            env={
                **os.environ,
                "PYTHONPATH": str(SOURCE),
                "SHOP": str(tmp_path / "shop.sqlite3"),
                "MILLRACE_HOST": server.url,
                "MILLRACE_KEY": write_key,
                "MILLRACE_MORE": repr(options),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_events_of_a_request_know_its_visitor(visit, stored) -> None:
    visit(
        """
browser = Client(headers={"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"})
browser.get("/products/p1/", {"utm_source": "news"})
browser.post("/login/")
browser.get("/products/p2/")
""",
        set_cookies=True,
    )

    rows = stored()
    users = {row["product_id"] or row["event_type"]: row["user_id"] for row in rows}
    assert (users["p1"], users["login"], users["p2"]) == (None, "7", "7")
    assert len(rows) == 5
    assert len({row["anonymous_id"] for row in rows}) == 1
    assert len({row["session_id"] for row in rows}) == 1
    view = next(row for row in rows if row["product_id"] == "p1")
    assert view["properties"] == {"name": "Hat"}
    assert (view["source"], view["device_type"]) == ("web", "desktop")
    assert view["context"]["ip"] == "127.0.0.0"
    assert view["context"]["campaign"] == {"source": "news"}


def test_pages_are_told_with_their_status_and_route(visit, stored) -> None:
    visit(
        """
browser = Client(raise_request_exception=False)
for place in ("/products/p1/", "/nowhere/", "/broken/", "/admin/"):
    browser.get(place)
"""
    )

    pages = [row for row in stored() if row["event_type"] == "page_view"]
    assert {(row["properties"]["status"], row["properties"].get("route")) for row in pages} == {
        (200, "products/<product_id>/"),
        (404, None),
        (500, "broken/"),
    }


def test_asynchronous_views_know_their_visitor_too(visit, stored) -> None:
    visit(
        """
browser = AsyncClient()
browser.force_login(User.objects.get(username="ada"))
asyncio.run(browser.get("/later/p1/"))
asyncio.run(browser.get("/products/p2/"))
"""
    )

    rows = stored()
    assert len(rows) == 4
    assert {row["user_id"] for row in rows} == {"7"}


def test_who_declines_is_not_tracked_and_gets_no_cookie(visit, stored) -> None:
    output = visit(
        """
answers = [
    Client().get("/products/p1/", headers={"DNT": "1"}),
    Client().get("/products/p1/", headers={"Sec-GPC": "1"}),
]
print([(answer.status_code, len(answer.cookies)) for answer in answers], millrace.stats().dropped)
""",
        set_cookies=True,
    )

    assert output == "[(200, 0), (200, 0)] {'declined': 2}\n"
    assert stored() == []


def test_strangers_pages_stay_cacheable(visit) -> None:
    output = visit(
        """
print(Client().get("/products/p1/").headers.get("Vary"))
"""
    )

    assert output == "None\n"


def test_a_setting_that_does_not_exist_is_refused(visit) -> None:
    with pytest.raises(AssertionError, match="MILLRACE has no option write_kye"):
        visit("", write_kye="wk_1")


def test_a_host_that_cannot_work_is_refused_at_the_start(visit) -> None:
    with pytest.raises(AssertionError, match="MILLRACE: host must be an http"):
        visit("", host="events.example.com")


def test_events_of_a_command_need_no_request(visit, stored) -> None:
    visit("millrace.track('note', {'from': 'a command'})")

    assert [row["source"] for row in stored()] == ["server"]
