"""What the model says to one wish. The only place where serving calls the model."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from app.recommend.wish import POPULAR, Wish
from ml.serving import Met, Method, Model, Recommendation
from models.histories import Line
from models.shelves import Card

#: The rungs of what the model gives to everybody, to a person, and to one who met it before.
EVERYBODYS, PERSONS, AGAIN = "popular", "person", "again"
#: The rung of what is popular in the category of what a list is about.
CATEGORY = "category"


@dataclass(frozen=True, slots=True)
class Ranking:
    """The model's order of products for a wish and the history of who is behind it.

    `again`: products of the history may be in it, where the model learned that people come back
    to them.
    """

    model: Model
    wish: Wish
    history: Sequence[Line]
    again: bool

    def top(self, n: int, exclude: Collection[str]) -> Sequence[Recommendation]:
        """Give the best n products that are not excluded; fewer when it knows no more."""
        wish = self.wish
        if wish.method == POPULAR:
            return self.model.popular(n, exclude)
        if wish.product_id is not None:
            return self.model.similar(wish.product_id, n, cast(Method, wish.method), exclude)
        if not self.history:
            return self.model.popular(n, exclude)
        # A line says what Met says, and is no other thing to make.
        met = cast(Sequence[Met], self.history)
        # What comes next within a visit is never something met in it.
        session = wish.anonymous_id is not None and wish.exclude_seen is not False
        return self.model.for_history(met, n, exclude, again=self.again, session=session)

    def among(
        self, n: int, wanted: Collection[str], exclude: Collection[str]
    ) -> Sequence[Recommendation]:
        """Give the best n of the wanted products that are not excluded."""
        unwanted = set(self.model.product_ids).difference(wanted)
        return self.top(n, unwanted.union(exclude))


def try_out(model: Model) -> None:
    """Ask a model for one list of each kind: what its manifest lacks shall fail now."""
    model.popular(1)
    model.likeness(model.product_ids[:2])
    for product_id in model.product_ids[:1]:
        met = [Met(product_id, 1.0, 0.0)]
        model.similar(product_id, 1)
        model.for_history(met, 1)
        model.for_history(met, 1, again=True)
        model.for_history(met, 1, session=True)


def likeness(
    model: Model | None, product_ids: Sequence[str], cards: Sequence[Card | None]
) -> npt.NDArray[Any]:
    """Give how alike each two of some products are, 0 to 1.

    Half of it is the model's, half is whether they are of one category now; of what the model
    does not know, all of it.
    """
    categories = np.array([card.category if card else None for card in cards], dtype=object)
    known = categories != np.array(None)
    same = ((categories[:, None] == categories[None, :]) & known[:, None]).astype(np.float32)
    if model is None:
        return cast(npt.NDArray[Any], same)
    alike = model.likeness(product_ids)
    # A product of which the model knows nothing is not even like itself.
    unknown = alike.diagonal() == 0
    mixed = np.where(unknown[:, None] | unknown[None, :], same, (same + alike) / 2)
    return cast(npt.NDArray[Any], mixed)
