"""A real Chromium, a real Millrace behind a shop's pages, and a network that can be made bad."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask
from sqlalchemy import Engine
from werkzeug.serving import make_server

from settings import Settings
from tasks.ingest import Drainer
from tests.browser.shop import Shop

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
#: What people's browsers say; the default says that nobody watches.
AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/140.0.0.0 Safari/537.36"
)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Start Chromium once."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"there is no Chromium at {CHROMIUM}")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
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
        shop.open(f"http://127.0.0.1:{server.server_port}", chromium.new_context(user_agent=AGENT))
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
