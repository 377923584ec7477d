"""Choose a recipe on a validation window that lies before the test window."""

from __future__ import annotations

from collections.abc import Iterable
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
from ml.ranking import blocks, top_k
from ml.recipe import Recipe
from ml.split import Split, split_by_time

POPULARITY_HALF_LIVES: tuple[float | None, ...] = (None, 90.0, 30.0, 14.0, 7.0, 3.0, 1.0)
BEHAVIOUR_HALF_LIVES: tuple[float | None, ...] = (None, 180.0, 30.0)
SHARES = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
PRIORS = (0.0, 2.0, 10.0)

FEWEST_PEOPLE = 20
MOST_PEOPLE = 2000
MOST_CELLS = 40_000_000


def tune(
    interactions: Interactions,
    content: ContentNeighbours,
    *,
    cut: float,
    window_s: float,
    exclude_seen: bool = True,
    seed: int = 0,
) -> Recipe:
    """Choose the half-lives and how much popularity is mixed in, by NDCG@10.

    Interactions at or after `cut` are not looked at. With fewer than 20
    people in the validation window the default recipe is returned.

    Parameters
    ----------
    interactions : Interactions
    content : ContentNeighbours
        Fitted over the same products.
    cut : float
        Unix seconds: the beginning of the test window.
    window_s : float
        Length of the validation window, which ends at `cut`.
    seed : int
        Draws the validation people where there are very many.
    """
    split = split_by_time(interactions, cut - window_s, end=cut, exclude_seen=exclude_seen)
    if len(split.people) < FEWEST_PEOPLE:
        return Recipe()
    people = _draw_people(split, seed)
    half_life = choose_popularity_half_life(split, people)
    recipe = replace(Recipe(), popularity_half_life_days=half_life)
    choices = (
        choice
        for behaviour_half_life in BEHAVIOUR_HALF_LIVES
        for choice in _score_mixtures(
            replace(recipe, behaviour_half_life_days=behaviour_half_life), split, content, people
        )
    )
    return _best(choices)


def choose_popularity_half_life(
    split: Split, people: npt.NDArray[np.int32] | None = None
) -> float | None:
    """Return the half-life with the best NDCG@10 over the validation people."""

    def ndcg_of(half_life: float | None) -> float:
        model = RecentPopularity(half_life).fit(split.train, now=split.cut)
        return evaluate_fixed(model.score_, split, people)

    return max(POPULARITY_HALF_LIVES, key=ndcg_of)


def evaluate_fixed(
    score: npt.NDArray[np.float32], split: Split, people: npt.NDArray[np.int32] | None = None
) -> float:
    """Return the mean NDCG@10 of one list for everybody."""
    result = evaluate(lambda rows: np.tile(score, (len(rows), 1)), split, people=people)
    return result.means()["ndcg_at_10"]


def _score_mixtures(
    recipe: Recipe, split: Split, content: ContentNeighbours, people: npt.NDArray[np.int32]
) -> Iterable[tuple[float, Recipe]]:
    """Score every mixture from one fit: only the mixing differs."""
    model = Blend(recipe).fit(split.train, content, now=split.cut)
    popularity = scale_rows(model.popularity_.score_)
    barred_for_all = unknown_products(split)
    mixtures = list(product(SHARES, PRIORS))
    totals = np.zeros(len(mixtures))
    for rows in blocks(len(people), len(popularity)):
        personal = model.personal_scores(people[rows])
        num_met = model.num_met(people[rows])
        truth = split.truth[people[rows]].toarray()
        mask = barred(split, people[rows], barred_for_all)
        for place, (share, prior) in enumerate(mixtures):
            mixed = mix(personal, popularity, popularity_share(num_met, share=share, prior=prior))
            mixed[mask] = -np.inf
            top, _ = top_k(mixed, NDCG_AT)
            totals[place] += ndcg_at_10(top, truth).sum()
    for total, (share, prior) in zip(totals, mixtures, strict=True):
        yield total, replace(recipe, popularity_share=share, popularity_prior=prior)


def _best(choices: Iterable[tuple[float, Recipe]]) -> Recipe:
    return max(choices, key=lambda choice: choice[0])[1]


def _draw_people(split: Split, seed: int) -> npt.NDArray[np.int32]:
    most = min(MOST_PEOPLE, max(MOST_CELLS // max(split.train.shape[1], 1), 300))
    if len(split.people) <= most:
        return split.people
    drawn = np.random.default_rng(seed).choice(len(split.people), most, replace=False)
    return split.people[np.sort(drawn)]
