"""What the app holds for its views: settings, sink, keys, rules and the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import redis
from flask import current_app
from sqlalchemy import Engine

from app.admin_tokens import LastUses
from app.bell import Bell
from app.breaker import Breaker
from app.champion import ChampionHolder
from app.clock_skew import ClockSkew
from app.database_figures import Figures, Readiness
from app.feeder import Feeder
from app.key_limits import KeyLimits
from app.look import Look
from app.quarantine import QuarantineBudget
from app.recommend.trending import Trending
from app.salts import DailySalt
from app.shop_rates import ShopRates
from app.sink import Sink
from app.suppressed import SuppressedPeople
from app.write_keys import WriteKeys
from intake.rows import Rules
from settings import Settings
from spool import Spool


@dataclass(frozen=True, slots=True)
class State:
    """Everything that lives as long as the process."""

    settings: Settings
    redis: redis.Redis
    breaker: Breaker
    sink: Sink
    #: None without a spool.
    feeder: Feeder | None
    bell: Bell
    write_keys: WriteKeys
    key_limits: KeyLimits
    last_uses: LastUses
    champions: ChampionHolder
    #: Connections for the reads of recommendations.
    reader: Engine
    #: What the database says to those who ask how it is.
    readiness: Look[Readiness]
    figures: Look[Figures]
    suppressed: SuppressedPeople
    daily_salt: DailySalt
    rules: Rules
    #: The same for messages of other systems' SDKs.
    sdk_rules: Rules
    clock_skew: ClockSkew
    clock: Callable[[], float] = field(default=time.time)
    shop_rates: ShopRates = field(default_factory=ShopRates)
    quarantine: QuarantineBudget = field(default_factory=QuarantineBudget)
    trending: Trending = field(default_factory=Trending)

    def close(self) -> None:
        """Let the threads end and give the connections back; the app is not used any more."""
        self.write_keys.stop()
        self.suppressed.stop()
        self.champions.stop()
        if self.feeder is not None:
            self.feeder.stop()
        self.reader.dispose()
        self.redis.close()

    @property
    def spool(self) -> Spool | None:
        """Give the spool of this machine, None without one."""
        return None if self.feeder is None else self.feeder.spool

    def now_ms(self) -> int:
        """Give the time in milliseconds since 1970."""
        return int(self.clock() * 1000)


def state() -> State:
    """Give the state of the current app."""
    found: State = current_app.extensions["millrace"]
    return found
