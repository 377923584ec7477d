"""What the app holds for its views: settings, sink, keys, rules and the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import redis
from flask import current_app

from app.auth import WriteKeys
from app.bell import Bell
from app.champion import ChampionHolder
from app.sink import Sink
from intake.rows import Rules
from settings import Settings


@dataclass(frozen=True, slots=True)
class State:
    """Everything that lives as long as the process."""

    settings: Settings
    redis: redis.Redis
    sink: Sink
    bell: Bell
    write_keys: WriteKeys
    champions: ChampionHolder
    rules: Rules
    clock: Callable[[], float] = field(default=time.time)

    def now_ms(self) -> int:
        """Give the time in milliseconds since 1970."""
        return int(self.clock() * 1000)


def state() -> State:
    """Give the state of the current app."""
    found: State = current_app.extensions["millrace"]
    return found
