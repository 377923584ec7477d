"""The trial of a packed model: it is read back as a web process does, and its lists are timed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.artefact import ArtefactError, unpack
from ml.dataset import Interactions
from ml.person import MOST_LINES
from ml.serving import Met, Model

#: What a web process may hold, and for how long one list may keep it from all else.
MOST_BYTES = 256 * 1024**2
MOST_LIST_MS = 50.0
#: So many people, and as many products, are asked for a list of so many.
_ASKED, _LENGTH = 100, 30


@dataclass(frozen=True)
class Trial:
    """What serving a model takes.

    Attributes
    ----------
    size_bytes : int
        Of the artefact.
    list_ms : float
        Processor time within which 95 of 100 lists are made: of people drawn from those it
        learned from, and of products. What a busy machine takes besides does not count.
    fault : str or None
        Why it cannot be read back.
    """

    size_bytes: int
    list_ms: float = 0.0
    fault: str | None = None

    @property
    def refusal(self) -> str | None:
        """Say why the model may not be served, for people to read; None when it may."""
        if self.fault is not None:
            return f"it cannot be read back: {self.fault}"
        if self.size_bytes > MOST_BYTES:
            size, most = (number / 1024**2 for number in (self.size_bytes, MOST_BYTES))
            return f"its artefact takes {size:,.0f} MiB ({most:,.0f} at most)"
        if self.list_ms > MOST_LIST_MS:
            return (
                f"95 of 100 lists take {self.list_ms:,.0f} ms of processor time "
                f"({MOST_LIST_MS:g} at most)"
            )
        return None


def try_model(
    artefact: bytes, manifest: Mapping[str, Any], known: Interactions, *, now: float, seed: int
) -> Trial:
    """Read a packed model back and ask it for lists.

    Parameters
    ----------
    artefact : bytes
    manifest : mapping
        As `ml.artefact.describe` gives it.
    known : Interactions
        What the model learned from.
    now : float
        Unix seconds.
    seed : int
        Of the drawing of people and products.
    """
    size_bytes = len(artefact)
    try:
        model = Model(unpack(artefact, manifest), manifest)
    except ArtefactError as error:
        return Trial(size_bytes, fault=str(error))
    chance = np.random.default_rng(seed)
    products = chance.permutation(len(model.product_ids))[:_ASKED]
    asked = [_time(model.similar, model.product_ids[place], _LENGTH) for place in products]
    for history in _draw_histories(known, now=now, chance=chance):
        asked.append(_time(model.for_history, history, _LENGTH, again=model.has_again))
    return Trial(size_bytes, round(float(np.percentile(asked, 95)), 2) if asked else 0.0)


def _draw_histories(
    known: Interactions, *, now: float, chance: np.random.Generator
) -> list[list[Met]]:
    people = chance.permutation(np.unique(known.user))[:_ASKED]
    histories = []
    for person in people:
        theirs = known.take(np.flatnonzero(known.user == person))
        lines = zip(theirs.product, theirs.weight, now - theirs.time, theirs.bought, strict=True)
        met = [
            Met(known.product_ids[product], float(weight), float(age_s), bool(bought))
            for product, weight, age_s, bought in lines
        ]
        histories.append(sorted(met, key=lambda line: line.age_s)[:MOST_LINES])
    return histories


def _time(ask: Any, *what: Any, **how: Any) -> float:
    began_s = time.thread_time()
    ask(*what, **how)
    return (time.thread_time() - began_s) * 1000
