"""Make recommendation lists: many at a time with as few statements as one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection

from app.champion import Champion
from app.recommend.diversity import pick_diverse
from app.recommend.ladder import Asked, climb
from app.recommend.ranking import AGAIN, CATEGORY, PERSONS, Ranking, likeness
from app.recommend.shelves import Shelves
from app.recommend.trending import Trending
from app.recommend.wish import Wish
from app.schemas.figures import DIGITS, money_text
from ml.serving import Recommendation
from models.histories import HISTORY_DAYS, Line, read_histories, read_people
from models.person import Person
from recommendation_ids import make_recommendation_id

#: Why a product is on a person's list, for who may not know what that person did.
UNNAMED = "because of what was looked at before"


@dataclass(frozen=True, slots=True)
class Maker:
    """What lists are made with, at one moment."""

    connection: Connection
    champion: Champion | None
    trending: Trending
    salts: Mapping[str, bytes] | None
    now: datetime
    #: For so many days what a person bought stays out of their lists.
    bought_days: int = 0

    def make(self, wishes: Sequence[Wish]) -> list[dict[str, Any]]:
        """Make a list for each wish, as plain values of JSON."""
        days = max(map(self._history_days, wishes))
        people, of_users = self._read_people(wishes, days=days)
        histories = read_histories(
            self.connection, people, now=self.now, days=days, of_users=of_users
        )
        bought = self._read_bought(people)
        asked = [
            self._ask(wish, histories.get(number, ()), bought.get(number, frozenset()))
            for number, wish in enumerate(wishes)
        ]
        shelves = Shelves(self.connection, self.trending, today=self.now.date())
        shelves.learn(name for item in asked for name in _products_of(item))
        return [self._finish(item, shelves) for item in asked]

    def _read_people(
        self, wishes: Sequence[Wish], *, days: int
    ) -> tuple[dict[int, Person], dict[str, list[Line]]]:
        """Find out who some wishes are for, and read what users did in the last days.

        Of who is suppressed, nobody knows anything.
        """
        ids = {
            number: (wish.user_id, wish.anonymous_id)
            for number, wish in enumerate(wishes)
            if wish.is_personal
        }
        known, of_users = read_people(
            self.connection, ids, salts=self.salts, now=self.now, days=days
        )
        people = {
            number: found.person if wishes[number].linked else Person.of(*ids[number])
            for number, found in known.items()
            if not found.suppressed
        }
        return people, of_users

    def _read_bought(self, people: Mapping[int, Person]) -> dict[int, frozenset[str]]:
        """Read what people bought so lately that it stays out of their lists."""
        if not self.bought_days:
            return {}
        found = read_histories(
            self.connection, people, now=self.now, days=self.bought_days, bought=True
        )
        return {
            number: frozenset(line.product_id for line in lines) for number, lines in found.items()
        }

    def _history_days(self, wish: Wish) -> int:
        """Choose how far back a history goes: as far as those that the model learned from.

        Where something older decides what may be shown, all that is kept for lists is read.
        """
        if self.champion is None or wish.exclude_seen:
            return HISTORY_DAYS
        return min(HISTORY_DAYS, self.champion.days)

    def _ask(self, wish: Wish, read: Sequence[Line], bought: frozenset[str]) -> Asked:
        exclude_seen = wish.exclude_seen
        if exclude_seen is None:
            exclude_seen = self.champion is None or not self.champion.model.has_again
        # Lists that are made together have no effect on each other.
        history = _since(read, days=self._history_days(wish))
        left_out = bought | {line.product_id for line in history if exclude_seen}
        exclude = wish.exclude | left_out
        anchor = wish.product_id or (history[0].product_id if history else None)
        if wish.product_id is not None:
            exclude |= {wish.product_id}
        ranking = None
        if self.champion is not None:
            heard = _since(history, days=self.champion.days)
            ranking = Ranking(self.champion.model, wish, heard, again=not exclude_seen)
        return Asked.of(wish, frozenset(exclude), ranking, anchor)

    def _finish(self, asked: Asked, shelves: Shelves) -> dict[str, Any]:
        wish = asked.wish
        found = climb(asked, shelves)
        if wish.diversity and len(found) > 1:
            names = [item.product_id for item in found]
            model = self.champion.model if self.champion else None
            alike = likeness(model, names, [shelves.card(name) for name in names])
            found = [found[at] for at in pick_diverse(alike, wish.n, wish.diversity)]
        if wish.is_personal and not wish.named:
            found = [_unnamed(item) for item in found]
        shelves.learn(item.because for item in found if item.because is not None)
        version = self.champion.version if self.champion else None
        rungs = [item.rung for item in found]
        return {
            "model_version": version,
            "recommendation_id": make_recommendation_id(version, rungs, at=self.now)
            if found
            else None,
            "recommendations": [_describe(item, shelves) for item in found],
        }


def _since(history: Sequence[Line], *, days: int) -> Sequence[Line]:
    """Give what of a history, newest first, happened in the last days."""
    limit_s = timedelta(days=days).total_seconds()
    return history[: bisect_right(history, limit_s, key=attrgetter("age_s"))]


def _products_of(asked: Asked) -> Iterable[str]:
    if asked.anchor is not None:
        yield asked.anchor
    for item in asked.first:
        yield item.product_id
        if item.because is not None:
            yield item.because


def _unnamed(item: Recommendation) -> Recommendation:
    """Let an item say nothing of what the person did: that they met it, or its category, before."""
    if item.rung == CATEGORY:
        return item._replace(reason=UNNAMED)
    if item.because is None:
        return item
    rung = PERSONS if item.rung == AGAIN else item.rung
    return item._replace(reason=UNNAMED, because=None, rung=rung)


def name_cause(item: Recommendation, name: str) -> str:
    """Give the reason of an item, its last word the name of the product that it is there for.

    An id may be a word of the sentence ("in"), and that a product was met before names none.
    """
    if item.because is None or item.rung == AGAIN:
        return item.reason
    return item.reason.removesuffix(item.because) + name


def _describe(item: Recommendation, shelves: Shelves) -> dict[str, Any]:
    card = shelves.card(item.product_id)
    cause = shelves.card(item.because) if item.because is not None else None
    reason = item.reason
    if cause is not None and cause.name:
        reason = name_cause(item, cause.name)
    return {
        "product_id": item.product_id,
        "name": card.name if card else None,
        "category": card.category if card else None,
        "price": money_text(card.price) if card and card.price is not None else None,
        "score": round(item.score, DIGITS),
        "reason": reason,
        "rung": item.rung,
    }
