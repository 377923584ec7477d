"""Wrong clocks: the least difference of recent requests tells them, a stalled request does not."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from intake.skew import WINDOW_MS, Clock, note_difference
from tests.builders import NOW_MS

HOUR_MS = 3_600_000
MINUTE_MS = 60_000


def corrections(*seen_ms: int, every_ms: int = 10_000) -> list[int]:
    """Give what is added to the times of each of one device's requests."""
    clock, found = None, []
    for number, seen in enumerate(seen_ms):
        clock = note_difference(clock, seen, received_ms=NOW_MS + number * every_ms)
        found.append(clock.correction_ms)
    return found


def test_a_right_clock_is_left_alone_even_when_a_request_is_stalled() -> None:
    assert corrections(120, 40_000, 90, 110_000) == [0, 0, 0, 0]


def test_a_wrong_clock_is_corrected_by_its_best_request() -> None:
    behind, ahead = HOUR_MS, -HOUR_MS

    assert corrections(behind + 100, behind + 35_000, behind + 80) == [
        behind + 100, behind + 100, behind + 80,
    ]  # fmt: skip
    assert corrections(ahead + 100, ahead + 35_000, ahead + 80) == [
        ahead + 100, ahead + 100, ahead + 80,
    ]  # fmt: skip


def test_a_first_request_that_was_stalled_is_made_up_for_by_the_next() -> None:
    assert corrections(HOUR_MS + 35_000, HOUR_MS + 100) == [HOUR_MS + 35_000, HOUR_MS + 100]
    assert corrections(35_000, 100, 35_000) == [35_000, 0, 0]


def test_a_clock_that_is_set_right_is_believed_at_once() -> None:
    assert corrections(HOUR_MS, 150, 38_000) == [HOUR_MS, 0, 0]
    assert corrections(-HOUR_MS, 150, 38_000) == [-HOUR_MS, 0, 0]
    assert corrections(-50_000, 150, 38_000) == [-50_000, 0, 0]


def test_a_clock_that_jumps_is_followed() -> None:
    assert corrections(100, HOUR_MS, -HOUR_MS, 2 * HOUR_MS, 5 * MINUTE_MS) == [
        0, HOUR_MS, -HOUR_MS, 2 * HOUR_MS, 5 * MINUTE_MS,
    ]  # fmt: skip


def test_a_clock_that_drifts_is_followed_within_two_windows() -> None:
    drifting = [HOUR_MS + number * 1000 for number in range(40)]

    found = corrections(*drifting, every_ms=WINDOW_MS // 10)

    errors = [seen - correction for seen, correction in zip(drifting, found, strict=True)]
    assert max(errors) < 20_000


def test_what_was_known_of_a_device_that_was_away_for_long_is_forgotten() -> None:
    known = Clock(NOW_MS // WINDOW_MS, HOUR_MS, HOUR_MS)

    later = note_difference(known, HOUR_MS + 35_000, received_ms=NOW_MS + 3 * WINDOW_MS)

    assert later.correction_ms == HOUR_MS + 35_000


@dataclass(frozen=True, slots=True)
class Sent:
    """One request of the synthetic stream: when its events truly happened, and its three times."""

    device: int
    happened_ms: tuple[int, ...]
    behind_ms: int
    sent_ms: int
    received_ms: int


def synthetic_stream(seed: int, *, devices: int = 400, requests: int = 30) -> list[Sent]:
    """Make requests of which 15 % are stalled, of devices of which 10 % have a wrong clock."""
    chance = random.Random(seed)
    stream = []
    for device in range(devices):
        is_wrong = chance.random() < 0.1
        behind_ms = chance.choice((-1, 1)) * chance.randint(1, 120) * MINUTE_MS if is_wrong else 0
        now_ms = NOW_MS + chance.randrange(60_000)
        for _ in range(requests):
            happened = []
            for _ in range(chance.randint(1, 5)):
                now_ms += chance.randint(500, 8_000)
                happened.append(now_ms)
            is_stalled = chance.random() < 0.15
            way_ms = chance.randint(5_000, 40_000) if is_stalled else chance.randint(20, 400)
            stream.append(
                Sent(device, tuple(happened), behind_ms, now_ms - behind_ms, now_ms + way_ms)
            )
    return sorted(stream, key=lambda sent: sent.received_ms)


def by_request(stream: list[Sent]) -> Iterator[int]:
    """Correct each request by its own difference."""
    return (sent.received_ms - sent.sent_ms for sent in stream)


def by_least(stream: list[Sent]) -> Iterator[int]:
    """Correct each request by what is known of its device's clock."""
    clocks: dict[int, Clock] = {}
    for sent in stream:
        clock = note_difference(
            clocks.get(sent.device), sent.received_ms - sent.sent_ms, received_ms=sent.received_ms
        )
        clocks[sent.device] = clock
        yield clock.correction_ms


def judge(correct: Callable[[list[Sent]], Iterator[int]], stream: list[Sent]) -> tuple[float, int]:
    """Give the share of a device's adjacent events that are inverted, and the largest error."""
    times: dict[int, list[tuple[int, int]]] = {}
    for sent, correction in zip(stream, correct(stream), strict=True):
        for true_ms in sent.happened_ms:
            times.setdefault(sent.device, []).append(
                (true_ms, true_ms - sent.behind_ms + correction)
            )
    pairs = [pair for found in times.values() for pair in pairwise(sorted(found))]
    inverted = sum(later[1] < earlier[1] for earlier, later in pairs)
    errors = (abs(given - true) for found in times.values() for true, given in found)
    return inverted / len(pairs), max(errors)


def test_the_least_difference_keeps_the_order_that_the_formula_of_each_request_breaks() -> None:
    stream = synthetic_stream(seed=7)

    formula, formula_error_ms = judge(by_request, stream)
    least, least_error_ms = judge(by_least, stream)

    assert 0.03 < formula < 0.08
    assert least < 0.005
    assert max(formula_error_ms, least_error_ms) < MINUTE_MS
