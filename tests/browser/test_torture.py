"""Whatever happens to tabs and network, each event is stored once or counted as dropped."""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.browser.shop import SKIP_PAUSE, Shop, settle, storm, try_once, waiting

MAKE = """([first, count]) => {
    for (let number = first; number < first + count; number++)
        millrace.track("torture", { number });
}"""


@dataclass
class Visitor:
    """Make numbered events, and remember how many."""

    shop: Shop
    made: int = 0

    def make(self, tab: Any, count: int) -> None:
        """Track events in a tab."""
        tab.evaluate(MAKE, [self.made, count])
        self.made += count


@dataclass(frozen=True)
class Outcome:
    """What became of the events of one torture."""

    name: str
    made: int
    stored: int
    twice: int
    dropped: dict[str, int]
    requests: int
    failed: int


OUTCOMES: list[Outcome] = []


@pytest.fixture(scope="module", autouse=True)
def table(request: pytest.FixtureRequest) -> Iterator[None]:
    """Print the outcomes as the table of docs/tracker.md."""
    yield
    capture = request.config.pluginmanager.getplugin("capturemanager")
    rows = ["", "| torture | made | stored | twice | dropped | requests, of which failed |"]
    rows += ["|---|---|---|---|---|---|"]
    for one in OUTCOMES:
        dropped = ", ".join(f"{count} {why}" for why, count in one.dropped.items()) or "0"
        rows.append(
            f"| {one.name} | {one.made} | {one.stored} | {one.twice} | {dropped} "
            f"| {one.requests}, {one.failed} |"
        )
    with capture.global_and_fixture_disabled():
        sys.stdout.write("\n".join(rows) + "\n")


@pytest.fixture
def visitor(shop: Shop) -> Visitor:
    return Visitor(shop)


def judge(visitor: Visitor, name: str) -> Outcome:
    """Count what became of the events; none may be missing, and none there twice."""
    shop = visitor.shop
    events = shop.stored()
    numbers = Counter(e.properties["number"] for e in events if e.event_type == "torture")
    dropped: Counter[str] = Counter()
    for event in events:
        if event.event_type == "tracker_dropped":
            dropped[event.properties["reason"]] += event.properties["count"]
    failed = sum(way != "pass" or status >= 400 for _, way, status in shop.requests)
    outcome = Outcome(
        name,
        made=visitor.made,
        stored=len(numbers),
        twice=sum(numbers.values()) - len(numbers),
        dropped=dict(sorted(dropped.items())),
        requests=len(shop.requests),
        failed=failed,
    )
    OUTCOMES.append(outcome)
    assert outcome.twice == 0
    assert outcome.stored + dropped.total() == outcome.made
    return outcome


def recover(visitor: Visitor) -> Any:
    """Make the weather fair and come back on a new page, until nothing waits."""
    visitor.shop.weather = lambda number: "pass"
    tab = visitor.shop.visit()
    settle(tab)
    return tab


def test_events_of_an_offline_while_are_sent_when_the_network_is_back(visitor: Visitor) -> None:
    tab = visitor.shop.visit()
    visitor.shop.context.set_offline(True)
    visitor.make(tab, 60)
    assert waiting(tab) == 60

    visitor.shop.context.set_offline(False)
    tab.wait_for_function("!Object.keys(localStorage).some((key) => key.startsWith('mr_q'))")

    assert judge(visitor, "offline for a while").dropped == {}


def test_a_killed_tab_loses_nothing(visitor: Visitor) -> None:
    for _ in range(3):
        tab = visitor.shop.visit()
        visitor.make(tab, 9)
        kill(tab)
    recover(visitor)

    assert judge(visitor, "tab killed, three times").dropped == {}


def kill(tab: Any) -> None:
    """Have the browser kill a tab's process in place, as a system does that needs the memory."""
    from playwright.sync_api import Error

    with tab.expect_event("crash"), pytest.raises(Error, match="ABORTED"):
        tab.goto("chrome://crash")
    tab.close()


def test_reloads_send_again_and_the_server_counts_once(visitor: Visitor) -> None:
    tab = visitor.shop.visit()
    for _ in range(5):
        visitor.make(tab, 8)
        tab.reload()
    settle(tab)

    outcome = judge(visitor, "reload, five times")
    assert outcome.dropped == {}
    assert len(visitor.shop.sent) > 5


@pytest.mark.parametrize("locks", ["with locks", "without locks"])
def test_two_tabs_share_the_queue_in_a_storm(visitor: Visitor, locks: str) -> None:
    if locks == "without locks":
        visitor.shop.context.add_init_script(
            "Object.defineProperty(navigator, 'locks', { value: undefined })"
        )
    visitor.shop.weather = storm(seed=2)
    first, second = visitor.shop.visit(flush_ms="20"), visitor.shop.visit()
    for _ in range(25):
        visitor.make(first, 3)
        visitor.make(second, 4)
        second.evaluate(SKIP_PAUSE)
    first.close()
    second.close()
    # A tab that is gone keeps its lease for up to half a minute.
    visitor.shop.visit().evaluate("delete localStorage.mr_l")
    recover(visitor)

    outcome = judge(visitor, f"two tabs at once, {locks}, 30 % of requests failing")
    assert outcome.dropped == {}


def test_a_third_of_the_requests_may_fail(visitor: Visitor) -> None:
    visitor.shop.weather = storm(seed=3)
    tab = visitor.shop.visit(flush_at="1000")
    for _ in range(40):
        visitor.make(tab, 12)
        try_once(tab)
    recover(visitor)

    outcome = judge(visitor, "30 % of requests failing")
    assert outcome.dropped == {}
    assert outcome.failed > 5


def test_a_page_may_go_away_in_the_middle_of_a_flush(visitor: Visitor) -> None:
    shop = visitor.shop
    for _ in range(3):
        tab = shop.visit()
        settle(tab)
        shop.gate.clear()
        with tab.expect_request("**/mr/in*"):
            visitor.make(tab, 12)
        visitor.make(tab, 5)
        tab.goto("about:blank")
        shop.gate.set()
        tab.close()
    recover(visitor)

    assert judge(visitor, "page left during a flush, three times").dropped == {}


def test_a_full_local_storage_costs_nothing_while_the_page_lives(visitor: Visitor) -> None:
    visitor.shop.weather = storm(seed=5)
    tab = visitor.shop.visit()
    tab.evaluate(
        """() => {
            for (let size = 2 ** 22; size; size >>= 1)
                try { for (let n = 0; ; n++) localStorage["junk" + size + n] = "x".repeat(size); }
                catch {}
        }"""
    )
    for _ in range(8):
        visitor.make(tab, 9)
        tab.evaluate("() => millrace.flush()")
    assert waiting(tab) == 0
    visitor.shop.weather = lambda number: "pass"
    tab.evaluate(
        f"""async () => {{
            for (let round = 0; round < 20; round++) {{
                {SKIP_PAUSE};
                await millrace.flush();
                await new Promise((resolve) => setTimeout(resolve, 10));
            }}
        }}"""
    )

    assert judge(visitor, "localStorage full, 30 % of requests failing").dropped == {}


def test_a_cleared_local_storage_costs_nothing_while_the_page_lives(visitor: Visitor) -> None:
    first, second = visitor.shop.visit(flush_ms="60000"), visitor.shop.visit()
    visitor.make(first, 7)
    first.evaluate("localStorage.clear()")
    visitor.make(second, 4)
    first.evaluate("localStorage.clear()")
    visitor.make(first, 1)
    settle(first)
    settle(second)

    assert judge(visitor, "localStorage cleared by page and by another tab").dropped == {}


def test_a_server_that_takes_little_at_once_gets_less(
    open_shop: Callable[..., Shop],
) -> None:
    visitor = Visitor(open_shop(max_request_bytes=4096))
    tab = visitor.shop.visit()
    visitor.make(tab, 50)
    tab.evaluate("millrace.track('torture', { text: 'x'.repeat(3000) })")
    visitor.made += 1
    settle(tab)

    outcome = judge(visitor, "413 over 4 KB a request, one event over 2 KB")
    assert outcome.dropped == {"too_large": 1}
    assert 413 in {status for _, _, status in visitor.shop.requests}


def test_what_no_longer_fits_into_the_queue_is_counted(visitor: Visitor) -> None:
    tab = visitor.shop.visit(max_events="20")
    visitor.shop.context.set_offline(True)
    visitor.make(tab, 55)
    visitor.shop.context.set_offline(False)
    settle(tab)

    assert judge(visitor, "queue of 20 full while offline").dropped == {"queue_full": 35}


def test_what_cannot_be_sent_is_counted_by_reason(visitor: Visitor) -> None:
    shop = visitor.shop
    shop.head = """<script>
        function change(event) {
            if (event.number === 1) throw new Error("no");
            return event.number === 2 ? null : { ...event, event_id: "same", note: "seen" };
        }
    </script>"""
    tab = shop.visit(before_send="change")
    visitor.make(tab, 6)
    tab.evaluate(
        """() => {
            millrace.track("torture", { number: 100, value: "red" });
            millrace.track("torture", { number: 101, amount: 10n });
            const loop = {}; loop.loop = loop;
            millrace.track("torture", { number: 102, loop });
            const put = (days, number, text) => {
                const hex = (Date.now() + days * 864e5).toString(16).padStart(12, "0");
                const id = hex.slice(0, 8) + "-" + hex.slice(8) + "-7000-8000-00000000000" + number;
                const event = { event_type: "torture", event_id: id, properties: { number } };
                localStorage["mr_q" + id] = text || JSON.stringify(event);
            };
            put(0, 1, "{half");
            put(-8, 2);
            put(3, 3);
        }"""
    )
    # One more was dropped by the hook itself, as the site wished.
    visitor.made += 6 - 1
    settle(tab)

    outcome = judge(visitor, "refused, unreadable, or broken by before_send")
    assert outcome.dropped == {
        "before_send": 1,
        "corrupt": 1,
        "expired": 1,
        "in_future": 1,
        "invalid": 3,
    }


def test_a_wrong_key_is_final_and_the_loss_is_told_once_the_key_is_right(visitor: Visitor) -> None:
    tab = visitor.shop.visit(key="wk_wrong")
    visitor.make(tab, 14)
    tab.wait_for_function("Object.values(localStorage).some((text) => /invalid_key/.test(text))")
    tab.close()
    visitor.shop.attributes["data-key"] = visitor.shop.key
    visitor.make(recover(visitor), 3)
    recover(visitor)

    assert sum(judge(visitor, "wrong write key, later right").dropped.values()) == 14


@pytest.mark.parametrize("seed", [11, 12])
def test_everything_at_once(visitor: Visitor, seed: int) -> None:
    shop, dice = visitor.shop, random.Random(seed)
    shop.weather = storm(seed)
    shop.attributes["data-flush-ms"] = "30"
    tabs = [shop.visit(), shop.visit()]
    for _ in range(60):
        number = dice.randrange(len(tabs))
        tab = tabs[number]
        match dice.randrange(8):
            case 0:
                tab.reload()
            case 1:
                tab.goto(f"{shop.url}/other")
            case 2:
                tab.close()
                tabs[number] = shop.visit()
            case 3 if dice.random() < 0.5:
                kill(tab)
                tabs[number] = shop.visit()
            case 4:
                shop.context.set_offline(dice.random() < 0.5)
                shop.context.set_offline(False)
            case _:
                visitor.make(tab, dice.randrange(1, 14))
    for tab in tabs:
        tab.close()
    recover(visitor)

    outcome = judge(visitor, f"everything at once, seed {seed}")
    assert outcome.dropped == {}
