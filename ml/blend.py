"""The served model, as it is trained: neighbours of a person's products mixed with popularity."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.behaviour import BehaviourNeighbours, neighbour_matrix
from ml.content import ContentNeighbours
from ml.dataset import Interactions, strength_matrix
from ml.mixing import FloatArray, mix, popularity_share, scale_rows
from ml.popularity import RecentPopularity
from ml.recipe import Recipe


class Blend:
    """Behaviour neighbours, content neighbours for products that have none, popularity.

    Parameters
    ----------
    recipe : Recipe

    Attributes
    ----------
    behaviour_ : BehaviourNeighbours
    popularity_ : RecentPopularity
    history_ : csr_array, shape (people, products)
        Strengths of what each person is known by, faded like those the
        neighbours are learned from.
    table_ : csr_array, shape (products, products)
        The neighbours that a met product speaks for.
    """

    behaviour_: BehaviourNeighbours
    popularity_: RecentPopularity

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def fit(
        self,
        interactions: Interactions,
        content: ContentNeighbours,
        *,
        now: float,
        history: Interactions | None = None,
    ) -> Blend:
        """Learn from interactions.

        Parameters
        ----------
        interactions : Interactions
        content : ContentNeighbours
            Already fitted over the same products.
        now : float
            Unix seconds from which ages are counted.
        history : Interactions, optional
            What people are known by when they are scored; nothing is learned
            from it. By default the interactions.
        """
        recipe = self.recipe
        half_life_days = recipe.behaviour_half_life_days
        learned = strength_matrix(interactions, now=now, half_life_days=half_life_days)
        self.history_ = learned
        if history is not None and history is not interactions:
            self.history_ = strength_matrix(history, now=now, half_life_days=half_life_days)
        self.behaviour_ = BehaviourNeighbours(
            recipe.behaviour_neighbours,
            shrinkage=recipe.behaviour_shrinkage,
            min_people=recipe.behaviour_min_people,
        ).fit(learned)
        self.popularity_ = RecentPopularity(recipe.popularity_half_life_days).fit(
            interactions, now=now
        )
        self.table_ = personal_table(self.behaviour_, content, recipe.content_weight)
        return self

    def remix(self, *, share: float, prior: float) -> Blend:
        """Return the same model with another mixture of popularity."""
        remixed = copy.copy(self)
        remixed.recipe = replace(self.recipe, popularity_share=share, popularity_prior=prior)
        return remixed

    def vary(self, content: ContentNeighbours, **changes: Any) -> Blend:
        """Return the model with fewer neighbours or another content weight; nothing is learned."""
        varied = copy.copy(self)
        varied.recipe = replace(self.recipe, **changes)
        varied.behaviour_ = self.behaviour_.first(varied.recipe.behaviour_neighbours)
        varied.table_ = personal_table(varied.behaviour_, content, varied.recipe.content_weight)
        return varied

    def personal_scores(self, people: npt.NDArray[Any]) -> FloatArray:
        """Return the scaled scores without popularity, shape (people, products)."""
        return scale_rows((self.history_[people] @ self.table_).toarray())

    def score(self, people: npt.NDArray[Any]) -> FloatArray:
        """Return the mixed scores of people by row number, shape (people, products)."""
        part = popularity_share(
            self.num_met(people),
            share=self.recipe.popularity_share,
            prior=self.recipe.popularity_prior,
        )
        popularity = scale_rows(self.popularity_.score_)
        return mix(self.personal_scores(people), popularity, part)

    def num_met(self, people: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Return how many products each person has met."""
        met: npt.NDArray[np.int64] = np.diff(self.history_.indptr)[people]
        return met


def personal_table(
    behaviour: BehaviourNeighbours, content: ContentNeighbours, content_weight: float
) -> Any:
    """Return the neighbours a met product speaks for: behaviour, else weighted content."""
    has_behaviour = (behaviour.index_ >= 0).any(axis=1, keepdims=True)
    fallback = np.where(has_behaviour, np.int32(-1), content.index_)
    return neighbour_matrix(behaviour.index_, behaviour.score_) + neighbour_matrix(
        fallback, content.score_ * np.float32(content_weight)
    )
