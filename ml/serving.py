"""The served model: lists of products with reasons, from plain arrays.

numpy only, so that the web process loads neither pandas nor scipy nor
scikit-learn. A model is never changed after it is made: threads may share it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ml.layout import Arrays, decode_ids
from ml.mixing import mix, popularity_share, scale_rows
from ml.parts import LISTS, SIMILAR, promoted_parts
from ml.person import score_history, sum_history
from ml.ranking import top_k
from ml.reasons import POPULAR, because_of, likeness, together

Method = Literal["auto", "behaviour", "content"]


@dataclass(frozen=True)
class Recommendation:
    """One product of a list.

    Attributes
    ----------
    product_id : str
    score : float
        Comparable within one rung only.
    reason : str
        Plain English, for people to read.
    rung : str
        behaviour, content, person or popular.
    because : str or None
        The product id that the reason names, for those who know its name.
    """

    product_id: str
    score: float
    reason: str
    rung: str
    because: str | None = None


class Model:
    """A model as it is served.

    Parameters
    ----------
    arrays : dict of str to ndarray
        From `ml.artefact.unpack`.
    manifest : mapping
        Its recipe says how history and popularity are mixed. Of its parts (see
        `ml.parts`) lists that were not promoted are what is popular, and
        similar products that were not are none.
    """

    def __init__(self, arrays: Arrays, manifest: Mapping[str, Any]) -> None:
        self.manifest = manifest
        self.recipe: Mapping[str, Any] = manifest["recipe"]
        self.parts = promoted_parts(manifest.get("parts"))
        self.product_ids = decode_ids(arrays["product_id_bytes"], arrays["product_id_offsets"])
        self._place = {product_id: at for at, product_id in enumerate(self.product_ids)}
        self._arrays = arrays
        self._popularity = scale_rows(arrays["popularity"])

    def similar(
        self,
        product_id: str,
        n: int,
        method: Method = "auto",
        exclude: Collection[str] = frozenset(),
    ) -> list[Recommendation]:
        """Return up to n products like this one; none when the product is unknown.

        "auto" takes what was met by the same people first, then fills with
        products that are alike, then with popular ones: the order that was
        judged. A method by its name answers even where that was not promoted.
        """
        place = self._place.get(product_id)
        if place is None:
            return []
        steps = {
            "behaviour": [self._by_behaviour],
            "content": [self._by_content],
            "auto": [self._by_behaviour, self._by_content],
        }
        if method not in steps:
            raise ValueError(f"method must be auto, behaviour or content, got {method!r}")
        if method == "auto" and SIMILAR not in self.parts:
            return []
        found = [item for step in steps[method] for item in step(place)]
        chosen = _first_of_each(found, n, {product_id, *exclude})
        if method == "auto" and len(chosen) < n:
            taken = {product_id, *exclude, *(item.product_id for item in chosen)}
            chosen += self.popular(n - len(chosen), taken)
        return chosen

    def for_history(
        self,
        history: Sequence[tuple[str, float, float]],
        n: int,
        exclude: Collection[str] = frozenset(),
    ) -> list[Recommendation]:
        """Return up to n products for somebody with this history.

        Parameters
        ----------
        history : sequence of (product_id, weight, age_s)
            In any order; a product may be there more than once. Unknown
            products are passed over.
        n : int
        exclude : collection of str
            Products to leave out. What is in the history is not left out by itself.
        """
        places, strengths = sum_history(history, self._place, self.recipe)
        if len(places) == 0 or LISTS not in self.parts:
            return self.popular(n, exclude)
        personal, voice = score_history(places, strengths, self._arrays, self.recipe)
        part = popularity_share(
            np.array([len(places)]),
            share=self.recipe["popularity_share"],
            prior=self.recipe["popularity_prior"],
        )
        scores = mix(personal[None, :], self._popularity, part)
        scores[0, self._places_of(exclude)] = -np.inf
        index, score = top_k(scores, max(n, 0))
        chosen = []
        for at, value in zip(index[0].tolist(), score[0].tolist(), strict=True):
            if at < 0 or value <= 0:
                break
            if personal[at] * (1 - part[0]) >= self._popularity[at] * part[0]:
                cause = self.product_ids[voice[at]]
                chosen.append(
                    Recommendation(self.product_ids[at], value, because_of(cause), "person", cause)
                )
            else:
                chosen.append(self._popular_item(at, value))
        return chosen

    def popular(self, n: int, exclude: Collection[str] = frozenset()) -> list[Recommendation]:
        """Return up to n products that many people met lately."""
        scores = self._popularity.copy()
        scores[self._places_of(exclude)] = -np.inf
        scores[scores <= 0] = -np.inf
        index, score = top_k(scores[None, :], max(n, 0))
        pairs = zip(index[0].tolist(), score[0].tolist(), strict=True)
        return [self._popular_item(at, value) for at, value in pairs if at >= 0]

    def _by_behaviour(self, place: int) -> list[Recommendation]:
        people = self._arrays["behaviour_people"][place].tolist()
        return [
            Recommendation(self.product_ids[at], score, together(people[rank]), "behaviour")
            for rank, at, score in self._neighbours("behaviour", place)
        ]

    def _by_content(self, place: int) -> list[Recommendation]:
        shares_words = self._arrays["content_shares_words"][place]
        attributes = self._arrays["attributes"]
        return [
            Recommendation(
                self.product_ids[at],
                score,
                likeness(attributes[place], attributes[at], bool(shares_words[rank])),
                "content",
            )
            for rank, at, score in self._neighbours("content", place)
        ]

    def _neighbours(self, table: str, place: int) -> list[tuple[int, int, float]]:
        index = self._arrays[f"{table}_index"][place].tolist()
        score = self._arrays[f"{table}_score"][place].tolist()
        return [(rank, at, score[rank]) for rank, at in enumerate(index) if at >= 0]

    def _popular_item(self, at: int, score: float) -> Recommendation:
        return Recommendation(self.product_ids[at], score, POPULAR, "popular")

    def _places_of(self, product_ids: Collection[str]) -> list[int]:
        return [self._place[product_id] for product_id in product_ids if product_id in self._place]


def _first_of_each(
    found: Sequence[Recommendation], n: int, exclude: Collection[str]
) -> list[Recommendation]:
    chosen: dict[str, Recommendation] = {}
    for item in found:
        if len(chosen) >= n:
            break
        if item.product_id not in exclude:
            chosen.setdefault(item.product_id, item)
    return list(chosen.values())
