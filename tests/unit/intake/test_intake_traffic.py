"""Traffic that is not people is told by its User-Agent; back ends that send for people are not."""

from __future__ import annotations

import re

import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA
from hypothesis import given
from hypothesis import strategies as st

from intake.traffic import BOT, HEADLESS, MAX_CHARS, PATTERNS, exclusion_of

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0"

CRAWLERS = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like "
    "Gecko) Chrome/41.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "facebookexternalhit/1.1",
    "Mozilla/5.0 (Linux; Android 11) AppleWebKit/537.36 Chrome/109 Safari/537.36 Chrome-Lighthouse",
    "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
]

WINDOWLESS = [
    CHROME.replace("Chrome/", "HeadlessChrome/"),
    "Mozilla/5.0 (Unknown; Linux x86_64) AppleWebKit/538.1 (KHTML, like Gecko) PhantomJS/2.1.1",
    "Mozilla/5.0 (linux) AppleWebKit/537.36 (KHTML, like Gecko) jsdom/26.0.0",
    f"{CHROME} Safari/537.36 Cypress/13.6 Electron/27",
    "Puppeteer/23.0",
    "Playwright/1.45.0 (x64; ubuntu 22.04) python/3.11",
]

SENDERS = [
    "segment-analytics-python/2.4.0", "analytics-python/2.3.3", "analytics-node/6.2.0",
    "@segment/analytics-node/3.1.0", "analytics-ruby/2.5.0", "analytics-java/3.5.2",
    "rudder-sdk-python/2.1.9", "posthog-python/7.91.1", "posthog-node/5.70.0", "posthog-android",
    "snowplow-python/1.1.0", "python-requests/2.32.3", "python-httpx/0.28.1", "Python-urllib/3.11",
    "Python/3.11 aiohttp/3.9.5", "urllib3/2.8.0", "node-fetch",
    "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)", "node", "undici", "axios/1.7.2",
    "got (https://github.com/sindresorhus/got)", "okhttp/4.12.0", "Go-http-client/1.1",
    "Go-http-client/2.0", "curl/8.5.0", "Wget/1.21.4", "HTTPie/3.2.2", "Java/17.0.1",
    "Apache-HttpClient/4.5.14 (Java/17.0.9)", "AHC/2.1", "Jetty/12.0", "Dart/3.4 (dart:io)", "Ruby",
    "rest-client/2.1.0", "Faraday v2.9.0", "GuzzleHttp/7", "Guzzle/6.5", "PHP-Curl-Class/9.19",
    "libwww-perl/6.77", "reqwest/0.12", "PostmanRuntime/7.39.0", "Deno/1.40", "Bun/1.1.0",
    "MyShop/4.1 CFNetwork/1490.0.4 Darwin/23.2.0", "Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8)",
    # Services in front of a back end, and those that pass on what people did.
    "Amazon CloudFront", "WordPress/6.5; https://shop.example", "Shopify-Captain-Hook",
    "Stripe/1.0 (+https://stripe.com/docs/webhooks)", "Zapier", "GitHub-Hookshot/044aadd",
]  # fmt: skip

BROWSERS = [
    f"{CHROME} Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148 [FBAN/FBIOS;FBAV/450]",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148 [Pinterest/iOS]",
    "Mozilla/5.0 (Linux; Android 14; wv) Chrome/126 Mobile Safari/537.36 Instagram 300.0",
    # A telephone's name, not a robot's.
    "Mozilla/5.0 (Linux; Android 14; CUBOT_X18) AppleWebKit/537.36 Chrome/126 Mobile Safari/537.36",
]


@pytest.mark.parametrize("agent", CRAWLERS)
def test_a_crawler_is_a_bot(agent: str) -> None:
    assert exclusion_of(agent) == BOT


@pytest.mark.parametrize("agent", WINDOWLESS)
def test_a_browser_that_a_program_drives_is_headless(agent: str) -> None:
    assert exclusion_of(agent) == HEADLESS


@pytest.mark.parametrize("agent", SENDERS)
def test_what_back_ends_send_events_with_is_counted(agent: str) -> None:
    assert exclusion_of(agent) is None


@pytest.mark.parametrize("agent", BROWSERS)
def test_browsers_are_counted(agent: str) -> None:
    assert exclusion_of(agent) is None


@pytest.mark.parametrize("agent", [None, "", " ", "\udcff", "x" * 100_000, "Mozilla/" * 9000])
def test_what_says_nothing_is_counted(agent: str | None) -> None:
    assert exclusion_of(agent) is None


AGENTS = [agent for crawler in CRAWLER_USER_AGENTS_DATA for agent in crawler["instances"]]
WORDS = [re.sub(r"\\|[$^]", "", pattern) for patterns in PATTERNS.values() for pattern in patterns]


def search_all(agent: str) -> str | None:
    """Try all patterns one by one."""
    for reason, patterns in PATTERNS.items():
        if any(re.search(pattern, agent[:MAX_CHARS]) for pattern in patterns):
            return reason
    return None


def test_no_pattern_is_missed_in_the_agents_that_the_list_shows() -> None:
    sample = AGENTS[::20]

    assert [exclusion_of(agent) for agent in sample] == [search_all(agent) for agent in sample]


@given(st.lists(st.sampled_from([*WORDS, " ", "a", "/1.0"]), max_size=3).map("".join))
def test_a_pattern_is_found_wherever_it_stands(agent: str) -> None:
    assert exclusion_of(agent) == search_all(agent)
