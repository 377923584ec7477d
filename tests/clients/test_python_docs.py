"""The examples of the Python client's documentation run, against a real Millrace."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import millrace_client
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(
    server: Any, write_key: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Any]]:
    """Give a function that runs a document's blocks one after the other; gives their names."""
    monkeypatch.setattr("millrace_client.default._client", None)
    for name in ("host", "write_key"):
        monkeypatch.setattr(millrace_client, name, getattr(millrace_client, name))
    monkeypatch.setattr(millrace_client, "linger_s", 60)

    def execute(document: str) -> dict[str, Any]:
        text = (ROOT / document).read_text()
        names: dict[str, Any] = {"__name__": "example"}
        for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
            code = block.replace("https://events.example.com", server.url)
            exec(compile(code.replace("wk_…", write_key), document, "exec"), names)
        return names

    yield execute
    millrace_client.shutdown()


def test_the_page_runs_as_it_stands(run, stored, capsys) -> None:
    names = run("docs/python-client.md")
    names["app"].test_client().get("/products/sku-9")
    assert millrace_client.flush()

    types = Counter(event["event_type"] for event in stored())

    page = (ROOT / "docs/python-client.md").read_text()
    told = set(re.findall(r"^\| `\w+\(.*\)` \| `(\w+)` \|", page, re.MULTILINE))
    assert {"product_list_view", "purchase", "rec_clicked"} < told
    assert told <= set(types)
    assert (types["newsletter_signup"], types["purchase"]) == (2, 1)
    output = capsys.readouterr().out
    assert "Stats(queued=0, sent=16, rejected={}, dropped={}" in output
    assert "the server refuses it: quantity: " in output


def test_the_readme_runs_as_it_stands(run, stored) -> None:
    names = run("clients/python/README.md")
    names["app"].test_client().get("/products/sku-9")
    assert millrace_client.flush()

    assert Counter(event["event_type"] for event in stored()) == {
        "newsletter_signup": 1,
        "product_view": 2,
        "purchase": 1,
        "page_view": 1,
    }
