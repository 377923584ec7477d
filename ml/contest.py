"""A contest: the served recipe and every other model, fitted on the same days."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.budget import Budget, Stopwatch
from ml.catalogue import align_catalogue
from ml.content import ContentNeighbours, without_ratings
from ml.estimators.cold import ContentFactors
from ml.estimators.table import sparse_table
from ml.evaluate import Scorer
from ml.parallel import single_threaded_blas
from ml.parts import AGAIN, NEW, SIMILAR
from ml.recipe import Recipe
from ml.scoring import ListScorer, SignalScorer
from ml.signals import FACTORS, SOURCES, TABLES, signal_name
from ml.sizes import choose_sizes
from ml.sources import ProductWords, fit_sources
from ml.splits import ColdProducts, SimilarProducts, Split, draw_people
from ml.tune import tune_choices
from ml.unmet_choice import choose_unmet_order
from ml.weights import MOST_LEARNED_FROM, learn_weights

SERVED = "served"


@dataclass(frozen=True)
class Contest:
    """Fitted models by name, and the recipe of the one that would be served.

    Attributes
    ----------
    scorers : dict of str to callable
        "served" first.
    recipe : Recipe
        With the list that the split asks for.
    validation : dict of str to float
        NDCG@10 in the validation window, see `ml.weights.Learned`.
    """

    scorers: dict[str, Scorer]
    recipe: Recipe
    validation: dict[str, float]


def contestants(
    split: Split,
    catalogue: pd.DataFrame,
    *,
    seed: int,
    budget: Budget | None = None,
    progress: Callable[[str, float], None],
) -> Contest:
    """Tune and weigh on the validation part of `split.train`, fit all models on the whole of it.

    Parameters
    ----------
    split : Split
        Its test questions are never looked at here.
    catalogue : DataFrame
        See `ml.catalogue.align_catalogue`.
    """
    with single_threaded_blas():
        return _hold(split, catalogue, seed, budget, progress)


def _hold(
    split: Split,
    catalogue: pd.DataFrame,
    seed: int,
    budget: Budget | None,
    progress: Callable[[str, float], None],
) -> Contest:
    products = align_catalogue(catalogue, split.train.product_ids)
    sizes = choose_sizes(budget, num_interactions=len(split.train), num_products=len(products))
    words = ProductWords.of(products, neighbours=sizes.neighbours["words"])
    options: dict[str, Any] = {"sizes": sizes, "seed": seed}
    protocol = split.source
    assert protocol is not None
    # What ranks products that nobody met was learned from products that somebody did.
    inner = protocol.inner if isinstance(protocol, ColdProducts) else protocol
    validation = inner.validation().split(split.train)
    choices = tune_choices(
        validation,
        sources=[*TABLES, FACTORS],
        watch=Stopwatch(budget),
        tell=lambda what: progress(f"tune: {what}", 0.1),
        **options,
    )
    is_similar = isinstance(inner, SimilarProducts)
    name = SIMILAR if is_similar else NEW if split.exclude_seen else AGAIN
    progress("weigh", 0.4)
    earlier = fit_sources(choices, validation.train, words, now=validation.cut, **options)
    learned = learn_weights(
        draw_people(validation, MOST_LEARNED_FROM, seed=seed),
        SignalScorer(
            earlier if is_similar else earlier.narrowed(),
            validation.history,
            now=validation.cut,
        ),
        seed=seed,
    )
    if isinstance(protocol, ColdProducts):
        hidden = protocol.validation().split(split.train)
        order = choose_unmet_order(hidden, earlier.narrowed(), learned.weights, seed=seed)
        choices = replace(choices, unmet_order=order)
    progress("fit", 0.7)
    sources = fit_sources(choices, split.train, words, now=split.cut, **options)
    signals = SignalScorer(sources, split.history, now=split.cut)
    served = SignalScorer(
        sources if is_similar else sources.narrowed(), split.history, now=split.cut
    )
    scorers: dict[str, Scorer] = {
        SERVED: ListScorer(served, learned.weights, split.seen if split.exclude_seen else None)
    }
    scorers |= {
        source: _single(signals, _best_memory(source, learned.ndcg))
        for source in SOURCES
        if any(signal_name(source, memory) in learned.ndcg for memory in SOURCES[source])
    }
    if isinstance(protocol, ColdProducts):
        scorers["content_factors"] = _by_content_factors(signals, words)
    scorers["content"] = _by_content(signals, ContentNeighbours().fit(without_ratings(products)))
    scorers["popularity"] = _for_all(sources.trends["trend_all"])
    scorers["recent_popularity"] = _for_all(sources.popularity)
    if isinstance(protocol, ColdProducts):
        scorers = {
            model: scorer if model == SERVED else _without_zeros(scorer)
            for model, scorer in scorers.items()
        }
    return Contest(scorers, Recipe(choices, {name: learned.weights}), learned.ndcg)


def _best_memory(source: str, ndcg: dict[str, float]) -> str:
    names = [signal_name(source, memory) for memory in SOURCES[source]]
    return max((name for name in names if name in ndcg), key=lambda name: ndcg[name])


def _without_zeros(scorer: Scorer) -> Scorer:
    """Rank nothing that a model knows nothing of: in the order of the ids it might do well."""
    return lambda people: np.where((scores := scorer(people)) == 0, -np.inf, scores)


def _single(signals: SignalScorer, signal: str) -> Scorer:
    return lambda people: signals.score(signal, people)


def _for_all(score: npt.NDArray[np.float32]) -> Scorer:
    return lambda people: np.tile(score, (len(people), 1))


def _by_content(signals: SignalScorer, content: ContentNeighbours) -> Scorer:
    table = sparse_table(content.index_, content.score_)
    return lambda people: (signals.strengths("all")[people] @ table).toarray()


def _by_content_factors(signals: SignalScorer, words: ProductWords) -> Scorer:
    """Score products that nobody met by factors that a ridge regression tells from their words."""
    sources = signals.sources
    assert sources.factors is not None
    factors = copy(sources.factors)
    described = np.diff(words.features.indptr) > 0
    teach, told = sources.known & described, ~sources.known & described
    items = factors.item_factors_.copy()
    if teach.any() and told.any():
        model = ContentFactors().fit(words.features[teach], items[teach])
        items[told] = model.predict(words.features[told])
    factors.item_factors_ = items
    return lambda people: factors.transform(signals.strengths("months")[people])
