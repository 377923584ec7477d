"""A real Chromium, a real Millrace behind a shop's pages, and a network that can be made bad."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from flask import Flask
from sqlalchemy import Engine
from werkzeug.serving import make_server

from settings import Settings
from tasks.ingest import Drainer
from tests.browser.shop import Shop
from tests.chromium import ARGUMENTS, USER_AGENT, find_chromium


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Start Chromium once."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    found = find_chromium()
    if found is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_shop(
    chromium: Any,
    settings: Settings,
    engine: Engine,
    drainer: Drainer,
    redis_client: redis.Redis,
    write_key: str,
) -> Iterator[Callable[..., Shop]]:
    """Give a function that opens the shop on a Millrace with the given settings."""
    from dataclasses import replace

    from app.database import db
    from app.factory import create_app

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    opened: list[tuple[Shop, Any, threading.Thread, Flask]] = []

    def start(**changes: Any) -> Shop:
        app = create_app(replace(settings, **changes))
        shop = Shop(app.wsgi_app, engine=engine, drainer=drainer, key=write_key)
        server = make_server("127.0.0.1", 0, shop.answer, threaded=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        shop.open(
            f"http://127.0.0.1:{server.server_port}", chromium.new_context(user_agent=USER_AGENT)
        )
        opened.append((shop, server, thread, app))
        return shop

    yield start
    for shop, server, thread, app in opened:
        shop.close()
        server.shutdown()
        server.server_close()
        thread.join()
        app.extensions["millrace"].close()
        with app.app_context():
            db.engine.dispose()


@pytest.fixture
def shop(open_shop: Callable[..., Shop]) -> Shop:
    """Open the shop on a Millrace as it comes."""
    return open_shop()
