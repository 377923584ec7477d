"""Judge the lists of a recipe against its baselines and the champion's recipe."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ml.content import ContentNeighbours
from ml.estimators.table import sparse_table
from ml.evaluate import Evaluation, Scorer, evaluate
from ml.gate import Decision, decide
from ml.intervals import paired_interval
from ml.parts import AGAIN, NEW, SIMILAR, promoted_lists
from ml.questions import Question
from ml.recipe import ListWeights, Recipe
from ml.scoring import ListScorer, SignalScorer
from ml.similar import find_similar, rank_similar
from ml.sources import ProductWords, Sources, fit_sources
from ml.splits.similar import products_given
from ml.splits.split import Rows, Split

Interval = tuple[float, float, float]


@dataclass(frozen=True)
class Judgement:
    """How one list of a model did.

    Attributes
    ----------
    decision : Decision
    loses_champion : bool
        Whether serving the candidate would lose what the champion does well:
        the champion serves this list, the candidate may not, and the
        champion's recipe is not rejected by the same questions.
    num_asked : int
    metrics, baselines, intervals, by_history_length : dict
        See `ml.result.TrainingResult`.
    """

    decision: Decision
    loses_champion: bool
    num_asked: int
    metrics: dict[str, float] = field(default_factory=dict)
    baselines: dict[str, dict[str, float]] = field(default_factory=dict)
    intervals: dict[str, Interval] = field(default_factory=dict)
    by_history_length: dict[str, dict[str, float]] = field(default_factory=dict)

    def as_figures(self) -> dict[str, Any]:
        """Return what is kept of it with a run and in a manifest."""
        return {
            "status": self.decision.status,
            "reason": self.decision.reason,
            "asked": self.num_asked,
            **self.decision.figures,
            "metrics": self.metrics,
            "baselines": self.baselines,
            "intervals": self.intervals,
            "by_history_length": self.by_history_length,
        }


@dataclass(frozen=True, eq=False)
class Contestant:
    """A recipe and its sources, fitted on what came before the cut."""

    recipe: Recipe
    sources: Sources

    def scorer(self, question: Question, content: ContentNeighbours) -> Scorer:
        """Return the scores of one list, in the very order in which it is served."""
        weights, split = self.recipe.lists[question.name], question.test
        if question.name == SIMILAR:
            return self._similar(weights, split, content)
        signals = SignalScorer(self.sources.narrowed(), split.history, now=split.cut)
        return ListScorer(signals, weights, split.seen if split.exclude_seen else None)

    def _similar(self, weights: ListWeights, split: Split, content: ContentNeighbours) -> Scorer:
        given = np.unique(products_given(split, split.people))
        asked = given[self.sources.known[given]]
        index, _ = find_similar(self.sources, weights, asked, split.train.product_ids)
        tables = (index, content.index_)
        return lambda people: rank_similar(
            products_given(split, people), tables, self.sources.popularity
        )


def fit_contestants(
    recipe: Recipe,
    champion: Recipe | None,
    train: Any,
    words: ProductWords,
    *,
    cut: float,
    besides: Collection[str] = (),
    **options: Any,
) -> tuple[Contestant, Contestant | None]:
    """Fit both recipes alike before the cut, since a served model has seen the days after it.

    `besides` names sources that are judged though no list needs them.
    """

    def fit(chosen: Recipe, only: Collection[str]) -> Contestant:
        sources = fit_sources(chosen.choices, train, words, now=cut, only=only, **options)
        return Contestant(chosen, sources)

    candidate = fit(recipe, recipe.sources | frozenset(besides))
    if champion is None:
        return candidate, None
    if champion.choices == recipe.choices and champion.sources <= candidate.sources.names:
        return candidate, Contestant(champion, candidate.sources)
    return candidate, fit(champion, champion.sources)


def judge_list(
    question: Question,
    candidate: Contestant,
    champion: Contestant | None,
    content: ContentNeighbours,
    *,
    best_signal: str | None,
    champion_parts: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Judgement:
    """Judge one list by questions that nothing was chosen by.

    Parameters
    ----------
    question : Question
    candidate, champion : Contestant
        Fitted before the cut of the question.
    content : ContentNeighbours
        The 70/20/10 formula, a baseline.
    best_signal : str or None
        The signal that did best alone on the validation window, another baseline.
    champion_parts : mapping, optional
        How the lists of the champion were judged. Where it does not serve this one, its
        recipe is evaluated too, but the candidate need not be as good.
    seed : int
        Of the bootstrap.
    """
    split, sources = question.test, candidate.sources
    signals = SignalScorer(sources, split.history, now=split.cut)
    content_table = sparse_table(content.index_, content.score_)
    scorers: dict[str, Scorer] = {
        "candidate": candidate.scorer(question, content),
        "popularity": _for_all(sources.trends["trend_all"]),
        "recent_popularity": _for_all(sources.popularity),
        "content": lambda people: (signals.strengths("all")[people] @ content_table).toarray(),
    }
    if best_signal is not None:
        scorers[f"best single ({best_signal})"] = lambda people: signals.score(best_signal, people)
    if champion is not None and question.name in champion.recipe.lists:
        scorers["champion"] = champion.scorer(question, content)
    results = {name: evaluate(scorer, split) for name, scorer in scorers.items()}
    served = question.name in promoted_lists(champion_parts)
    standing = read_standing(champion_parts, question.name) if served else None
    return _judge(results, question, standing, seed)


def read_standing(parts: Mapping[str, Any] | None, name: str) -> float:
    """Return how a list of the champion stood when it was judged, see `ml.gate.decide`."""
    standing = ((parts or {}).get(name) or {}).get("standing")
    return standing if isinstance(standing, float) and 0 < standing <= 1 else 1.0


def _judge(
    results: Mapping[str, Evaluation], question: Question, standing: float | None, seed: int
) -> Judgement:
    """Decide on one list. `standing` is that of the champion's; None: it serves no such list."""
    baselines = dict(results)
    candidate = baselines.pop("candidate")
    popular = baselines["recent_popularity"].ndcg
    rival = None if standing is None else baselines.get("champion")
    asked = "people" if question.name in (NEW, AGAIN) else "questions"
    person = question.test.person
    decision = decide(
        candidate.ndcg,
        popular,
        None if rival is None else rival.ndcg,
        person=person,
        standing=1.0 if standing is None else standing,
        coverage=(candidate.coverage, None if rival is None else rival.coverage),
        asked=asked,
        seed=seed,
    )
    loses_champion = (
        rival is not None
        and not decision.promote
        and decide(rival.ndcg, popular, person=person, asked=asked, seed=seed).status != "rejected"
    )
    return Judgement(
        replace(decision, reason=f"{decision.reason}; judged by the {question.test.protocol}"),
        loses_champion,
        len(question.test.people),
        candidate.means(),
        {name: baseline.means() for name, baseline in baselines.items()},
        _intervals(candidate, baselines, person, seed),
        candidate.by_history_length(),
    )


def _intervals(
    candidate: Evaluation, baselines: Mapping[str, Evaluation], person: Rows, seed: int
) -> dict[str, Interval]:
    intervals = {"ndcg_at_10": paired_interval(candidate.ndcg, seed=seed, person=person)}
    for name, baseline in baselines.items():
        difference = paired_interval(candidate.ndcg, baseline.ndcg, seed=seed, person=person)
        intervals[f"ndcg_at_10_minus_{name}"] = difference
    return intervals


def _for_all(score: Any) -> Scorer:
    return lambda people: np.tile(score, (len(people), 1))
