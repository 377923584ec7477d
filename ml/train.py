"""Training: from interactions and a catalogue to a judged artefact."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from ml.artefact import describe, pack
from ml.budget import Budget, Stopwatch, give_back_memory
from ml.catalogue import align_catalogue, list_products
from ml.content import ContentNeighbours, without_ratings
from ml.dataset import DAY_S, Interactions
from ml.gate import TITLES, decide_artefact, decide_serving
from ml.judge import Judgement, fit_contestants, judge_list
from ml.parallel import run_all, single_threaded_blas
from ml.parts import SIMILAR, promoted_lists
from ml.questions import Question, choose_questions
from ml.recipe import Choices, Recipe, RecipeError
from ml.result import TrainingResult, build_manifest, judged_figures, model_arrays
from ml.scoring import SignalScorer
from ml.signals import FACTORS, SIGNALS, TABLES
from ml.similar import make_similar
from ml.sizes import Sizes, choose_sizes
from ml.sources import ProductWords, fit_sources
from ml.splits.split import Split, draw_people, met_matrix
from ml.splits.window import choose_window_days
from ml.trial import try_model
from ml.tune import tune_choices
from ml.unmet_choice import choose_unmet_order, hide_products
from ml.weights import MOST_LEARNED_FROM, Learned, learn_weights

Progress = Callable[[str, float], None]

FEWEST_INTERACTIONS = 50
FEWEST_PEOPLE = 5
FEWEST_PRODUCTS = 5
NUM_CONTENT = 30
#: Share of the whole that is done when a stage begins, about.
STAGES = {
    "content": 0.0, "tune": 0.03, "weigh": 0.4, "evaluate": 0.6, "refit": 0.85, "pack": 0.97
}  # fmt: skip


def train(
    interactions: Interactions,
    catalogue: pd.DataFrame,
    *,
    now: datetime,
    seed: int = 0,
    champion_recipe: Mapping[str, Any] | None = None,
    champion_parts: Mapping[str, Any] | None = None,
    budget: Budget | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Tune and weigh, judge, refit on everything and pack.

    The test window is the last 20 % of the time span, an hour to 30 days; what was
    chosen was chosen in the window before it. Each list is judged by questions
    of its own, see `ml.questions`, and served for itself. Equal data and seed
    give equal bytes, unless the budget of time ends tuning, which depends on the machine.

    Parameters
    ----------
    interactions : Interactions
        Those after `now` are left out.
    catalogue : DataFrame
        product_id and any of name, category, price, gender, color, material,
        size, avg_rating, review_count.
    now : datetime
        With a time zone.
    seed : int
        Of the bootstrap, the factors, and the drawing of people.
    champion_recipe : mapping, optional
        The recipe in the manifest of the served model. It is fitted before
        the cut like the candidate, since the served model itself has seen
        the days it would be judged on.
    champion_parts : mapping, optional
        The parts in that manifest. What it does not serve the candidate need
        not do as well.
    budget : Budget, optional
        Of time, what tuning may take is a share; of memory, see `ml.sizes`.
    progress : callable, optional
        Called with the name of each stage as it begins, and the share of the whole that is done.
    """
    if now.tzinfo is None:
        raise ValueError(f"now must have a time zone, got {now}")
    at = now.timestamp()
    known = interactions.before(np.nextafter(at, np.inf))
    known = known.with_products(list_products(catalogue, known.product_ids))
    refusal = find_too_little(known)
    if refusal:
        return TrainingResult("skipped", refusal, len(known), known.shape[1])
    with single_threaded_blas():
        return _train(
            known,
            catalogue,
            now,
            seed,
            _read_champion(champion_recipe),
            champion_parts,
            _Watch(progress, Stopwatch(budget)),
        )


def _train(
    known: Interactions,
    catalogue: pd.DataFrame,
    now: datetime,
    seed: int,
    champion: tuple[Recipe | None, str],
    champion_parts: Mapping[str, Any] | None,
    watch: _Watch,
) -> TrainingResult:
    sizes = choose_sizes(
        watch.stopwatch.budget, num_interactions=len(known), num_products=known.shape[1]
    )
    with watch.stage("content"):
        products = align_catalogue(catalogue, known.product_ids)
        content, words = read_content(products, sizes)
        window_s = choose_window_days(known) * DAY_S
        questions = choose_questions(known, window_s=window_s, seed=seed)
    if not questions:
        return TrainingResult("skipped", decide_artefact({}).reason, len(known), known.shape[1])
    options: dict[str, Any] = {"sizes": sizes, "seed": seed}
    with watch.stage("tune"):
        choices = tune_choices(
            questions[0].validation(),
            sources=[*TABLES, FACTORS],
            watch=watch.stopwatch,
            tell=watch.tell,
            **options,
        )
    with watch.stage("weigh"):
        choices, learned = learn_lists(questions, choices, words, **options)
        recipe = Recipe(choices, {name: found.weights for name, found in learned.items()})
    with watch.stage("evaluate"):
        judged_content = content
        if products["avg_rating"].notna().any():
            judged_content = ContentNeighbours(NUM_CONTENT).fit(without_ratings(products))
        judged = judge_lists(
            questions,
            recipe,
            champion[0],
            learned,
            words,
            judged_content,
            champion_parts,
            options,
        )
    decision = decide_artefact(
        {name: judgement.decision for name, judgement in judged.items()},
        [name for name, judgement in judged.items() if judgement.loses_champion],
    )
    unasked = sorted(promoted_lists(champion_parts) - set(judged))
    if unasked:
        names = " and ".join(TITLES[name] for name in unasked)
        decision = replace(
            decision, reason=f"{decision.reason} The data no longer ask for the champion's {names}."
        )
    decision = replace(decision, reason=decision.reason + champion[1])
    figures = judged_figures(judged)
    with watch.stage("refit"):
        sources = fit_sources(
            choices, known, words, now=now.timestamp(), only=recipe.sources, **options
        )
        similar = None
        if SIMILAR in recipe.lists:
            met = met_matrix(known)
            similar = make_similar(sources, recipe.lists[SIMILAR], met, known.product_ids)
    with watch.stage("pack"):
        manifest = build_manifest(known, questions, recipe, decision, figures, now, seed)
        arrays = model_arrays(recipe, sources, similar, content, products, known.product_ids)
        artefact = pack(arrays, manifest)
        manifest = describe(artefact, manifest)
        trial = try_model(artefact, manifest, known, now=now.timestamp(), seed=seed)
        decision = decide_serving(decision, trial.refusal)
        manifest |= {"status": decision.status, "reason": decision.reason}
    return TrainingResult(
        decision.status,
        decision.reason,
        len(known),
        known.shape[1],
        num_people_tested=len(questions[0].test.people),
        seconds=watch.seconds,
        list_ms=trial.list_ms,
        artefact=artefact,
        manifest=manifest,
        **figures,
    )


def read_content(products: pd.DataFrame, sizes: Sizes) -> tuple[ContentNeighbours, ProductWords]:
    """Learn what the catalogue says of each product."""
    content = ContentNeighbours(NUM_CONTENT)
    fitted: list[Any] = run_all(
        (
            partial(content.fit, products),
            partial(ProductWords.of, products, neighbours=sizes.neighbours["words"]),
        )
    )
    return fitted[0], fitted[1]


def learn_lists(
    questions: list[Question], choices: Choices, words: ProductWords, **options: Any
) -> tuple[Choices, dict[str, Learned]]:
    """Learn the weights of each list in the validation window, from sources fitted before it.

    What puts products that nobody met in order is chosen there too, by the first list of people.
    """
    seed = options["seed"]
    splits = [
        draw_people(question.validation(), MOST_LEARNED_FROM, seed=seed) for question in questions
    ]
    # All lists are asked at one moment, so what came before it is the same for each.
    first = splits[0]
    sources = fit_sources(choices, first.train, words, now=first.cut, **options)
    narrow = sources.narrowed()

    def learn(question: Question, split: Split) -> Learned:
        fitted = sources if question.name == SIMILAR else narrow
        scorer = SignalScorer(fitted, split.history, now=split.cut)
        return learn_weights(split, scorer, seed=seed)

    jobs = [partial(learn, *pair) for pair in zip(questions, splits, strict=True)]
    names = [question.name for question in questions]
    learned = dict(zip(names, run_all(jobs), strict=True))
    main = questions[0]
    if main.name != SIMILAR:
        assert first.source is not None
        hidden = hide_products(first.source, main.test.train, seed=seed)
        order = choose_unmet_order(hidden, narrow, learned[main.name].weights, seed=seed)
        choices = replace(choices, unmet_order=order)
    return choices, learned


def judge_lists(
    questions: list[Question],
    recipe: Recipe,
    champion: Recipe | None,
    learned: Mapping[str, Learned],
    words: ProductWords,
    content: ContentNeighbours,
    champion_parts: Mapping[str, Any] | None,
    options: Mapping[str, Any],
) -> dict[str, Judgement]:
    """Judge each list on the test window, by models fitted before it."""
    first = questions[0].test
    best = {name: best_signal(found) for name, found in learned.items()}
    besides = {SIGNALS[signal][0] for signal in best.values() if signal is not None}
    candidate, rival = fit_contestants(
        recipe, champion, first.train, words, cut=first.cut, besides=besides, **options
    )

    def judge(question: Question) -> Judgement:
        return judge_list(
            question,
            candidate,
            rival,
            content,
            best_signal=best[question.name],
            champion_parts=champion_parts,
            seed=options["seed"],
        )

    names = [question.name for question in questions]
    return dict(zip(names, run_all(partial(judge, one) for one in questions), strict=True))


def best_signal(learned: Learned) -> str | None:
    """Return the signal that did best alone on the validation window."""
    singles = {name: value for name, value in learned.ndcg.items() if name in SIGNALS}
    return max(singles, key=lambda name: singles[name]) if singles else None


def find_too_little(interactions: Interactions) -> str | None:
    """Return why there is too little data to train on, or None."""
    counts = (
        ("interaction", "interactions", len(interactions), FEWEST_INTERACTIONS),
        ("person", "people", len(np.unique(interactions.user)), FEWEST_PEOPLE),
        ("product met", "products met", len(np.unique(interactions.product)), FEWEST_PRODUCTS),
    )
    for one, many, number, fewest in counts:
        if number < fewest:
            word = one if number == 1 else many
            return f"too little data: {number} {word}, at least {fewest} needed"
    return None


def _read_champion(recipe: Mapping[str, Any] | None) -> tuple[Recipe | None, str]:
    if recipe is None:
        return None, ""
    try:
        return Recipe.from_dict(recipe), ""
    except RecipeError as error:
        return None, f" Not compared with the champion: {error}."


class _Watch:
    """Seconds per stage, and word to whoever watches."""

    def __init__(self, progress: Progress | None, stopwatch: Stopwatch) -> None:
        self.progress = progress
        self.stopwatch = stopwatch
        self.seconds: dict[str, float] = {}
        self._stage = ""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self._stage = name
        self._say(name)
        started = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - started, 3)

    def tell(self, what: str) -> None:
        """Say what is done within the stage."""
        self._say(f"{self._stage}: {what}")

    def _say(self, text: str) -> None:
        give_back_memory()
        if self.progress is not None:
            self.progress(text, STAGES[self._stage])
