"""Choose a recipe on a validation window that lies before the test window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import numpy.typing as npt

from ml.blend import Blend
from ml.content import ContentNeighbours
from ml.dataset import Interactions
from ml.evaluate import NDCG_AT, barred, evaluate, ndcg_at_10, unknown_products
from ml.mixing import mix, popularity_share, scale_rows
from ml.popularity import RecentPopularity
from ml.protocol import split_as
from ml.ranking import blocks, top_k
from ml.recipe import Recipe
from ml.split import RETURNING, Split, draw_people

POPULARITY_HALF_LIVES: tuple[float | None, ...] = (None, 90.0, 30.0, 14.0, 7.0, 3.0, 1.0)
BEHAVIOUR_HALF_LIVES: tuple[float | None, ...] = (None, 180.0, 30.0)
BEHAVIOUR_NEIGHBOURS = (20, 50, 100)
CONTENT_WEIGHTS = (0.05, 0.2, 1.0)
# Popularity alone is the baseline that the gate compares with: a part of every list is personal.
SHARES = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.85)
PRIORS = (0.0, 2.0, 10.0)

FEWEST_PEOPLE = 20
MOST_PEOPLE = 2000
MOST_CELLS = 40_000_000

Mixture = tuple[float, float]
Scored = tuple[float, Blend]


def tune(
    interactions: Interactions,
    content: ContentNeighbours,
    *,
    cut: float,
    window_s: float,
    exclude_seen: bool = True,
    protocol: str = RETURNING,
    seed: int = 0,
) -> Recipe:
    """Choose half-lives, neighbours and how much popularity is mixed in, by NDCG@10.

    One after the other: the half-life of popularity; that of behaviour with
    the number of neighbours and the share of popularity; how popularity lets
    go as evidence grows; the weight of content. Interactions at or after
    `cut` are not looked at. With fewer than 20 people in the validation
    window the default recipe is returned.

    Parameters
    ----------
    interactions : Interactions
    content : ContentNeighbours
        Fitted over the same products.
    cut : float
        Unix seconds: the beginning of the test window.
    window_s : float
        Length of the validation window, which ends at `cut`.
    protocol : str
        That of the test window, see `ml.protocol`.
    seed : int
        Draws the validation people where there are very many.
    """
    split = split_as(protocol, interactions, cut - window_s, end=cut, exclude_seen=exclude_seen)
    if len(split.people) < FEWEST_PEOPLE:
        return Recipe()
    split = draw_people(split, _most_people(split), seed=seed)
    recipe = Recipe(popularity_half_life_days=choose_popularity_half_life(split))
    best = _best(_vary_behaviour(recipe, split, content))
    best = _best(_vary_mixture(best[1], split, list(product(SHARES, PRIORS))))
    return _best(_vary_content_weight(best, split, content))[1].recipe


def choose_popularity_half_life(split: Split) -> float | None:
    """Return the half-life with the best NDCG@10 over the validation people."""

    def ndcg_of(half_life: float | None) -> float:
        model = RecentPopularity(half_life).fit(split.train, now=split.cut)
        return evaluate_fixed(model.score_, split)

    return max(POPULARITY_HALF_LIVES, key=ndcg_of)


def evaluate_fixed(score: npt.NDArray[np.float32], split: Split) -> float:
    """Return the mean NDCG@10 of one list for everybody."""
    result = evaluate(lambda rows: np.tile(score, (len(rows), 1)), split)
    return result.means()["ndcg_at_10"]


def _vary_behaviour(recipe: Recipe, split: Split, content: ContentNeighbours) -> Iterator[Scored]:
    """Fit once for each half-life: fewer neighbours are the first of many."""
    mixtures = [(share, recipe.popularity_prior) for share in SHARES]
    most = max(BEHAVIOUR_NEIGHBOURS)
    for half_life in BEHAVIOUR_HALF_LIVES:
        widest = Blend(
            replace(recipe, behaviour_half_life_days=half_life, behaviour_neighbours=most)
        ).fit(split.train, content, now=split.cut, history=split.history)
        for neighbours in BEHAVIOUR_NEIGHBOURS:
            model = widest.vary(content, behaviour_neighbours=neighbours)
            yield from _vary_mixture(model, split, mixtures)


def _vary_content_weight(
    best: Scored, split: Split, content: ContentNeighbours
) -> Iterator[Scored]:
    # The best so far comes first, since weights that change nothing are as good.
    yield best
    recipe = best[1].recipe
    mixture = (recipe.popularity_share, recipe.popularity_prior)
    for weight in CONTENT_WEIGHTS:
        if weight != recipe.content_weight:
            model = best[1].vary(content, content_weight=weight)
            yield from _vary_mixture(model, split, [mixture])


def _vary_mixture(model: Blend, split: Split, mixtures: Sequence[Mixture]) -> Iterator[Scored]:
    """Score every mixture from the same personal scores: only the mixing differs."""
    popularity = scale_rows(model.popularity_.score_)
    barred_for_all = unknown_products(split)
    totals = np.zeros(len(mixtures))
    for rows in blocks(len(split.people), len(popularity)):
        people = split.people[rows]
        personal = model.personal_scores(people)
        num_met = model.num_met(people)
        truth = split.truth[people].toarray()
        mask = barred(split, people, barred_for_all)
        for place, (share, prior) in enumerate(mixtures):
            mixed = mix(personal, popularity, popularity_share(num_met, share=share, prior=prior))
            mixed[mask] = -np.inf
            top, _ = top_k(mixed, NDCG_AT)
            totals[place] += ndcg_at_10(top, truth).sum()
    for total, (share, prior) in zip(totals.tolist(), mixtures, strict=True):
        yield total, model.remix(share=share, prior=prior)


def _best(scored: Iterator[Scored]) -> Scored:
    return max(scored, key=lambda pair: pair[0])


def _most_people(split: Split) -> int:
    return min(MOST_PEOPLE, max(MOST_CELLS // max(split.train.shape[1], 1), 300))
