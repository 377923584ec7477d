"""Where a visitor was, in the words in which SDKs say it."""

from __future__ import annotations

from typing import Any

from datasets.histories.cells import read_text, without_empty

CAMPAIGN = {
    "source": "utm_source",
    "medium": "utm_medium",
    "name": "utm_campaign",
    "content": "utm_content",
    "term": "utm_term",
}
#: Their words for what is a desktop to us.
_DEVICES = {"laptop": "desktop", "ultra-wide": "desktop"}


def read_campaign(row: dict[str, Any]) -> dict[str, Any]:
    """Give the campaign that the columns utm_… name."""
    return without_empty({name: read_text(row.get(column)) for name, column in CAMPAIGN.items()})


def read_page(
    host: str | None,
    path: str | None,
    *,
    query: str | None = None,
    title: str | None = None,
    referrer: str | None = None,
) -> dict[str, Any]:
    """Give a page as SDKs describe it: path, url, title, search and referrer."""
    search = f"?{query}" if query else ""
    url = f"https://{host}{path or ''}{search}" if host else None
    page = {"path": path, "url": url, "title": title, "search": search, "referrer": referrer}
    return without_empty(page)


def read_device(value: Any) -> str | None:
    """Give a device type in our words; another one stays as it is."""
    text = read_text(value)
    return None if text is None else _DEVICES.get(text.lower(), text.lower())
