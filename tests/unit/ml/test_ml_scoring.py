"""What is computed of few cells is what all of them would say."""

from __future__ import annotations

import numpy as np
import pytest

from ml.candidates import find_candidates
from ml.recipe import ListWeights
from ml.scoring import ListScorer, SignalScorer, bar, one_each, rank_neighbours
from ml.signals import OWN, SIGNALS, TRENDS, scale
from ml.splits import TimeWindow, met_matrix


def weights_of(sources, *, own):
    random = np.random.default_rng(5)
    return ListWeights(
        {
            name: tuple(random.normal(size=2).tolist())
            for name, (source, _) in SIGNALS.items()
            if source in sources.names and (own or source != OWN)
        },
        {name: tuple(random.normal(size=2).tolist()) for name in TRENDS},
    )


def test_similar_products_are_those_of_the_list_that_weighs_every_memory(served, monkeypatch):
    sources, product_ids = served.sources, served.data.product_ids
    weights = weights_of(sources, own=True)
    alone = one_each(np.flatnonzero(sources.known), product_ids)
    signals = SignalScorer(sources, alone, now=0.0)
    every = np.arange(alone.shape[0], dtype=np.int32)

    monkeypatch.setattr("ml.ranking.CELLS_PER_BLOCK", 3 * sources.num_products)
    index, score = rank_neighbours(sources, weights, alone, 5)

    whole = ListScorer(signals, weights, met_matrix(alone))(every)
    row, place = np.nonzero(index >= 0)
    found = whole[row, index[row, place]]
    assert score[row, place] == pytest.approx(1 / (1 + np.exp(-found)), rel=1e-4)
    assert (np.diff(score, axis=1) <= 0).all()
    named = sum(
        signals.score(name, every) > 0
        for name in weights.signals
        if SIGNALS[name][0] in sources.tables
    )
    barred = bar(sources.known, met_matrix(alone), every)
    possible = (named > 0) & ~barred
    assert (np.sum(index >= 0, axis=1) == np.minimum(possible.sum(axis=1), 5)).all()
    best = np.where(possible, whole, -np.inf).max(axis=1)
    assert best[index[:, 0] >= 0] == pytest.approx(whole[every, index[:, 0]][index[:, 0] >= 0])


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_candidates_are_the_best_of_each_signal_with_the_shares_of_all(
    served, exclude_seen, monkeypatch
):
    monkeypatch.setattr("ml.candidates.PER_SIGNAL", 3)
    data = served.data
    cut = float(np.quantile(data.time, 0.7))
    split = TimeWindow(cut, exclude_seen=exclude_seen).split(data)
    scorer = SignalScorer(served.sources, split.history, now=cut)
    signals = list(weights_of(served.sources, own=not exclude_seen).signals)

    found = find_candidates(split, scorer, signals)

    barred = bar(served.sources.known, split.seen if exclude_seen else None, split.people)
    chosen = np.zeros(barred.shape, bool)
    for column, name in enumerate(signals):
        scores = scorer.score(name, split.people)
        allowed = np.where(barred, 0, scores)
        shares = scale(scores, allowed.max(axis=1, initial=0.0)[:, None])
        assert found.shares[:, column] == pytest.approx(
            shares[found.question, found.product], abs=1e-6
        )
        mark(chosen, np.where(barred, 0, shares))
    for trend in served.sources.trends.values():
        mark(chosen, np.where(barred, 0, trend))
    question, product = np.nonzero(chosen)
    assert found.question.tolist() == question.tolist()
    assert found.product.tolist() == product.tolist()
    assert (found.hit == split.truth[split.people].toarray()[question, product]).all()


def mark(chosen, shares):
    best = np.argsort(-shares, axis=1, kind="stable")[:, :3]
    row, place = np.nonzero(np.take_along_axis(shares, best, axis=1) > 0)
    chosen[row, best[row, place]] = True
