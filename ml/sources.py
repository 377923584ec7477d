"""The sources of a model: everything that is learned from interactions and content, fitted."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array, csr_array

from ml.budget import give_back_memory
from ml.cold import find_kin
from ml.dataset import DAY_S, Interactions, decay
from ml.estimators.ease import EASE
from ml.estimators.factors import ImplicitFactors
from ml.estimators.knn import ItemKNN
from ml.estimators.rp3 import RP3Beta
from ml.estimators.sequences import SequenceRules
from ml.estimators.table import ItemTable
from ml.estimators.words import WordNeighbours, word_features
from ml.memory import Memory
from ml.parallel import run_all
from ml.ranking import FloatTable
from ml.recipe import Choices
from ml.remembered import Remembered
from ml.signals import FACTORS, OWN, TABLES, TRENDS
from ml.sizes import NEIGHBOURS, SERVED_NEIGHBOURS, Sizes

NUM_FACTORS = 64
BASKET_HALF_LIFE_DAYS = 60.0
_LARGEST = Sizes()


@dataclass(frozen=True, eq=False)
class Sources:
    """What was learned.

    Attributes
    ----------
    choices : Choices
    tables : dict of str to ItemTable
        Source → its neighbours, for those of `ml.signals.TABLES` that were fitted.
    factors : ImplicitFactors or None
        Zero for products that nobody met.
    trends : dict of str to ndarray of float32, shape (products,)
        Popularity by each of `ml.signals.TRENDS` as shares of the most popular product; those of
        purchases only where some interactions are purchases and some are not.
    popularity : ndarray of float32, shape (products,)
        The same at the half-life chosen.
    known : ndarray of bool, shape (products,)
        Which products somebody met.
    kin : csr_array of float32, shape (products, products)
        Of each product that nobody met the known ones that are most alike, see `ml.cold`.
    features : csr_array of float32, shape (products, words), or None
        The words of all products; None where only one source is tuned.
    """

    choices: Choices
    tables: dict[str, ItemTable]
    factors: ImplicitFactors | None
    trends: dict[str, npt.NDArray[np.float32]]
    popularity: npt.NDArray[np.float32]
    known: npt.NDArray[np.bool_]
    kin: Any
    features: Any = None

    @property
    def num_products(self) -> int:
        """Number of products, whether met or not."""
        return len(self.known)

    @property
    def names(self) -> frozenset[str]:
        """The sources that can be asked; a person's own history always can."""
        factors = {FACTORS} if self.factors is not None else set()
        return frozenset({*self.tables, *factors, OWN})

    def narrowed(self) -> Sources:
        """Return the sources with as many neighbours as are served; they are cut once."""
        return self._narrow

    @cached_property
    def _narrow(self) -> Sources:
        tables = {name: table.first(SERVED_NEIGHBOURS[name]) for name, table in self.tables.items()}
        return replace(self, tables=tables)


@dataclass(frozen=True, eq=False)
class ProductWords:
    """What the catalogue says of each product; it does not change with the days.

    Attributes
    ----------
    features : csr_array of float32, shape (products, words)
        See `ml.estimators.words.word_features`.
    neighbours : WordNeighbours
    """

    features: Any
    neighbours: ItemTable

    @classmethod
    def of(cls, products: pd.DataFrame, *, neighbours: int = NEIGHBOURS["words"]) -> Self:
        """Read the words of a catalogue from `ml.catalogue.align_catalogue`."""
        features = word_features(products)
        return cls(features, WordNeighbours(neighbours).fit(features))


def fit_sources(
    choices: Choices,
    train: Interactions,
    words: ProductWords,
    *,
    now: float,
    only: Collection[str] | None = None,
    sizes: Sizes = _LARGEST,
    seed: int = 0,
) -> Sources:
    """Learn every source from what was met before `now`.

    Parameters
    ----------
    choices : Choices
    train : Interactions
    words : ProductWords
    now : float
        Unix seconds from which ages are counted.
    only : collection of str, optional
        Sources to fit; by default all.
    sizes : Sizes
    seed : int
        Of the factors.
    """
    wanted = frozenset((FACTORS, *TABLES) if only is None else only)
    strengths, trends, popularity = _remember(choices, train, now)
    known = np.bincount(strengths.indices, minlength=strengths.shape[1]) > 0

    def fit(name: str) -> ItemTable | ImplicitFactors:
        if name == FACTORS:
            return fit_factors(choices, strengths, seed)
        return fit_table(name, choices, train, strengths, words, now, sizes)

    # The longest first, so that both threads end at about the same time.
    names = [name for name in (FACTORS, *TABLES) if name in wanted]
    fitted = dict(zip(names, run_all(partial(fit, name) for name in names), strict=True))
    factors = fitted.pop(FACTORS, None)
    give_back_memory()
    return Sources(
        choices,
        cast(dict[str, ItemTable], fitted),
        cast(ImplicitFactors | None, factors),
        trends,
        popularity,
        known,
        find_kin(words.features, known),
        words.features,
    )


def _remember(
    choices: Choices, train: Interactions, now: float
) -> tuple[Any, dict[str, FloatTable], FloatTable]:
    """Return the strengths, the trends, and the popularity at the half-life chosen."""
    remembered = Remembered(train, now=now)
    exponent = choices.weight_exponent
    tells_bought = bool(train.bought.any()) and not bool(train.bought.all())
    trends = {
        name: remembered.popularity(memory, exponent)
        for name, memory in TRENDS.items()
        if tells_bought or not memory.bought_only
    }
    popularity = remembered.popularity(Memory(choices.popularity_half_life_days), exponent)
    return remembered.strengths(Memory(), exponent), trends, popularity


def fit_table(
    name: str,
    choices: Choices,
    train: Interactions,
    strengths: Any,
    words: ProductWords | None,
    now: float,
    sizes: Sizes,
) -> ItemTable:
    """Learn one table; see `fit_sources`. Only "words" needs the words."""
    k = sizes.neighbours[name]
    if name == "ease":
        return fit_ease(choices, train, strengths, k, now=now, max_products=sizes.ease_products)
    if name == "knn":
        return ItemKNN(k, metric=choices.knn_metric, min_people=1).fit(strengths)
    if name == "baskets":
        return ItemKNN(k, history_exponent=0.0).fit(basket_strengths(train, now))
    if name == "rp3":
        return RP3Beta(k, beta=choices.rp3_beta).fit(strengths)
    if name == "sequences":
        return SequenceRules(
            k, gap_s=choices.sequences_gap_s, exponent=choices.sequences_exponent
        ).fit(train)
    assert words is not None
    return words.neighbours


def basket_strengths(train: Interactions, now: float) -> Any:
    """Return what was met together, csr_array of float32 (baskets, products).

    A basket is what one person did under one session id, or without one within
    a day (UTC). All products of a basket have one strength, so that one of 60
    days ago counts half of one of today.
    """
    kept = train.positive()
    day = np.where(kept.visit < 0, kept.time // DAY_S, 0.0)
    order = np.lexsort((day, kept.visit, kept.user))
    begins = np.ones(len(kept), dtype=bool)
    begins[1:] = np.any([np.diff(key[order]) != 0 for key in (kept.user, kept.visit, day)], axis=0)
    basket = np.empty(len(kept), np.int64)
    basket[order] = np.cumsum(begins) - 1
    baskets = coo_array(
        (np.ones(len(kept), np.float32), (basket, kept.product)),
        # A matrix has a row, where nothing was met together too.
        shape=(max(int(basket.max(initial=-1)) + 1, 1), train.shape[1]),
    ).tocsr()
    time = np.zeros(baskets.shape[0])
    np.maximum.at(time, basket, kept.time)
    # A cosine multiplies two strengths: the root of the decay each.
    strength = np.sqrt(decay(now - time, BASKET_HALF_LIFE_DAYS))
    baskets.data = np.repeat(strength, np.diff(baskets.indptr)).astype(np.float32)
    return csr_array(baskets)


def fit_ease(
    choices: Choices, train: Interactions, strengths: Any, k: int, *, now: float, max_products: int
) -> ItemTable:
    """Learn EASE, of the most popular products alone where there are more than `max_products`."""
    if choices.ease_half_life_days is not None:
        strengths = Remembered(train, now=now).strengths(
            Memory(choices.ease_half_life_days), choices.weight_exponent
        )
    if choices.ease_evidence == "binary":
        strengths = csr_array(
            (np.ones_like(strengths.data), strengths.indices, strengths.indptr), strengths.shape
        )
    people = np.bincount(strengths.indices, minlength=strengths.shape[1])
    order = np.lexsort((np.arange(len(people)), -people))
    chosen = np.sort(order[: min(max_products, int((people > 0).sum()))])
    if len(chosen) == 0:
        return WordNeighbours(1).fit(csr_array((len(people), 1), dtype=np.float32))
    table = EASE(choices.ease_regularisation, k=k, max_products=len(chosen)).fit(
        strengths[:, chosen]
    )
    return table if len(chosen) == len(people) else _widen(table, chosen, len(people))


def fit_factors(choices: Choices, strengths: Any, seed: int) -> ImplicitFactors:
    """Learn the factors of the products that somebody met."""
    return ImplicitFactors(
        NUM_FACTORS,
        regularisation=choices.factors_regularisation,
        unobserved_weight=choices.factors_unobserved_weight,
        seed=seed,
    ).fit(strengths)


def _widen(table: ItemTable, chosen: npt.NDArray[Any], num_products: int) -> ItemTable:
    """Return a table that was learned of some products as one of all."""
    few = table.table_matrix()
    lengths = np.zeros(num_products, np.int64)
    lengths[chosen] = np.diff(few.indptr)
    starts = np.concatenate(([0], np.cumsum(lengths)))
    table.n_features_in_ = num_products
    return table._keep_table(
        csr_array((few.data, chosen[few.indices], starts), shape=(num_products, num_products))
    )
