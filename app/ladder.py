"""The fallback ladder: always a full list, whatever is known of the person or the product."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from typing import Any

from sqlalchemy.orm import Session

from ml.serving import Recommendation
from models.shelves import Card, read_best_rated, read_cards, read_newest, read_trending

TRENDING_DAYS = 30

Rung = Callable[[int], Iterable[Recommendation]]


def climb(
    session: Session, rungs: Iterable[Rung], *, n: int, exclude: frozenset[str] = frozenset()
) -> list[dict[str, Any]]:
    """Fill a list of n products from the first rung on, leaving out what may not be shown.

    A rung is asked for more than is missing, since some of its products are
    excluded, inactive, out of stock or on the list already.
    """
    shown: dict[str, dict[str, Any]] = {}
    for rung in rungs:
        if len(shown) >= n:
            break
        wanted = 2 * n + len(shown) + len(exclude) + 20
        found = [item for item in rung(wanted) if item.product_id not in exclude]
        named = {item.because for item in found if item.because is not None}
        cards = read_cards(session, {item.product_id for item in found} | named)
        for item in found:
            card = cards.get(item.product_id)
            if len(shown) >= n or item.product_id in shown or (card and not card.eligible):
                continue
            shown[item.product_id] = {
                "product_id": item.product_id,
                "name": card.name if card else None,
                "category": card.category if card else None,
                "price": card.price if card else None,
                "score": round(item.score, 6),
                "reason": _with_name(item, cards),
                "rung": item.rung,
            }
    return list(shown.values())


def _with_name(item: Recommendation, cards: dict[str, Card]) -> str:
    """Say the name of the product that a reason is about, where the catalogue has one."""
    card = cards.get(item.because) if item.because is not None else None
    if item.because is None or card is None or not card.name:
        return item.reason
    return item.reason.replace(item.because, card.name)


def shelf_rungs(session: Session, *, today: date, category: str | None = None) -> Iterator[Rung]:
    """Give the rungs that need no model: same category, trending, best rated, newest."""
    since = today - timedelta(days=TRENDING_DAYS)
    if category is not None:
        yield lambda limit: [
            Recommendation(product_id, score, f"popular in {category}", "category")
            for product_id, score in read_trending(
                session, since=since, limit=limit, category=category
            )
        ]
    yield lambda limit: [
        Recommendation(product_id, score, "popular lately", "trending")
        for product_id, score in read_trending(session, since=since, limit=limit)
    ]
    yield lambda limit: [
        Recommendation(product_id, score, "rated well", "best_rated")
        for product_id, score in read_best_rated(session, limit=limit)
    ]
    yield lambda limit: [
        Recommendation(product_id, 0.0, "new in the catalogue", "newest")
        for product_id in read_newest(session, limit=limit)
    ]
