"""The Chromium of this machine, for the tests that drive one."""

from __future__ import annotations

import shutil

_NAMES = ("chromium", "chromium-browser", "google-chrome")
#: What people's browsers say; the default says that nobody watches, and such visits are excluded.
USER_AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/140.0.0.0 Safari/537.36"
)
#: Root may not use its sandbox, and containers have little shared memory.
ARGUMENTS = ("--no-sandbox", "--disable-dev-shm-usage")


def find_chromium() -> str | None:
    """Find the browser, None when this machine has none."""
    return next(filter(None, map(shutil.which, _NAMES)), None)
