"""How large the sources of a model may become, for the memory that a training has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ml.budget import Budget
from ml.estimators.ease import estimate_memory_bytes

#: Neighbours learned per product: similar products are made of them.
NEIGHBOURS = MappingProxyType(
    {"ease": 300, "knn": 200, "baskets": 200, "rp3": 200, "sequences": 200, "words": 100}
)
#: Neighbours kept for lists of people; the artefact's size grows with them.
SERVED_NEIGHBOURS = MappingProxyType(
    {"ease": 100, "knn": 50, "baskets": 50, "rp3": 50, "sequences": 50, "words": 30}
)
#: A product and its score in a table.
BYTES_OF_A_NEIGHBOUR = 8
MOST_EASE_PRODUCTS, FEWEST_EASE_PRODUCTS = 12_500, 500
SHARE_FOR_EASE, SHARE_FOR_TABLES = 0.5, 0.2
#: What else lives while EASE is learned, measured: the libraries, what is made of interactions and
#: what is made of products, beside their neighbours.
BYTES_OF_LIBRARIES = 250_000_000
BYTES_OF_AN_INTERACTION = 100
BYTES_OF_A_PRODUCT = 3_000


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much the sources learn of.

    Attributes
    ----------
    ease_products : int
        EASE learns the most popular products alone where there are more.
    neighbours : mapping of str to int
        Source → neighbours learned per product, never fewer than are served.
    """

    ease_products: int = MOST_EASE_PRODUCTS
    neighbours: Mapping[str, int] = field(default_factory=lambda: NEIGHBOURS)


def choose_sizes(
    budget: Budget | None, *, num_interactions: int = 0, num_products: int = 0
) -> Sizes:
    """Return the sizes that the memory of a budget has room for; without one the largest.

    Where all neighbours would take more than a fifth of it, those that are served are learned.
    EASE gets what all else leaves: half of it at most, and what 500 products need at least.
    """
    if budget is None:
        return Sizes()
    room = SHARE_FOR_TABLES * budget.memory_bytes
    neighbours = (
        NEIGHBOURS if _table_bytes(NEIGHBOURS) * num_products <= room else SERVED_NEIGHBOURS
    )
    # The champion's sources are learned beside the candidate's.
    beside = (
        BYTES_OF_LIBRARIES
        + BYTES_OF_AN_INTERACTION * num_interactions
        + (BYTES_OF_A_PRODUCT + 2 * _table_bytes(neighbours)) * num_products
    )
    allowed = min(SHARE_FOR_EASE * budget.memory_bytes, budget.memory_bytes - beside)
    most = MOST_EASE_PRODUCTS
    while most > FEWEST_EASE_PRODUCTS and estimate_memory_bytes(most) > allowed:
        most = most * 9 // 10
    return Sizes(most, neighbours)


def _table_bytes(neighbours: Mapping[str, int]) -> int:
    """Return what the neighbours of one product take, if it has as many as may be."""
    return BYTES_OF_A_NEIGHBOUR * sum(neighbours.values())
