"""Drive the SDKs for browsers: their released bundles in a real Chromium, on a page of a shop."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.chromium import ARGUMENTS, USER_AGENT, find_chromium
from tests.conformance.proxy import Proxy

PAGES = Path(__file__).parent / "drivers" / "browser"
CHROMIUM_ARGUMENTS = [
    *ARGUMENTS,
    # Neither does a person's browser say that a program drives it.
    "--disable-blink-features=AutomationControlled",
    # Not by Playwright's emulation: what a page sends as it goes would not have it.
    f"--user-agent={USER_AGENT}",
]
CALM_MS = 1000


@contextmanager
def running_shop(packages: Path) -> Iterator[str]:
    """Serve the pages, and the bundles in the folder of packages; give the address."""

    class Shop(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def translate_path(self, path: str) -> str:
            path = path.partition("?")[0].lstrip("/")
            return str((packages if path.startswith("node_modules/") else PAGES) / path)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Shop)) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def drive_page(
    url: str,
    proxy: Proxy,
    scenario: dict[str, Any],
    marks: Sequence[str],
    *,
    within_s: float,
) -> list[float]:
    """Do the steps on a page and wait until their events are settled.

    With `leaves` the visitor goes on to the shop's next page a tenth of a second after the last.
    Gives when each step was begun, and when all were done.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=CHROMIUM_ARGUMENTS
        )
        try:
            context = browser.new_context()
            # The page knows its address only once it is open.
            context.add_init_script(f"sessionStorage.scenario = {json.dumps(json.dumps(scenario))}")
            page = context.new_page()
            page.goto(url)
            page.wait_for_function("() => Boolean(window.perform)")
            if scenario.get("leaves"):
                # First visits are over, and with them what the SDK asks before it starts.
                page.wait_for_load_state("networkidle")
            times = page.evaluate(_PERFORM, scenario["steps"])
            if scenario.get("leaves"):
                page.goto(f"{url}?next")
                proxy.wait_until_accepted(marks, within_s=within_s)
            else:
                proxy.wait_until_settled(marks, within_s=within_s)
            # What is sent once too often comes now.
            page.wait_for_timeout(CALM_MS)
            return [time / 1000 for time in times]
        finally:
            browser.close()


# A person does not do two things in one moment, and SDKs begin to send in the next.
_PERFORM = """async (steps) => {
  const times = [];
  for (const step of steps) {
    times.push(Date.now());
    window.perform(step);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  times.push(Date.now());
  return times;
}"""
