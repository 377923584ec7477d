"""Train: from interactions and a catalogue to a judged, packed model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from ml.artefact import describe, pack
from ml.blend import Blend
from ml.catalogue import align_catalogue, list_products
from ml.content import ContentNeighbours
from ml.dataset import DAY_S, Interactions
from ml.gate import decide_artefact
from ml.judge import fit_contestants, judge_lists, judge_similar
from ml.parts import LISTS, SIMILAR, promoted_parts
from ml.protocol import buys_again, choose_questions, choose_split
from ml.recipe import Recipe, RecipeError
from ml.result import TrainingResult, build_manifest, judged_figures, model_arrays
from ml.split import choose_window_days, last_cut
from ml.tune import tune

FEWEST_INTERACTIONS = 50
FEWEST_PEOPLE = 5
FEWEST_PRODUCTS = 5

Progress = Callable[[str], None]


def train(
    interactions: Interactions,
    catalogue: pd.DataFrame,
    *,
    now: datetime,
    seed: int = 0,
    champion_recipe: Mapping[str, Any] | None = None,
    champion_parts: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    exclude_seen: bool | None = None,
) -> TrainingResult:
    """Tune, evaluate, judge, refit on everything and pack.

    The test window is the last 20 % of the time span, 1 to 30 days; what was
    chosen was chosen before it began. Lists for people and similar products
    are judged apart, and served apart. Where hardly anybody comes back, lists
    are judged by the next product within a visit (see `ml.protocol`), and the
    reason says so. Equal data and seed give equal bytes.

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
        Of the bootstrap, and of the drawing of people to tune and to judge by.
    champion_recipe : mapping, optional
        The recipe in the manifest of the served model. It is fitted before
        the cut like the candidate, since the served model itself has seen
        the days it would be judged on.
    champion_parts : mapping, optional
        The parts in that manifest; without them the champion serves both. What
        it does not serve the candidate need not do as well.
    progress : callable, optional
        Called with the name of each stage as it begins.
    exclude_seen : bool, optional
        Judge by products new to the person only; within a visit always so.
        Without it the data decide, see `ml.protocol.buys_again`.
    """
    if now.tzinfo is None:
        raise ValueError(f"now must have a time zone, got {now}")
    at = now.timestamp()
    known = interactions.take(interactions.time <= at)
    known = known.with_products(list_products(catalogue, known.product_ids))
    refusal = find_too_little(known)
    if refusal:
        return TrainingResult("skipped", refusal, len(known), known.shape[1])

    watch = _Watch(progress)
    with watch.stage("content"):
        products = align_catalogue(catalogue, known.product_ids)
        content = ContentNeighbours(Recipe().content_neighbours).fit(products)
    window_days = choose_window_days(known)
    cut = last_cut(known, window_days)
    if exclude_seen is None:
        exclude_seen = not buys_again(known, cut=cut, window_s=window_days * DAY_S)
    split = choose_split(known, cut, exclude_seen=exclude_seen, seed=seed)
    with watch.stage("tune"):
        recipe = tune(
            known,
            content,
            cut=split.cut,
            window_s=window_days * DAY_S,
            exclude_seen=exclude_seen,
            protocol=split.protocol,
            seed=seed,
        )
    champion, remark = _read_champion(champion_recipe)
    with watch.stage("evaluate"):
        questions = choose_questions(known, cut, seed=seed)
        contestants = fit_contestants(recipe, champion, split, content)
        served = promoted_parts(champion_parts)
        judged = {
            LISTS: judge_lists(contestants, split, champion_serves=LISTS in served, seed=seed),
            SIMILAR: judge_similar(
                contestants, questions, champion_serves=SIMILAR in served, seed=seed
            ),
        }
    decision = decide_artefact(
        {part: judgement.decision for part, judgement in judged.items()},
        [part for part, judgement in judged.items() if judgement.loses_champion],
    )
    decision = replace(decision, reason=decision.reason + remark)
    figures = judged_figures(judged)
    if decision.status == "skipped":
        return TrainingResult(
            "skipped", decision.reason, len(known), known.shape[1], seconds=watch.seconds, **figures
        )
    manifest = build_manifest(known, split, questions, recipe, decision, figures, now, seed)
    with watch.stage("refit"):
        model = Blend(recipe).fit(known, content, now=at)
    with watch.stage("pack"):
        arrays = model_arrays(model, content, products, known.product_ids)
        artefact = pack(arrays, manifest)
    return TrainingResult(
        decision.status,
        decision.reason,
        len(known),
        known.shape[1],
        num_people_tested=len(split.people),
        num_questions_tested=len(questions.people),
        seconds=watch.seconds,
        artefact=artefact,
        manifest=describe(artefact, manifest),
        **figures,
    )


def find_too_little(interactions: Interactions) -> str | None:
    """Return why there is too little data to train on, or None."""
    counts = (
        ("interactions", len(interactions), FEWEST_INTERACTIONS),
        ("people", len(np.unique(interactions.user)), FEWEST_PEOPLE),
        ("products met", len(np.unique(interactions.product)), FEWEST_PRODUCTS),
    )
    for word, number, fewest in counts:
        if number < fewest:
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

    def __init__(self, progress: Progress | None) -> None:
        self.progress = progress
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        if self.progress is not None:
            self.progress(name)
        started = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - started, 3)
