"""Choose what puts products that nobody met in order: their kin, or words alone."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ml.cold import find_kin
from ml.dataset import Interactions
from ml.evaluate import evaluate
from ml.intervals import PerQuestion, paired_interval
from ml.parallel import run_all
from ml.recipe import ListWeights
from ml.scoring import ListScorer, SignalScorer
from ml.sources import Sources
from ml.splits import ColdProducts, Protocol, Split, draw_people
from ml.splits.split import known_products
from ml.unmet import KIN, WORDS

FEWEST_ASKED = 20
MOST_ASKED = 500
#: Of the products met so many at most are hidden.
MOST_HIDDEN = 1500


def hide_products(protocol: Protocol, train: Interactions, *, seed: int) -> Split:
    """Return the questions of a protocol about products of which all is hidden."""
    met = max(int(known_products(train).sum()), 1)
    share = min(ColdProducts(protocol).share, MOST_HIDDEN / met)
    return ColdProducts(protocol, share=share, seed=seed).split(train)


def choose_unmet_order(split: Split, sources: Sources, weights: ListWeights, *, seed: int) -> str:
    """Return one of `ml.unmet.ORDERS`: words where they are proven better than kin.

    The paired 95 % interval of the difference of their NDCG@10 must lie above zero.

    Parameters
    ----------
    split : Split
        Of a validation window, about products that are hidden; nothing after it is looked at.
    sources : Sources
        Fitted before that window, with what was met of the hidden products: both orders are
        made of the same scores of the others, and fits without them told the same where it was
        tried.
    weights : ListWeights
    seed : int
        Draws the people, and of the bootstrap.
    """
    assert split.rankable is not None
    asked = draw_people(split, MOST_ASKED, seed=seed)
    if len(asked.people) < FEWEST_ASKED:
        return KIN
    known = sources.known & ~split.rankable
    hidden = replace(sources, known=known, kin=find_kin(sources.features, known))

    def judge(order: str) -> PerQuestion:
        chosen = replace(hidden, choices=replace(sources.choices, unmet_order=order))
        signals = SignalScorer(chosen, asked.history, now=asked.cut)
        scorer = ListScorer(signals, weights, asked.seen if asked.exclude_seen else None)
        return evaluate(scorer, asked).ndcg

    by_kin, by_words = run_all(partial(judge, order) for order in (KIN, WORDS))
    _, low, _ = paired_interval(by_words, by_kin, seed=seed, person=asked.person)
    return WORDS if low > 0 else KIN
