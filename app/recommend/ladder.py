"""The fallback ladder: a full list, whatever is known of the person or the product."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.recommend.ranking import EVERYBODYS, Ranking
from app.recommend.shelves import Shelves
from app.recommend.wish import Wish
from ml.serving import Recommendation

#: Products that are asked for beyond a list's length, in place of those that may not be shown.
SLACK = 20
#: With diversity, a list is picked from so many times its length.
POOL = 5
#: How much deeper the model's list is looked into when too little of it may be shown.
_DEEPER = 8


@dataclass(frozen=True, slots=True)
class Asked:
    """A wish with what is known before any product is looked at.

    `exclude` is all that is left out; `first` the beginning of the model's list; `anchor` the
    product that the list is about, whose category comes before what is everybody's.
    """

    wish: Wish
    exclude: frozenset[str]
    ranking: Ranking | None
    first: Sequence[Recommendation]
    anchor: str | None

    @classmethod
    def of(
        cls, wish: Wish, exclude: frozenset[str], ranking: Ranking | None, anchor: str | None
    ) -> Asked:
        """Ask the model for as much as a list mostly takes."""
        first = ranking.top(wanted_length(wish) + SLACK, exclude) if ranking else ()
        return cls(wish, exclude, ranking, first, anchor)


def wanted_length(wish: Wish) -> int:
    """Give how many products are looked for: those of the list, or those it is picked from."""
    return wish.n * POOL if wish.diversity else wish.n


def climb(asked: Asked, shelves: Shelves) -> list[Recommendation]:
    """Fill a list from the first rung on with products that may be shown, each once.

    The cards of `first` are learned already. No rung is looked at before it is needed.
    """
    length = wanted_length(asked.wish)
    shown: dict[str, Recommendation] = {}
    for item in _rungs(asked, shelves, shown):
        if item.product_id in shown or item.product_id in asked.exclude:
            continue
        if asked.wish.wanted.admits(shelves.card(item.product_id)):
            shown[item.product_id] = item
            if len(shown) == length:
                break
    return list(shown.values())


def _rungs(
    asked: Asked, shelves: Shelves, shown: dict[str, Recommendation]
) -> Iterator[Recommendation]:
    """Yield products of one rung after the other, with their cards learned."""
    wanted = asked.wish.wanted
    anchor = shelves.card(asked.anchor) if asked.anchor else None
    by_category: Iterator[Recommendation] = iter(())
    if anchor is not None and anchor.category is not None and asked.wish.method != EVERYBODYS:
        by_category = shelves.category(anchor.category, wanted)
    if all(item.rung == EVERYBODYS for item in asked.first):
        yield from by_category
    yield from _model(asked, shelves)
    if not wanted.is_empty and shelves.wanted(wanted) <= {*shown, *asked.exclude}:
        return
    yield from by_category
    yield from shelves.trending(wanted)
    missing = wanted_length(asked.wish) - len(shown)
    yield from shelves.last(wanted, exclude={*asked.exclude, *shown}, limit=missing)


def _model(asked: Asked, shelves: Shelves) -> Iterator[Recommendation]:
    """Yield the model's list: its beginning, then all of it that is wanted."""
    yield from asked.first
    depth = wanted_length(asked.wish) + SLACK
    if asked.ranking is None or len(asked.first) < depth:
        return
    wanted = asked.wish.wanted
    if not wanted.is_empty:
        eligible = shelves.wanted(wanted)
        yield from asked.ranking.among(depth, eligible, asked.exclude)
        return
    while True:
        depth *= _DEEPER
        found = asked.ranking.top(depth, asked.exclude)
        shelves.learn(item.product_id for item in found)
        yield from found
        if len(found) < depth:
            return
