"""Ask for products that nobody had met: take away all that is known of some."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ml.dataset import Interactions
from ml.splits.split import (
    Mask,
    Protocol,
    Split,
    check_share,
    keep_entries,
    known_products,
    make_split,
)


@dataclass(frozen=True)
class ColdProducts:
    """Take all interactions of a share of the products away, and ask for those products alone.

    Parameters
    ----------
    inner : Protocol
        Says who is asked, and for what.
    share : float
        Of the products met in the training part.
    seed : int
    """

    inner: Protocol
    share: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        check_share(self.share)

    @property
    def name(self) -> str:
        """Say what is asked for."""
        return f"{self.inner.name}, of a random {self.share:.0%} of products nobody met before"

    def explain(self) -> str:
        """Say how the data is split."""
        return (
            f"{self.inner.explain()}; a random {self.share:.0%} of the products lose all their "
            f"interactions (seed {self.seed}), and they are ranked among themselves"
        )

    def split(self, known: Interactions) -> Split:
        """Split by the inner protocol, then take the cold products out of what is known."""
        split = self.inner.split(known)
        cold = self._draw(known_products(split.train))
        bare = make_split(
            self,
            split.train.take(~cold[split.train.product]),
            split.history.take(~cold[split.history.product]),
            keep_entries(split.truth, columns=cold),
            cut=split.cut,
            end=split.end,
            exclude_seen=split.exclude_seen,
            rankable=cold,
        )
        return replace(bare, unknown_share=split.unknown_share)

    def validation(self) -> ColdProducts:
        """Return the same for other products of the inner validation."""
        return replace(self, inner=self.inner.validation(), seed=self.seed + 1)

    def _draw(self, possible: Mask) -> Mask:
        products = np.flatnonzero(possible)
        random = np.random.default_rng(self.seed)
        number = round(self.share * len(products))
        cold = np.zeros(len(possible), dtype=bool)
        cold[random.choice(products, number, replace=False)] = True
        return cold
