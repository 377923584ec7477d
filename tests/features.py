"""Run the requests and commands of docs/features.md against an installation, block by block.

The test compares what comes out with what the page shows; `rewrite` puts the real output into the
page. `…` stands for a value that differs from run to run, or for the rest of a list or an object.
A block `env` sets variables for the blocks after it, an empty one takes them back. The line
`Show: …` in a request names headers of the answer to show.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.doors import OUR_DOORS

PAGE = Path(__file__).parents[1] / "docs" / "features.md"
REST = "…"
WIDTH = 110

_BLOCK = re.compile(
    r"^```(http|console|env)\n(.*?)^```\n(?:```(json|text)\n(.*?)^```\n)?", re.M | re.S
)
_NAME = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Step:
    """One request or command of the page, or its variables, and the output that stands there."""

    kind: str
    asked: str
    shown: str
    span: tuple[int, int]

    @property
    def title(self) -> str:
        """Give the first line: the request, or the command."""
        return self.asked.partition("\n")[0]


def read_steps(page: str) -> list[Step]:
    """List the requests and commands of a page in order."""
    steps = []
    for match in _BLOCK.finditer(page):
        kind, asked, answer, shown = match.groups()
        if kind == "console":
            asked, _, shown = asked.partition("\n")
        elif kind == "env":
            shown = ""
        elif answer is None:
            raise ValueError(f"no answer stands behind {asked.splitlines()[0]!r}")
        steps.append(Step(kind, asked.strip("\n"), shown.rstrip("\n"), match.span()))
    return steps


@dataclass(slots=True)
class Runner:
    """Carry out steps one after the other, as one visitor would.

    `settle` is called after each request: it stores what waits and does what was enqueued. Names in
    braces stand for values of the answers before.
    """

    client_with: Callable[[dict[str, str]], FlaskClient]
    token: dict[str, str]
    command: Callable[[str], str]
    settle: Callable[[], None]
    known: dict[str, str] = field(default_factory=dict)
    client: FlaskClient | None = None

    def run(self, step: Step) -> str:
        """Give the real output of a step: status and body, or what the command printed."""
        asked = _NAME.sub(lambda name: self.known.get(name[1], name[0]), step.asked)
        if step.kind == "env":
            self.client = self.client_with(dict(line.split("=", 1) for line in asked.split()))
            return ""
        if step.kind == "console":
            printed = self.command(asked.removeprefix("$ "))
            return "\n".join(line.rstrip() for line in printed.splitlines()).strip("\n")
        answer, names = self._request(asked)
        self.settle()
        self._remember(answer)
        if names:
            shown = [f"{name}: {answer.headers.get(name, '')}" for name in names]
            return "\n".join([str(answer.status_code), *shown])
        if answer.mimetype.endswith("json") and answer.mimetype != "application/x-ndjson":
            return f"{answer.status_code}\n{write_json(answer.json)}"
        return f"{answer.status_code}\n{answer.text.rstrip()}".replace("\r\n", "\n").rstrip()

    def _request(self, asked: str) -> tuple[TestResponse, list[str]]:
        first, _, rest = asked.partition("\n")
        method, path = first.split(" ", 1)
        # Ingestion needs no token, and takes a Bearer token for one of the host application.
        headers = {} if method == "POST" and path in OUR_DOORS else dict(self.token)
        while (found := re.match(r"([A-Za-z-]+): (.*)\n?", rest)) is not None:
            headers[found[1]] = found[2]
            rest = rest[found.end() :]
        body = rest.strip("\n")
        if body and "Content-Type" not in headers:
            headers["Content-Type"] = "application/json"
        if headers.get("Authorization") == "none":
            del headers["Authorization"]
        names = [name for name in headers.pop("Show", "").split(", ") if name]
        self.client = self.client or self.client_with({})
        answer = self.client.open(path, method=method, headers=headers, data=body.encode() or None)
        return answer, names

    def _remember(self, answer: TestResponse) -> None:
        found = answer.json if answer.mimetype == "application/json" else None
        if isinstance(found, dict):
            self.known |= {name: value for name, value in found.items() if isinstance(value, str)}


def agrees(shown: str, real: str) -> bool:
    """Tell whether the page shows what came out, `…` standing for anything."""
    status, _, body = shown.partition("\n")
    real_status, _, real_body = real.partition("\n")
    try:
        wanted, found = orjson.loads(body), orjson.loads(real_body)
    except orjson.JSONDecodeError:
        pattern = ".*".join(re.escape(part) for part in shown.split(REST))
        return re.fullmatch(pattern, real, re.S) is not None
    return status == real_status and _agrees(wanted, found)


def _agrees(wanted: Any, found: Any) -> bool:
    if wanted == REST:
        return True
    if isinstance(wanted, dict) and isinstance(found, dict):
        named = wanted.keys() - {REST}
        whole = REST in wanted or wanted.keys() == found.keys()
        return whole and named <= found.keys() and all(_agrees(wanted[k], found[k]) for k in named)
    if isinstance(wanted, list) and isinstance(found, list):
        if wanted and wanted[-1] == REST:
            wanted, found = wanted[:-1], found[: len(wanted) - 1]
        return len(wanted) == len(found) and all(map(_agrees, wanted, found))
    return bool(wanted == found)


def masked(shown: str, real: str) -> str:
    """Give the real output with `…` wherever the page had it."""
    _, _, body = shown.partition("\n")
    status, _, real_body = real.partition("\n")
    try:
        return f"{status}\n{write_json(_mask(orjson.loads(body), orjson.loads(real_body)))}"
    except orjson.JSONDecodeError:
        return shown if REST in shown and agrees(shown, real) else real


def _mask(wanted: Any, found: Any) -> Any:
    if wanted == REST:
        return REST
    if isinstance(wanted, dict) and isinstance(found, dict):
        kept = {
            key: _mask(wanted.get(key), value)
            for key, value in found.items()
            if REST not in wanted or key in wanted
        }
        return kept | ({REST: REST} if REST in wanted else {})
    if isinstance(wanted, list) and isinstance(found, list):
        cut = bool(wanted) and wanted[-1] == REST
        items = found[: len(wanted) - 1] if cut else found
        pairs = zip(items, wanted + [None] * len(items), strict=False)
        return [_mask(old, item) for item, old in pairs] + ([REST] if cut else [])
    return found


def write_json(value: Any, indent: int = 0) -> str:
    """Write JSON for people: what fits stands on one line."""
    line = _one_line(value)
    if len(line) + indent <= WIDTH or not isinstance(value, dict | list) or not value:
        return line
    pad = " " * (indent + 2)
    if isinstance(value, dict):
        parts = [f"{pad}{_one_line(k)}: {write_json(v, indent + 2)}" for k, v in value.items()]
    else:
        parts = [f"{pad}{write_json(item, indent + 2)}" for item in value]
    left, right = ("{", "}") if isinstance(value, dict) else ("[", "]")
    return f"{left}\n" + ",\n".join(parts) + f"\n{' ' * indent}{right}"


def _one_line(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_one_line(k)}: {_one_line(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_one_line, value)) + "]"
    return orjson.dumps(value).decode()


def rewrite(page: str, outputs: Iterator[str]) -> str:
    """Give the page with the real outputs in the place of those it shows."""
    pieces, end = [], 0
    for step in read_steps(page):
        real = masked(step.shown, next(outputs)) if step.shown else next(outputs)
        kind = "json" if real.partition("\n")[2][:1] in ("{", "[") else "text"
        pieces.append(page[end : step.span[0]])
        if step.kind == "env":
            pieces.append(page[slice(*step.span)])
        elif step.kind == "console":
            body = f"{real}\n" if real else ""
            pieces.append(f"```console\n{step.asked}\n{body}```\n")
        else:
            pieces.append(f"```http\n{step.asked}\n```\n```{kind}\n{real}\n```\n")
        end = step.span[1]
    return "".join(pieces) + page[end:]
