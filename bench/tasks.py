"""From a task of a mapping to interactions and the protocol that splits them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from datasets.dataset import DatasetError
from datasets.interest import ShopFiles
from datasets.recommend_rule import RecommendRule
from ml.catalogue import list_products
from ml.dataset import DAY_S, Interactions, build_interactions
from ml.splits import (
    ColdProducts,
    GivenQuestions,
    LastOut,
    NextInVisit,
    Protocol,
    RandomShare,
    SimilarProducts,
    TimeWindow,
    choose_protocol,
)
from ml.splits.visits import VISIT_GAP_S
from ml.splits.window import choose_window_days, last_cut

RANDOM_SHARE, COLD_SHARE = 0.2, 0.15
QUESTIONS = 6000
SEED = 42


def build_task(shop: ShopFiles, task: RecommendRule) -> tuple[Interactions, Protocol]:
    """Read the interactions of a task, over every product of the catalogue, and its protocol."""
    interactions = build_interactions(shop.interactions(task))
    given = shop.questions(task) if task.protocol == "given" else None
    met = set(interactions.product_ids)
    if given is not None:
        met |= {*given[0]["product_id"], *given[1]}
    interactions = interactions.with_products(list_products(shop.catalogue, sorted(met)))
    if task.protocol is None:
        return interactions, choose_protocol(interactions)
    if given is not None:
        return interactions, _given(interactions, task, *given)
    return interactions, _protocol(interactions, task)


def _protocol(interactions: Interactions, task: RecommendRule) -> Protocol:
    seed = SEED if task.seed is None else task.seed
    if task.protocol == "last_out":
        return LastOut()
    if task.protocol == "random":
        return RandomShare(task.share or RANDOM_SHARE, seed)
    cut, end, window_s = _times(interactions, task)
    goal = task.goal or "met"
    if task.protocol == "visits":
        return NextInVisit(
            cut,
            end,
            gap_s=task.gap_s or VISIT_GAP_S,
            repeats=bool(task.repeats),
            window_s=window_s,
            most=task.questions,
            seed=seed,
        )
    if task.protocol == "similar":
        most = task.questions or QUESTIONS
        return SimilarProducts(cut, end, goal=goal, most=most, seed=seed, window_s=window_s)
    window = TimeWindow(cut, end, exclude_seen=not task.repeats, goal=goal, window_s=window_s)
    if task.protocol == "cold":
        return ColdProducts(window, task.share or COLD_SHARE, seed)
    return window


def _times(interactions: Interactions, task: RecommendRule) -> tuple[float, float, float]:
    """Return where the test window begins and ends, and the length of the one that tunes."""
    first, last = float(interactions.time.min()), float(interactions.time.max())
    cut, end, validation = task.unix("cut"), task.unix("end"), task.unix("validation")
    if cut is None:
        cut = last_cut(interactions, task.days or choose_window_days(interactions))
    for key, moment in (("cut", cut), ("validation", validation)):
        if moment is not None and not first < moment <= last:
            days = [f"{np.datetime64(int(second), 's')}Z" for second in (moment, first, last)]
            raise DatasetError(
                f"task {task.task!r}: {key} {days[0]} lies outside of the data, "
                f"{days[1]} to {days[2]}"
            )
    if validation is None:
        # Most of what came before the cut is left to fit what is tuned.
        window_s = min(max(min(end or last, last) - cut, DAY_S / 24), (cut - first) / 3)
    else:
        window_s = cut - validation
    return cut, np.inf if end is None else end, window_s


def _given(
    interactions: Interactions, task: RecommendRule, given: pd.DataFrame, target: pd.Series
) -> GivenQuestions:
    number = {product_id: place for place, product_id in enumerate(interactions.product_ids)}
    if task.cut is None and task.days is None:
        # The file's questions come after all that is learned from.
        cut = float(interactions.time.max()) + 1.0
        window_s = choose_window_days(interactions) * DAY_S
    else:
        cut, _, window_s = _times(interactions, task)
    return GivenQuestions(
        prefix=given["product_id"].map(number).to_numpy(np.int32),
        question=given["question"].to_numpy(np.int32),
        target=target.map(number).to_numpy(np.int32),
        cut=cut,
        window_s=window_s,
    )
