"""Traffic that is not people: told by its User-Agent, and stored with a reason to leave it out.

The patterns are those of the crawler-user-agents project. It lists HTTP libraries and services
too, since a web site seldom wants their visits; but these are what back ends send the events of
their people with, so they are left out here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from crawleruseragents import CRAWLER_USER_AGENTS_DATA

BOT, HEADLESS = "bot", "headless"

#: Longer ones tell nothing more, and would take longer to look through.
MAX_CHARS = 512
_LIBRARY, _AUTOMATION = "http-library", "browser-automation"
#: Shops and services that pass on what their customers' people did; parts of the patterns.
_SERVICES = (
    "HubSpot", "Klaviyo", "Make", "SendGrid", "Shopify", "Stripe", "WordPress", "Zapier",
)  # fmt: skip
#: Browsers without a window that the list does not know.
_WINDOWLESS = (r"\bjsdom/", r"\bCypress/", "CasperJS", "HtmlUnit", "Nightmare", "SlimerJS")
#: A pattern is tried where so many first characters of a word that it has are in the text. Trying
#: all of them takes ten times as long, and longest on a User-Agent that was made for that.
_HEAD = 4
#: What parts the words of a pattern: groups, sets, and characters that may be missing.
_BETWEEN = re.compile(r"\((?:[^()\\]|\\.)*\)|\[[^\]]*\][?*+]?|.[?*]|.\{[^}]*\}|\\.|[$^.+]")
_ESCAPED = re.compile(r"\\([^A-Za-z0-9])")
_SPECIAL = re.compile(r"[\\^$.|?*+()\[\]{}]")


class _Patterns:
    """Patterns to look for in a text. Nearly all of them are mere words."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._by_head: dict[str, list[Callable[[str], bool]]] = {}
        for pattern in patterns:
            # Either side of a pattern such as Chirp|gotosocial is one by itself.
            for part in [pattern] if "(" in pattern else pattern.split("|"):
                word = max(_BETWEEN.split(part), key=len)
                self._by_head.setdefault(word[:_HEAD], []).append(_finder(part))
        self._heads = frozenset(self._by_head)
        self._short = [head for head in self._heads if len(head) < _HEAD]

    def are_in(self, text: str, pieces: set[str]) -> bool:
        """Tell whether a text, cut into all its pieces of _HEAD characters, has a pattern."""
        heads = [*(self._heads & pieces), *(head for head in self._short if head in text)]
        return any(is_in(text) for head in heads for is_in in self._by_head[head])


def _finder(pattern: str) -> Callable[[str], bool]:
    """Give what tells whether a text has a pattern."""
    if _SPECIAL.search(_ESCAPED.sub("", pattern)):
        return lambda text: re.search(pattern, text) is not None
    word = _ESCAPED.sub(r"\1", pattern)
    return lambda text: word in text


def _listed(*, automation: bool) -> list[str]:
    return [
        crawler["pattern"]
        for crawler in CRAWLER_USER_AGENTS_DATA
        if _LIBRARY not in crawler["tags"]
        and (_AUTOMATION in crawler["tags"]) is automation
        and not crawler["pattern"].startswith(_SERVICES)
    ]


#: Regular expressions, by why reports leave out whatever User-Agent has one of them.
PATTERNS = {
    HEADLESS: [*_listed(automation=True), *_WINDOWLESS],
    BOT: _listed(automation=False),
}
_AGENTS = {reason: _Patterns(patterns) for reason, patterns in PATTERNS.items()}


def exclusion_of(user_agent: str | None) -> str | None:
    """Say why reports leave out what this User-Agent sends: `headless`, `bot`, or None."""
    return _look_up(user_agent[:MAX_CHARS]) if user_agent else None


@lru_cache(maxsize=4096)
def _look_up(user_agent: str) -> str | None:
    pieces = {user_agent[n : n + _HEAD] for n in range(len(user_agent) - _HEAD + 1)}
    for reason, patterns in _AGENTS.items():
        if patterns.are_in(user_agent, pieces):
            return reason
    return None
