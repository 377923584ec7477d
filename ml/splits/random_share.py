"""Ask for a random share of what each person met, as many papers do."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ml.dataset import Interactions
from ml.splits.split import Split, check_share, in_order, make_split, met_matrix


@dataclass(frozen=True)
class RandomShare:
    """Ask each person for a random share of their products, given the others.

    It has no order of time: what is learned from may have come later than what
    is asked for.

    Parameters
    ----------
    share : float
        Of the products of each person, rounded to a whole number.
    seed : int
    """

    share: float = 0.2
    seed: int = 42

    def __post_init__(self) -> None:
        check_share(self.share)

    @property
    def name(self) -> str:
        """Say what is asked for."""
        return f"random {self.share:.0%} of each person's products"

    def explain(self) -> str:
        """Say how the data is split."""
        return f"a {self.name} is asked for, drawn by seed {self.seed}; the rest is learned from"

    def split(self, known: Interactions) -> Split:
        """Split off the products with the highest random numbers of each person.

        A question is asked right after the last that is known of the person.
        """
        asked = self._draw(known)
        train, held = known.take(~asked), known.take(asked & (known.weight > 0))
        cut = float(train.time.max()) if len(train) else 0.0
        last = np.zeros(train.shape[0])
        np.maximum.at(last, train.user, train.time)
        history = replace(train, time=train.time + (cut - last)[train.user])
        return make_split(
            self,
            train,
            in_order(history),
            met_matrix(held),
            cut=cut,
            end=cut,
            exclude_seen=True,
        )

    def validation(self) -> RandomShare:
        """Return the same share by another seed."""
        return replace(self, seed=self.seed + 1)

    def _draw(self, known: Interactions) -> npt.NDArray[np.bool_]:
        """Mark the interactions with the products asked for."""
        pair = known.user.astype(np.int64) * known.shape[1] + known.product
        pairs, at = np.unique(pair, return_inverse=True)
        if len(pairs) == 0:
            return np.zeros(0, dtype=bool)
        user = pairs // known.shape[1]
        chance = np.random.default_rng(self.seed).random(len(pairs))
        order = np.lexsort((chance, user))
        counts = np.bincount(user)
        rank = np.arange(len(pairs)) - np.repeat(np.cumsum(counts) - counts, counts)
        drawn = np.empty(len(pairs), dtype=bool)
        sizes = counts[user[order]]
        drawn[order] = rank >= sizes - np.round(self.share * sizes)
        return np.asarray(drawn[at])
