"""What a training comes to: figures for the run's record, arrays and manifest for the artefact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from ml.artefact import FORMAT_VERSION
from ml.catalogue import attribute_codes
from ml.content import ContentNeighbours
from ml.dataset import Interactions
from ml.gate import Decision
from ml.judge import Judgement
from ml.layout import Arrays, encode_ids
from ml.parts import LISTS, SIMILAR
from ml.questions import Question
from ml.recipe import Recipe
from ml.rows import pack_rows, place_type
from ml.scoring import trend_scores
from ml.signals import FACTORS
from ml.similar import SimilarTable
from ml.sources import Sources
from ml.unmet import WORDS, pack_words


@dataclass(frozen=True)
class TrainingResult:
    """What one training came to.

    Attributes
    ----------
    status : str
        promoted, rejected or skipped; promoted when at least one list is, see
        `ml.gate.decide_artefact`.
    reason : str
        For people to read.
    parts : dict
        Name of a list → how it was judged: status, reason, asked, metrics,
        baselines (model → metrics), intervals (mean, low and high, 95 % bootstrap, of NDCG@10 and
        of its difference to each baseline) and by_history_length.
    metrics, baselines, intervals : dict
        Those of the main list: the first of `ml.parts.LISTS` that was judged.
    num_products, num_interactions, num_people_tested : int
    seconds : dict
        Stage → seconds it took.
    list_ms : float
        Processor time of a list, see `ml.trial.Trial`; 0 when skipped.
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
    intervals: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    list_ms: float = 0.0
    artefact: bytes | None = None
    manifest: dict[str, Any] = field(default_factory=dict)


def model_arrays(
    recipe: Recipe,
    sources: Sources,
    similar: SimilarTable | None,
    content: ContentNeighbours,
    products: pd.DataFrame,
    product_ids: list[str],
) -> Arrays:
    """Return the arrays of `ml.layout.SCHEMA` that the recipe needs."""
    id_bytes, offsets = encode_ids(product_ids)
    arrays: Arrays = {
        "product_id_bytes": id_bytes,
        "product_id_offsets": offsets,
        "popularity": sources.popularity,
        "known": sources.known,
        "attributes": attribute_codes(products),
        **pack_rows("content", content.index_, content.score_),
        "content_shares_words": content.shares_words_[content.index_ >= 0],
        **_pack_kin(sources.kin),
    }
    personal = {name: weights for name, weights in recipe.lists.items() if name != SIMILAR}
    served = sources.narrowed()
    needed = frozenset().union(*(weights.sources for weights in personal.values()))
    for name in sorted(needed & set(served.tables)):
        table = served.tables[name]
        arrays |= pack_rows(name, table.index_, table.score_)
    if FACTORS in needed and served.factors is not None:
        arrays["factors"] = served.factors.item_factors_.astype(np.float16)
    if personal and recipe.choices.unmet_order == WORDS:
        arrays |= pack_words(sources.features, np.diff(sources.kin.indptr) > 0)
    for name, weights in personal.items():
        arrays[f"trend_{name}"] = trend_scores(sources, weights)
    if similar is not None:
        arrays |= pack_rows("similar", similar.index, similar.score)
        arrays["similar_people"] = similar.people[similar.index >= 0]
    return arrays


def judged_figures(judged: Mapping[str, Judgement]) -> dict[str, Any]:
    """Return what result and manifest both say of how the lists did."""
    main = next((judged[name] for name in LISTS if name in judged), None)
    return {
        "parts": {name: judgement.as_figures() for name, judgement in judged.items()},
        "metrics": main.metrics if main else {},
        "baselines": main.baselines if main else {},
        "intervals": main.intervals if main else {},
    }


def build_manifest(
    interactions: Interactions,
    questions: list[Question],
    recipe: Recipe,
    decision: Decision,
    figures: Mapping[str, Any],
    now: datetime,
    seed: int,
) -> dict[str, Any]:
    """Return what a JSON manifest says of a model, but for the hash of its bytes."""
    main = questions[0].test
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
            "test_from": _iso(main.cut),
            "protocol": main.protocol,
        },
        "counts": {
            "interactions": len(interactions),
            "products": interactions.shape[1],
            "people": len(np.unique(interactions.user)),
            "people_tested": len(main.people),
            "unknown_truth_share": main.unknown_share,
        },
        **figures,
    }


def _pack_kin(kin: Any) -> Arrays:
    return {
        "kin_starts": kin.indptr.astype(np.int64),
        "kin_products": kin.indices.astype(place_type(kin.shape[0])),
        "kin_scores": kin.data.astype(np.float16),
    }


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
