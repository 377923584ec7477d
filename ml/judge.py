"""Judge a recipe against its baselines: its lists for people, and its similar products."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ml.behaviour import neighbour_matrix
from ml.blend import Blend
from ml.content import ContentNeighbours
from ml.evaluate import Evaluation, Scorer, evaluate, paired_interval
from ml.gate import Decision, decide
from ml.popularity import RecentPopularity
from ml.protocol import explain
from ml.questions import products_given
from ml.recipe import Recipe
from ml.similar import rank_similar
from ml.split import Split

Interval = tuple[float, float, float]


@dataclass(frozen=True)
class Judgement:
    """How one part of a model did.

    Attributes
    ----------
    decision : Decision
    loses_champion : bool
        Whether serving the candidate would lose what the champion does well:
        the champion serves this part, the candidate may not, and the
        champion's recipe is not rejected by the same questions.
    num_asked : int
    metrics, baselines, intervals : dict
        See `ml.result.TrainingResult`; empty where nobody was asked.
    """

    decision: Decision
    loses_champion: bool
    num_asked: int
    metrics: dict[str, float] = field(default_factory=dict)
    baselines: dict[str, dict[str, float]] = field(default_factory=dict)
    intervals: dict[str, Interval] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Contestants:
    """The models that are compared, fitted on what came before the cut.

    Attributes
    ----------
    candidate : Blend
    champion : Blend or None
    content : ContentNeighbours
    """

    candidate: Blend
    champion: Blend | None
    content: ContentNeighbours


def fit_contestants(
    recipe: Recipe, champion: Recipe | None, split: Split, content: ContentNeighbours
) -> Contestants:
    """Fit both recipes alike before the cut, since a served model has seen the days after it."""

    def fit(chosen: Recipe) -> Blend:
        return Blend(chosen).fit(split.train, content, now=split.cut, history=split.history)

    return Contestants(fit(recipe), None if champion is None else fit(champion), content)


def judge_lists(
    contestants: Contestants, split: Split, *, champion_serves: bool = True, seed: int = 0
) -> Judgement:
    """Judge the lists for people.

    Parameters
    ----------
    contestants : Contestants
    split : Split
        That which they were fitted by.
    champion_serves : bool
        Whether the champion serves this part; where it does not, its recipe
        is evaluated too, but the candidate need not be as good.
    seed : int
        Of the bootstrap.
    """
    model, content = contestants.candidate, contestants.content
    plain = RecentPopularity().fit(split.train, now=split.cut)
    content_table = neighbour_matrix(content.index_, content.score_)
    scorers: dict[str, Scorer] = {
        "candidate": model.score,
        "popularity": lambda people: np.tile(plain.score_, (len(people), 1)),
        "recent_popularity": lambda people: np.tile(model.popularity_.score_, (len(people), 1)),
        "content": lambda people: (model.history_[people] @ content_table).toarray(),
        "behaviour": model.personal_scores,
    }
    if contestants.champion is not None:
        scorers["champion"] = contestants.champion.score
    return _judge(scorers, split, "people", champion_serves, seed)


def judge_similar(
    contestants: Contestants, split: Split, *, champion_serves: bool = True, seed: int = 0
) -> Judgement:
    """Judge similar products, in the very order in which serving names them.

    Parameters
    ----------
    contestants : Contestants
        Fitted before the cut of `split`.
    split : Split
        From `ml.questions.split_by_first_product`.
    champion_serves, seed
        See `judge_lists`.
    """
    model, content = contestants.candidate, contestants.content

    def by(*tables: Any, popularity: Any = None) -> Scorer:
        return lambda people: rank_similar(products_given(split, people), tables, popularity)

    def as_served(blend: Blend) -> Scorer:
        return by(blend.behaviour_.index_, content.index_, popularity=blend.popularity_.score_)

    scorers: dict[str, Scorer] = {
        "candidate": as_served(model),
        "recent_popularity": lambda people: np.tile(model.popularity_.score_, (len(people), 1)),
        "content": by(content.index_),
        "behaviour": by(model.behaviour_.index_),
    }
    if contestants.champion is not None:
        scorers["champion"] = as_served(contestants.champion)
    return _judge(scorers, split, "questions", champion_serves, seed)


def _judge(
    scorers: Mapping[str, Scorer], split: Split, asked: str, champion_serves: bool, seed: int
) -> Judgement:
    baselines = {name: evaluate(scorer, split) for name, scorer in scorers.items()}
    candidate = baselines.pop("candidate")
    popular = baselines["recent_popularity"].ndcg
    rival = baselines["champion"].ndcg if champion_serves and "champion" in baselines else None
    decision = decide(candidate.ndcg, popular, rival, asked=asked, seed=seed)
    loses_champion = (
        rival is not None
        and not decision.promote
        and decide(rival, popular, asked=asked, seed=seed).status != "rejected"
    )
    if decision.status == "skipped":
        return Judgement(decision, loses_champion, 0)
    return Judgement(
        replace(decision, reason=f"{decision.reason}; {explain(split)}"),
        loses_champion,
        len(split.people),
        candidate.means(),
        {name: baseline.means() for name, baseline in baselines.items()},
        _intervals(candidate, baselines, seed),
    )


def _intervals(
    candidate: Evaluation, baselines: Mapping[str, Evaluation], seed: int
) -> dict[str, Interval]:
    intervals = {"ndcg_at_10": paired_interval(candidate.ndcg, seed=seed)}
    for name, baseline in baselines.items():
        difference = paired_interval(candidate.ndcg, baseline.ndcg, seed=seed)
        intervals[f"ndcg_at_10_minus_{name}"] = difference
    return intervals
