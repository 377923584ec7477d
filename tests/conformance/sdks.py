"""The rows of the table: the SDKs, which versions, how each is run, and what it cannot do."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cli.stack import ROOT

LISTS = Path(__file__).parent / "lists"
CLIENTS = ROOT / "clients"
PYTHON, NODE, BROWSER = "python", "node", "browser"


@dataclass(frozen=True, slots=True)
class Sdk:
    """A row: a released package of a committed list, driven by a script in its own language."""

    package: str
    runtime: str
    driver: str
    #: The list that pins it, of several for Python: two versions cannot share an environment.
    listed_in: str = "package"
    #: One of several ways in which the SDK sends, given to the driver.
    mode: str = ""
    #: Behaviours that it cannot have, with the reason.
    lacks: Mapping[str, str] = field(default_factory=dict, hash=False)
    #: Its calls take the time of what happened before.
    takes_time: bool = True
    #: It comes from clients/ beside the server.
    is_ours: bool = False

    @property
    def slug(self) -> str:
        """Give the row's name for ids and marks."""
        return re.sub(r"\W+", "-", f"{self.package} {self.version} {self.mode}").strip("-")

    @property
    def label(self) -> str:
        """Give the row's head."""
        return f"{self.package} {self.version}" + (f", {self.mode}" if self.mode else "")

    @property
    def version(self) -> str:
        """Read the version that the list pins, or that our own client has."""
        if self.is_ours:
            return _own_version(self.runtime)
        if self.runtime != PYTHON:
            listed = json.loads((LISTS / f"{self.listed_in}.json").read_text())
            return str(listed["dependencies"][self.package])
        text = (LISTS / f"{self.listed_in}.txt").read_text()
        found = re.search(rf"^{re.escape(self.package)}==(\S+)", text, re.MULTILINE)
        assert found, f"{self.package} is not in {self.listed_in}.txt"
        return found[1]


def _own_version(runtime: str) -> str:
    if runtime == PYTHON:
        text = (CLIENTS / "python" / "src" / "millrace_client" / "version.py").read_text()
        return text.rpartition("= ")[2].strip().strip('"')
    return str(json.loads((CLIENTS / "javascript" / "package.json").read_text())["version"])


_SENDS_NOTHING = "the SDK writes messages; your HTTP client sends them, and again"
_NO_PAGE = {"unload": "no page"}
_PAGE = {"shutdown": "a page has no end of process, see “page left”"}
_NO_GZIP = {"gzip": "the SDK does not pack"}
_BEACON = dict.fromkeys(("error", "unavailable", "dropped"), "a beacon hears no answer")
_CLOUD_EVENTS = {
    **dict.fromkeys(("gzip", "error", "unavailable", "shutdown"), _SENDS_NOTHING),
    **_NO_PAGE,
}

_SEGMENT_JS, _RUDDER_JS = "@segment/analytics-next", "@rudderstack/analytics-js"

SDKS = (
    *(
        Sdk("segment-analytics-python", PYTHON, "segment_driver.py", generation, lacks=_NO_PAGE)
        for generation in ("segment-2.3", "segment-2.4")
    ),
    Sdk("rudder-sdk-python", PYTHON, "rudder_driver.py", "rudder", lacks=_NO_PAGE),
    *(
        Sdk("posthog", PYTHON, "posthog_driver.py", "posthog", mode=mode, lacks=_NO_PAGE)
        for mode in ("", "v1")
    ),
    Sdk("@segment/analytics-node", NODE, "segment.mjs", lacks={**_NO_GZIP, **_NO_PAGE}),
    Sdk("@rudderstack/rudder-sdk-node", NODE, "rudder.mjs", lacks=_NO_PAGE),
    Sdk("posthog-node", NODE, "posthog.mjs", lacks=_NO_PAGE),
    *(
        Sdk(_SEGMENT_JS, BROWSER, "segment.html", mode=mode, lacks={**_PAGE, **_NO_GZIP})
        for mode in ("", "batching")
    ),
    Sdk(_RUDDER_JS, BROWSER, "rudder.html", lacks={**_PAGE, **_NO_GZIP}),
    Sdk(_RUDDER_JS, BROWSER, "rudder.html", mode="beacon", lacks={**_PAGE, **_NO_GZIP, **_BEACON}),
    Sdk("posthog-js", BROWSER, "posthog.html", lacks=_PAGE),
    *(
        Sdk(
            "cloudevents",
            PYTHON,
            "cloudevents_driver.py",
            "cloudevents",
            mode=mode,
            lacks=_CLOUD_EVENTS,
        )
        for mode in ("binary", "structured")
    ),
    Sdk("cloudevents", NODE, "cloudevents.mjs", lacks=_CLOUD_EVENTS),
    Sdk("millrace-client", PYTHON, "millrace_driver.py", lacks=_NO_PAGE, is_ours=True),
    Sdk(
        "@millrace/tracker",
        BROWSER,
        "millrace.html",
        lacks={**_PAGE, **_NO_GZIP, "prefix": "it always sends there"},
        takes_time=False,
        is_ours=True,
    ),
)
