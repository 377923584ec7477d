"""What the tracker does on a page, as people and sites see it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from tests.browser.packages import CLIENT, ensure_packages
from tests.browser.shop import Shop, settle, try_once, waiting


def of_type(shop: Shop, name: str) -> list[Any]:
    return [event for event in shop.stored() if event.event_type == name]


def test_a_page_view_says_who_where_and_with_what(shop: Shop) -> None:
    tab = shop.visit("/lamps?page=2", auto="true")
    settle(tab)

    (event,) = shop.stored()
    assert (event.event_type, event.source, event.device_type) == ("page_view", "web", "desktop")
    assert event.properties == {"path": "/lamps"}
    assert event.context["page"] == {
        "url": f"{shop.url}/lamps?page=2",
        "referrer": "",
        "title": "Shop",
    }
    assert event.anonymous_id
    assert event.session_id
    assert event.user_id is None
    assert (str(event.event_id)[14], event.excluded, event.clock) == ("7", None, None)
    assert event.sent_at is not None


def test_no_request_asks_before_it_sends_from_another_origin(shop: Shop) -> None:
    shop.url, own = shop.url.replace("127.0.0.1", "localhost"), shop.url
    tab = shop.visit(endpoint=f"{own}/mr/in")
    tab.evaluate("millrace.track('far', {})")
    settle(tab)

    assert [event.event_type for event in shop.stored()] == ["far"]
    assert [method for method, _, _ in shop.requests] == ["POST"]


def test_a_tag_without_a_key_sends_none(shop: Shop) -> None:
    shop.key = ""
    tab = shop.visit()
    tab.evaluate("millrace.track('open')")
    settle(tab)

    assert [event.event_type for event in shop.stored()] == ["open"]


def test_an_automated_browser_says_so_unless_told_otherwise(shop: Shop) -> None:
    del shop.attributes["data-excluded"]
    tab = shop.visit()
    tab.evaluate("millrace.track('one')")
    settle(tab)
    tab = shop.visit(excluded="staff")
    tab.evaluate("millrace.track('two')")
    settle(tab)

    assert [event.excluded for event in shop.stored()] == ["headless", "staff"]


def test_single_page_navigation_makes_page_views(shop: Shop) -> None:
    tab = shop.visit("/a", auto="true")
    tab.evaluate(
        """() => {
            history.pushState({}, "", "/b");
            history.replaceState({ scroll: 1 }, "", "/b");
            history.pushState({}, "", "/b#there");
            history.replaceState({}, "", "/c?q=1");
        }"""
    )
    tab.go_back()
    tab.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    settle(tab)

    *views, restored = shop.stored()
    assert restored.properties["path"] == "/b"
    assert [view.properties["path"] for view in views] == ["/a", "/b", "/c", "/b"]
    assert [view.context["page"]["referrer"] for view in views[1:]] == [
        f"{shop.url}/{path}" for path in ("a", "b", "c?q=1")
    ]


def test_elements_name_their_events(shop: Shop) -> None:
    shop.body = """<button data-event="add_to_cart" data-event-product-id="007"
        data-event-quantity="2" data-event-colour="red"><b>Buy</b></button><i>nothing</i>"""
    tab = shop.visit()
    tab.click("b")
    tab.click("i")
    settle(tab)

    (event,) = shop.stored()
    assert (event.event_type, event.product_id, event.quantity) == ("add_to_cart", "007", 2)
    assert event.properties == {"colour": "red"}


def test_shop_helpers_write_the_events_that_metrics_count(shop: Shop) -> None:
    tab = shop.visit()
    tab.evaluate(
        """() => {
            millrace.view("p1");
            millrace.click("p1", { list: "search" });
            millrace.favorite("p1");
            millrace.favourite("p1");
            millrace.unfavorite("p1");
            millrace.addToCart("p1", { quantity: 3 });
            millrace.removeFromCart("p1", { quantity: 1 });
            millrace.purchase([{ product_id: "p1", quantity: 2, value: 9.5 }], { order_id: "o1" });
        }"""
    )
    settle(tab)

    events = shop.stored()
    assert [event.event_type for event in events] == [
        "product_view",
        "product_click",
        "favorite_add",
        "favorite_add",
        "favorite_remove",
        "add_to_cart",
        "remove_from_cart",
        "purchase",
    ]
    assert {event.product_id for event in events[:-1]} == {"p1"}
    assert events[1].properties == {"list": "search"}
    assert events[-1].items == [{"product_id": "p1", "quantity": 2, "value": 9.5}]
    assert events[-1].properties == {"order_id": "o1"}


def test_an_order_too_large_for_one_event_goes_in_parts_and_is_one_order(shop: Shop) -> None:
    tab = shop.visit()
    tab.evaluate(
        """() => millrace.purchase(
            Array.from({ length: 90 }, (_, n) => ({ product_id: "p" + n, quantity: 1, value: n })),
            { order_id: "o1", value: 4005 })"""
    )
    settle(tab)

    events = shop.stored()
    types = Counter(event.event_type for event in events)
    assert types == {"purchase": 1, "purchase_lines": len(events) - 1}
    products = [item["product_id"] for event in events for item in event.items]
    assert sorted(products) == sorted(f"p{number}" for number in range(90))
    assert {event.properties["order_id"] for event in events} == {"o1"}
    assert [event.value for event in events if event.value is not None] == [4005]


def test_a_duration_is_measured_once_or_forgotten(shop: Shop) -> None:
    tab = shop.visit()
    tab.evaluate(
        """() => {
            const film = millrace.timed("film", { title: "Metropolis" });
            millrace.timed("never").cancel();
            film.complete({ watched: true });
            film.complete();
        }"""
    )
    settle(tab)

    (event,) = shop.stored()
    assert event.duration_ms >= 0
    assert event.properties == {"title": "Metropolis", "watched": True}


def test_products_of_a_list_are_seen_once_a_page_view(shop: Shop) -> None:
    cards = [f'<p data-product-id="p{n}" style="height:400px">{n}</p>' for n in range(8)]
    shop.body = f'<div data-list="lamps">{"".join(cards)}</div>'
    tab = shop.visit(impressions="")
    tab.wait_for_function("Object.keys(localStorage).some((key) => key.startsWith('mr_q'))")
    tab.evaluate("scrollTo(0, 1e5)")
    tab.wait_for_function("JSON.stringify(localStorage).includes('p7')")
    tab.evaluate("scrollTo(0, 0)")
    settle(tab)

    events = shop.stored()
    items = [(item["product_id"], item["position"]) for event in events for item in event.items]
    assert {event.event_type for event in events} == {"product_list_view"}
    assert len(items) == len(set(items))
    assert {("p0", 1), ("p7", 8)} <= set(items)
    assert {event.properties["list_id"] for event in events} == {"lamps"}


def test_products_that_come_later_or_change_are_seen_too(shop: Shop) -> None:
    shop.body = '<main><p data-list="a"><b data-product-id="p1">1</b></p></main>'
    tab = shop.visit(impressions="")
    seen = "JSON.stringify(localStorage).includes('{}')"
    tab.wait_for_function(seen.format("p1"))
    tab.evaluate(
        """() => document.querySelector("main").insertAdjacentHTML("beforeend",
            '<p data-list="b"><b data-product-id="p1">1</b> <b data-product-id="p2">2</b></p>')"""
    )
    tab.wait_for_function(seen.format("p2"))
    tab.evaluate("document.querySelector('b').dataset.productId = 'p3'")
    tab.wait_for_function(seen.format("p3"))
    settle(tab)

    told = [(event.properties["list_id"], event.items) for event in shop.stored()]
    assert told == [
        ("a", [{"product_id": "p1", "position": 1}]),
        ("b", [{"product_id": "p2", "position": 2}]),
        ("a", [{"product_id": "p3", "position": 1}]),
    ]


def test_a_page_may_watch_some_elements_and_stop(shop: Shop) -> None:
    shop.body = """<b data-product-id="p1">1</b><b data-product-id="p2">2</b>
        <script type="module">
        import { watchImpressions } from "/mr/impressions.mjs";
        const stop = watchImpressions(millrace, document.querySelectorAll("b"), { list_id: "x" });
        watchImpressions(millrace, [document.body])();
        window.stop = stop;
    </script>"""
    tab = shop.visit()
    tab.wait_for_function("JSON.stringify(localStorage).includes('p2')")
    tab.evaluate("() => { stop(); document.querySelector('b').dataset.productId = 'p3'; }")
    settle(tab)

    (event,) = shop.stored()
    assert [item["position"] for item in event.items] == [1, 2]
    assert event.properties == {"list_id": "x"}


def test_tabs_share_person_and_session_and_a_session_ends_by_rest(shop: Shop) -> None:
    first, second = shop.visit(), shop.visit()
    first.evaluate("millrace.track('one')")
    second.evaluate("millrace.track('two')")
    first.evaluate(
        """() => {
            localStorage.mr_s = localStorage.mr_s.split(" ")[0] + " " + (Date.now() - 18e5);
            millrace.track("three");
        }"""
    )
    settle(first)

    one, two, three = shop.stored()
    assert (one.anonymous_id, one.session_id) == (two.anonymous_id, two.session_id)
    assert three.anonymous_id == one.anonymous_id
    assert three.session_id != one.session_id


def test_a_person_is_known_on_later_pages_until_reset(shop: Shop) -> None:
    tab = shop.visit()
    tab.evaluate("millrace.identify('u1', { plan: 'gold' })")
    tab.reload()
    tab.evaluate("millrace.track('known')")
    tab.evaluate("millrace.reset()")
    tab.evaluate("millrace.track('unknown')")
    settle(tab)

    told, known, unknown = shop.stored()
    assert (told.event_type, told.user_id, told.properties) == ("identify", "u1", {"plan": "gold"})
    assert (known.user_id, unknown.user_id) == ("u1", None)
    assert known.anonymous_id == told.anonymous_id != unknown.anonymous_id
    assert known.session_id != unknown.session_id


def test_while_consent_is_pending_nothing_is_written_or_sent(shop: Shop) -> None:
    tab = shop.visit("/a", consent="pending", auto="true")
    tab.evaluate("() => { millrace.track('early'); return millrace.flush(); }")
    tab.evaluate("dispatchEvent(new Event('pagehide'))")
    assert tab.evaluate("Object.keys(localStorage)") == []
    assert shop.requests == []

    tab.evaluate("millrace.optIn()")
    settle(tab)
    later = shop.visit("/b")
    later.evaluate("millrace.track('later')")
    settle(later)

    types = [event.event_type for event in shop.stored()]
    assert types == ["page_view", "early", "page_view", "later"]


def test_who_opts_out_leaves_nothing_but_the_choice(shop: Shop) -> None:
    # Nothing is sent by itself before the choice, however slow this machine is.
    tab, other = shop.visit(flush_ms="600000"), shop.visit()
    tab.evaluate("millrace.track('before')")
    other.evaluate("millrace.track('before_too')")
    tab.evaluate("millrace.optOut()")
    tab.evaluate("() => { millrace.track('after'); return millrace.flush(); }")
    other.evaluate("() => { millrace.track('after'); return millrace.flush(); }")
    tab.reload()
    tab.evaluate("() => { millrace.track('after'); return millrace.flush(); }")

    assert tab.evaluate("({ ...localStorage })") == {"mr_c": "denied"}
    assert shop.requests == []


def test_what_was_written_before_goes_when_a_page_finds_itself_denied(shop: Shop) -> None:
    shop.visit().evaluate("millrace.track('before')")
    tab = shop.visit(consent="denied")
    tab.evaluate("() => { millrace.track('after'); return millrace.flush(); }")

    assert tab.evaluate("({ ...localStorage, ...sessionStorage })") == {}
    assert tab.evaluate("document.cookie") == ""
    assert tab.evaluate("indexedDB.databases()") == []
    assert shop.requests == []


def test_what_other_scripts_keep_is_left_alone(shop: Shop) -> None:
    theirs = {"mr_quest": '{"level":3}', "mr_q": "[1]", "mr_settings": "dark", "a": "b"}
    tab = shop.visit()
    tab.evaluate("(theirs) => Object.assign(localStorage, theirs)", theirs)
    tab.evaluate("() => { millrace.track('mine'); return millrace.flush(); }")
    tab.evaluate("millrace.optOut()")

    assert tab.evaluate("({ ...localStorage })") == {**theirs, "mr_c": "denied"}
    assert [event.event_type for event in shop.stored()] == ["mine"]


@pytest.mark.parametrize("signal", ["doNotTrack", "globalPrivacyControl"])
def test_a_browser_that_declines_is_believed_unless_told_otherwise(shop: Shop, signal: str) -> None:
    shop.context.add_init_script(f"Object.defineProperty(navigator, '{signal}', {{ value: '1' }})")
    tab = shop.visit()
    tab.evaluate("() => { millrace.track('declined'); return millrace.flush(); }")
    assert tab.evaluate("Object.keys(localStorage)") == []
    assert shop.requests == []

    tab = shop.visit(respect_dnt="false")
    tab.evaluate("millrace.track('told')")
    settle(tab)

    assert [event.event_type for event in shop.stored()] == ["told"]


def test_calls_before_the_script_is_there_are_not_lost(shop: Shop) -> None:
    snippet = (CLIENT / "README.md").read_text().split("<!-- stub -->")[1].split("```")[1]
    shop.head = snippet.removeprefix("html").split("<script async")[0]
    shop.head += "<script>millrace('track', 'early', { number: 1 })</script>"
    tab = shop.visit()
    settle(tab)

    (event,) = shop.stored()
    assert (event.event_type, event.properties) == ("early", {"number": 1})


def test_a_second_script_tag_is_idle(shop: Shop) -> None:
    shop.body = f'<script src="{shop.url}/mr/m.js" data-key="{shop.key}"></script>'
    tab = shop.visit(auto="true")
    settle(tab)

    assert len(shop.stored()) == 1


def test_nothing_that_a_site_does_makes_it_throw(shop: Shop) -> None:
    shop.context.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error('no'); } })"
    )
    errors: list[Any] = []
    tab = shop.context.new_page()
    tab.on("pageerror", lambda error: errors.append(error))
    tab.goto(shop.url)
    tab.evaluate(
        """() => {
            millrace.track();
            millrace.track(Symbol("x"));
            millrace.track("ok", null);
            millrace.track("half", { text: "\\ud83d" });
            millrace.identify({ toString() { throw new Error("no"); } });
            millrace.purchase(5);
            millrace.timed().complete(7);
            const evil = new Proxy({}, { get() { throw 1; }, ownKeys() { throw 2; } });
            const getter = { get product_id() { throw 3; } };
            const circle = {}; circle.circle = circle;
            millrace.track("huge", { text: "x".repeat(1e7) });
            const bad = [evil, getter, circle, 10n, Symbol("s"), NaN, null, undefined, [], () => {},
                { toJSON() { throw 4; } }, { items: evil }, { items: [circle, 5n] },
                { event_id: evil, occurred_at: 5n }, new Date(NaN), Object.create(null)];
            for (const first of bad) {
                for (const second of bad) {
                    millrace.timed(first, second).complete(second);
                    for (const name of ["track", "identify", "view", "addToCart", "purchase"])
                        millrace[name](first, second);
                }
                millrace.page(first);
                millrace(first);
            }
            millrace("nothing");
            document.dispatchEvent(new Event("click", { bubbles: true }));
        }"""
    )
    try_once(tab)

    assert errors == []
    assert "ok" in {event.event_type for event in shop.stored()}


def test_a_pause_that_the_server_asks_for_is_kept_by_all_tabs(shop: Shop) -> None:
    shop.weather = lambda number: "busy"
    shop.retry_after = "600"
    tab = shop.visit()
    tab.evaluate("() => { millrace.track('patient'); return millrace.flush(); }")
    other = shop.visit()
    other.evaluate("() => { millrace.track('patient'); return millrace.flush(); }")
    other.evaluate("millrace.flush()")

    for page in (tab, other):
        page.evaluate("() => { dispatchEvent(new Event('online')); return millrace.flush(); }")
        page.evaluate("dispatchEvent(new Event('pagehide'))")

    assert len(shop.requests) == 1
    assert 590_000 < tab.evaluate("localStorage.mr_p - Date.now()") <= 602_000
    assert waiting(tab) == 2


def test_a_pause_may_be_asked_for_by_date_and_a_clock_set_back_ends_it(shop: Shop) -> None:
    shop.weather = lambda number: "busy" if number == 1 else "pass"
    shop.retry_after = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    tab = shop.visit()
    tab.evaluate("() => { millrace.track('patient'); return millrace.flush(); }")
    assert 55_000 < tab.evaluate("localStorage.mr_p - Date.now()") <= 62_000

    tab.evaluate("localStorage.mr_p = Date.now() + 3 * 36e5")
    settle(tab)

    assert len(shop.stored()) == 1


@pytest.mark.parametrize("way", ["portal", "firewall", "no_route", "garble", "cut"])
def test_only_what_millrace_says_of_an_event_counts(shop: Shop, way: str) -> None:
    shop.weather = lambda number: way if number == 1 else "pass"
    tab = shop.visit()
    tab.evaluate("() => { for (let n = 0; n < 5; n++) millrace.track('kept', { n }); }")
    tab.evaluate("millrace.flush()")
    assert waiting(tab) == (0 if way == "cut" else 5)
    settle(tab)

    assert sorted(event.properties["n"] for event in shop.stored()) == [0, 1, 2, 3, 4]
    assert len(shop.sent) == 2


def test_where_there_are_no_locks_a_lease_does(shop: Shop) -> None:
    shop.context.add_init_script("Object.defineProperty(navigator, 'locks', { value: undefined })")
    tab = shop.visit()
    tab.evaluate("() => { localStorage.mr_l = Date.now() + 2e4; millrace.track('held'); }")
    tab.evaluate("millrace.flush()")
    assert (waiting(tab), shop.requests) == (1, [])

    tab.evaluate("() => { localStorage.mr_l = Date.now() - 1; return millrace.flush(); }")

    assert (waiting(tab), tab.evaluate("'mr_l' in localStorage")) == (0, False)
    assert len(shop.stored()) == 1


def test_a_page_that_is_hidden_sends_a_beacon_once(shop: Shop) -> None:
    tab = shop.visit()
    tab.evaluate(
        """() => {
            for (let number = 0; number < 9; number++)
                millrace.track("last", { number, text: "x".repeat(1300) });
            for (const name of ["pagehide", "pagehide"]) dispatchEvent(new Event(name));
        }"""
    )
    tab.wait_for_timeout(0)
    tab.goto("about:blank")
    again = shop.visit()
    settle(again)

    assert len(shop.stored()) == 9
    assert [len(body["events"]) for body in shop.sent] == [9, 9]


@pytest.mark.parametrize("beacon", ["undefined", "() => false", "() => { throw new Error(); }"])
def test_without_beacons_a_request_outlives_the_page(shop: Shop, beacon: str) -> None:
    shop.context.add_init_script(
        f"Object.defineProperty(navigator, 'sendBeacon', {{ value: {beacon} }})"
    )
    tab = shop.visit()
    with tab.expect_response("**/mr/in*"):
        tab.evaluate("() => { millrace.track('last'); dispatchEvent(new Event('pagehide')); }")

    assert [event.event_type for event in shop.stored()] == ["last"]


REACT = """
import {{ StrictMode, useEffect, createElement as h }} from "react";
import {{ createRoot }} from "react-dom/client";
import {{ useActivityTracker }} from "{dist}/react.mjs";

const Film = () => {{
    const {{ track, timed }} = useActivityTracker();
    useEffect(() => {{ window.film = timed("film"); }}, []);
    return h("button", {{ onClick: () => track("play", {{ product_id: "film-1" }}) }}, "Play");
}};
const App = () => {{
    const tracker = useActivityTracker({config});
    window.tracker = tracker;
    return h(Film);
}};
const root = createRoot(document.getElementById("root"));
root.render(h(StrictMode, null, h(App)));
window.leave = () => root.unmount();
"""


def bundle(source: str) -> str:
    """Bundle a page's script as a site would, with the packages of the client."""
    made = subprocess.run(
        [
            ensure_packages() / ".bin" / "esbuild",
            "--bundle",
            "--loader=js",
            "--define:process.env.NODE_ENV='development'",
        ],
        input=source,
        cwd=CLIENT,
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout


def test_components_share_one_tracker_and_leave_no_timing_behind(shop: Shop) -> None:
    config = {"key": shop.key, "excluded": "", "consent": "granted"}
    script = bundle(REACT.format(dist=CLIENT / "dist", config=json.dumps(config)))
    shop.pages["/app"] = f'<!doctype html><div id="root"></div><script>{script}</script>'
    tab = shop.visit("/app")
    tab.click("button")
    tab.evaluate("leave()")
    tab.evaluate("film.complete()")
    tab.evaluate("tracker.flush()")

    assert [event.event_type for event in shop.stored()] == ["page_view", "play"]


def test_components_may_be_there_before_the_script_that_has_the_tracker(shop: Shop) -> None:
    script = bundle(REACT.format(dist=CLIENT / "dist", config=""))
    shop.head = """<script>
        window.millrace = function () { (millrace.q = millrace.q || []).push(arguments); };
    </script>"""
    tag = shop.page().split("</script>")[1] + "</script>"
    shop.pages["/app"] = (
        f'<!doctype html>{shop.head}<div id="root"></div><script>{script}</script>'
        f"<script>tracker.track('early')</script>{tag}"
    )
    tab = shop.visit("/app")
    tab.click("button")
    tab.evaluate("film.complete()")
    tab.evaluate("tracker.flush()")

    assert [event.event_type for event in shop.stored()] == ["early", "play", "film"]


def test_on_a_server_the_module_does_nothing() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node")
    program = """
        const { init } = await import("./dist/m.mjs");
        const tracker = init({ key: "k" });
        tracker.track("x"); tracker.page(); tracker.identify("u");
        tracker.timed("t").complete(); await tracker.flush();
        const { watchImpressions } = await import("./dist/impressions.mjs");
        if (typeof watchImpressions != "function") throw new Error("no function");
        console.log("fine");
        """
    said = subprocess.run(
        [node, "--input-type=module", "-e", program],
        cwd=CLIENT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert said.stdout == "fine\n"
