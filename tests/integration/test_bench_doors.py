"""The measurement of the doors: the same events, at each door."""

from __future__ import annotations

import time
from collections.abc import Callable

from flask.testing import FlaskClient

from bench.doors import DOORS, NATIVE, measure
from settings import Settings


def test_each_door_is_measured_against_our_own(
    app_with: Callable[..., FlaskClient], settings: Settings
) -> None:
    # Its events are of now.
    app = app_with(clock=time.time).application
    told: list[str] = []

    costs = measure(app, settings.redis_url, batch=3, rounds=1, tell=told.append)

    assert [cost.door for cost in costs] == list(DOORS)
    assert [cost.ratio for cost in costs if cost.door == NATIVE] == [1.0]
    assert all(cost.us_per_event > 0 for cost in costs)
    assert len(told) == 2 * len(DOORS)
