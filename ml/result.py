"""What a training comes to: figures for the run's record, arrays and manifest for the artefact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from ml.artefact import FORMAT_VERSION
from ml.blend import Blend
from ml.catalogue import attribute_codes
from ml.content import ContentNeighbours
from ml.dataset import Interactions
from ml.gate import Decision
from ml.judge import Interval, Judgement
from ml.layout import Arrays, encode_ids
from ml.parts import LISTS, SIMILAR
from ml.recipe import Recipe
from ml.split import Split


@dataclass(frozen=True)
class TrainingResult:
    """What one training came to.

    Attributes
    ----------
    status : str
        promoted, rejected or skipped; promoted when at least one part is, see
        `ml.gate.decide_artefact`.
    reason : str
        For people to read.
    parts : dict
        lists and similar → status, reason and figures of the gate.
    metrics : dict
        Of the candidate's lists for people over the test window.
    baselines : dict
        Name of a model → its metrics: popularity, recent_popularity, content
        (the 70/20/10 formula), behaviour, and champion when there is one.
    intervals : dict
        Mean, low and high (95 %, bootstrap over people) of the candidate's
        NDCG@10 and of its difference to each baseline.
    similar_metrics, similar_baselines, similar_intervals : dict
        The same of its similar products, where plain popularity is left out.
    num_products, num_interactions, num_people_tested, num_questions_tested : int
    seconds : dict
        Stage → seconds it took.
    artefact : bytes or None
        Also there when rejected, so that it can be promoted by hand; None when skipped.
    manifest : dict
        JSON-able; {} when skipped.
    """

    status: str
    reason: str
    num_interactions: int
    num_products: int
    num_people_tested: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    baselines: dict[str, dict[str, float]] = field(default_factory=dict)
    intervals: dict[str, Interval] = field(default_factory=dict)
    num_questions_tested: int = 0
    similar_metrics: dict[str, float] = field(default_factory=dict)
    similar_baselines: dict[str, dict[str, float]] = field(default_factory=dict)
    similar_intervals: dict[str, Interval] = field(default_factory=dict)
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    artefact: bytes | None = None
    manifest: dict[str, Any] = field(default_factory=dict)


def model_arrays(
    model: Blend, content: ContentNeighbours, products: pd.DataFrame, product_ids: list[str]
) -> Arrays:
    """Return the arrays of `ml.layout.SCHEMA`."""
    id_bytes, offsets = encode_ids(product_ids)
    return {
        "product_id_bytes": id_bytes,
        "product_id_offsets": offsets,
        "popularity": model.popularity_.score_,
        "behaviour_index": model.behaviour_.index_,
        "behaviour_score": model.behaviour_.score_,
        "behaviour_people": model.behaviour_.people_,
        "content_index": content.index_,
        "content_score": content.score_,
        "content_shares_words": content.shares_words_,
        "attributes": attribute_codes(products),
    }


def judged_figures(judged: Mapping[str, Judgement]) -> dict[str, Any]:
    """Return what result and manifest both say of how the parts did."""
    lists, similar = judged[LISTS], judged[SIMILAR]
    return {
        "parts": {
            part: {
                "status": judgement.decision.status,
                "reason": judgement.decision.reason,
                **judgement.decision.figures,
            }
            for part, judgement in judged.items()
        },
        "metrics": lists.metrics,
        "baselines": lists.baselines,
        "intervals": lists.intervals,
        "similar_metrics": similar.metrics,
        "similar_baselines": similar.baselines,
        "similar_intervals": similar.intervals,
    }


def build_manifest(
    interactions: Interactions,
    split: Split,
    questions: Split,
    recipe: Recipe,
    decision: Decision,
    figures: Mapping[str, Any],
    now: datetime,
    seed: int,
) -> dict[str, Any]:
    """Return what a JSON manifest says of a model, but for the hash of its bytes."""
    return {
        "format_version": FORMAT_VERSION,
        "trained_at": now.astimezone(UTC).isoformat(),
        "seed": seed,
        "status": decision.status,
        "reason": decision.reason,
        "recipe": recipe.to_dict(),
        "window": {
            "first_interaction": _iso(float(interactions.time.min())),
            "last_interaction": _iso(float(interactions.time.max())),
            "test_from": _iso(split.cut),
            "exclude_seen": split.exclude_seen,
            "protocol": split.protocol,
        },
        "counts": {
            "interactions": len(interactions),
            "products": interactions.shape[1],
            "people": len(np.unique(interactions.user)),
            "people_tested": len(split.people),
            "unknown_truth_share": split.unknown_share,
            "questions_tested": len(questions.people),
            "unknown_similar_share": questions.unknown_share,
        },
        **figures,
    }


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
