"""The served model: lists of products with reasons, from plain arrays.

numpy only, so that the web process loads neither pandas nor scipy nor
scikit-learn. A model is never changed after it is made: threads may share it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ml.factor_space import FactorSpace
from ml.layout import ATTRIBUTES, VALUES_PER_ATTRIBUTE, Arrays, ArtefactError, decode_ids
from ml.parts import AGAIN, NEW, SESSION, SIMILAR, promoted_lists
from ml.person import Met, Person, PersonScorer, Places, read_visit
from ml.ranking import top_k
from ml.reasons import POPULAR, because_of, known_already, likeness, together
from ml.recipe import Recipe, RecipeError
from ml.rows import SparseRows
from ml.signals import FACTORS, OWN
from ml.tables import Stack
from ml.unmet import WORDS

__all__ = ["Met", "Method", "Model", "Recommendation"]

Method = Literal["auto", "behaviour", "content"]


class Recommendation(NamedTuple):
    """One product of a list.

    Attributes
    ----------
    product_id : str
    score : float
        Comparable within one list only.
    reason : str
        Plain English, for people to read.
    rung : str
        behaviour, content, person, session, again or popular.
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
        Its recipe says how signals are weighed. Of its parts (see `ml.parts`)
        a list that was not promoted gives way to another, or to what is popular;
        similar products that were not are none.

    Raises
    ------
    ArtefactError
        If the recipe does not fit the arrays.
    """

    def __init__(self, arrays: Arrays, manifest: Mapping[str, Any]) -> None:
        self.manifest = manifest
        try:
            recipe = Recipe.from_dict(manifest["recipe"])
        except (KeyError, TypeError, RecipeError) as error:
            raise ArtefactError(f"the manifest has no recipe of this version: {error}") from error
        self.lists = promoted_lists(manifest.get("parts"))
        _check_arrays(recipe, arrays)
        self.product_ids = decode_ids(arrays["product_id_bytes"], arrays["product_id_offsets"])
        self._place = {product_id: at for at, product_id in enumerate(self.product_ids)}
        # The tables of people's lists are kept once, in their stack.
        kept = ("attributes", "factors", "similar_people", "content_shares_words")
        self._arrays = {name: arrays[name] for name in kept if name in arrays}
        self._popularity = arrays["popularity"]
        self._content = SparseRows.of(arrays, "content")
        self._similar = SparseRows.of(arrays, "similar") if "similar_starts" in arrays else None
        weights = {
            name: recipe.lists[name]
            for name in (NEW, AGAIN, SESSION)
            if name in self.lists and name in recipe.lists
        }
        sources = frozenset[str]().union(*(item.sources for item in weights.values()))
        stack = Stack(arrays, sources)
        space = _factor_space(arrays, recipe) if FACTORS in sources else None
        self._scorers = {
            name: PersonScorer(
                arrays,
                recipe.choices,
                item,
                stack=stack,
                space=space,
                trend=arrays[f"trend_{name}"],
            )
            for name, item in weights.items()
        }

    @property
    def has_again(self) -> bool:
        """Whether people of this shop come back to the same products, and a list was made of it."""
        return AGAIN in self._scorers

    def similar(
        self,
        product_id: str,
        n: int,
        method: Method = "auto",
        exclude: Collection[str] = frozenset(),
    ) -> list[Recommendation]:
        """Return up to n products like this one; none when the product is unknown.

        "auto" takes what behaviour speaks for first, then fills with products
        that are alike, then with popular ones: the order that was judged. A
        method by its name answers even where that was not promoted.
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
        if method == "auto" and SIMILAR not in self.lists:
            return []
        # One step after the other, and no reason is put into words that nobody will read.
        found = (item for step in steps[method] for item in step(place))
        chosen = _first_of_each(found, n, {product_id, *exclude})
        if method == "auto" and len(chosen) < n:
            taken = {product_id, *exclude, *(item.product_id for item in chosen)}
            chosen += self.popular(n - len(chosen), taken)
        return chosen

    def for_history(
        self,
        history: Sequence[Met],
        n: int,
        exclude: Collection[str] = frozenset(),
        *,
        again: bool = False,
        session: bool = False,
    ) -> list[Recommendation]:
        """Return up to n products for somebody with this history.

        Parameters
        ----------
        history : sequence of Met
            In any order; a product may be there more than once. Unknown
            products are passed over.
        n : int
        exclude : collection of str
            Products to leave out.
        again : bool
            Products of the history may be on the list; else none is.
        session : bool
            The next product within the visit, where the model learned that.
        """
        name = self._choose_list(again=again, session=session)
        known = read_visit(history) if name == SESSION else history
        person = Person.of(known, self._place)
        if name is None or len(person.places) == 0:
            met = () if again else (line.product_id for line in history)
            return self.popular(n, {*exclude, *met})
        scorer = self._scorers[name]
        seen = np.unique(person.places) if name != AGAIN else np.zeros(0, np.int64)
        heard = scorer.hear(person, seen)
        scores = heard.scores
        scores[seen] = -np.inf
        scores[self._places_of(exclude)] = -np.inf
        index, score = top_k(scores[None, :], max(n, 0))
        chosen = index[0][index[0] >= 0].astype(np.int64)
        voices = heard.loudest_for(chosen)
        own = set(person.places.tolist())
        return [
            self._personal(at, value, voice, name, at in own)
            for at, value, voice in zip(
                chosen.tolist(), score[0].tolist(), voices.tolist(), strict=False
            )
        ]

    def popular(self, n: int, exclude: Collection[str] = frozenset()) -> list[Recommendation]:
        """Return up to n products that many people met lately."""
        scores = np.where(self._popularity > 0, self._popularity, -np.inf)
        scores[self._places_of(exclude)] = -np.inf
        index, score = top_k(scores[None, :], max(n, 0))
        pairs = zip(index[0].tolist(), score[0].tolist(), strict=True)
        return [
            Recommendation(self.product_ids[at], value, POPULAR, "popular")
            for at, value in pairs
            if at >= 0
        ]

    def likeness(self, product_ids: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return how alike each two of some products are, 0 to 1, shape (k, k).

        The larger of the cosine of their factors, learned from behaviour, and
        the share of the attributes they have that is the same. A product is
        like itself; one that the model does not know is like none.
        """
        places = [self._place.get(product_id, -1) for product_id in product_ids]
        known = np.flatnonzero(np.array(places, np.int64) >= 0)
        places_known = np.array(places, np.int64)[known]
        among = _shared_attributes(self._arrays["attributes"][places_known])
        if "factors" in self._arrays:
            among = np.maximum(among, _cosines(self._arrays["factors"][places_known]))
        among[places_known[:, None] == places_known] = 1.0
        alike = np.zeros((len(places), len(places)), np.float32)
        alike[np.ix_(known, known)] = among
        return alike

    def _choose_list(self, *, again: bool, session: bool) -> str | None:
        wanted = [SESSION] if session else []
        wanted += [AGAIN, NEW, SESSION] if again else [NEW, SESSION]
        return next((name for name in wanted if name in self._scorers), None)

    def _personal(
        self, at: int, score: float, voice: int, name: str, is_known: bool
    ) -> Recommendation:
        product_id = self.product_ids[at]
        if is_known:
            return Recommendation(product_id, score, known_already(), "again", product_id)
        if voice < 0:
            return Recommendation(product_id, score, POPULAR, "popular")
        cause = self.product_ids[voice]
        rung = "session" if name == SESSION else "person"
        return Recommendation(product_id, score, because_of(cause), rung, cause)

    def _by_behaviour(self, place: int) -> Iterator[Recommendation]:
        if self._similar is None:
            return
        row = self._similar.row(place)
        people = self._arrays["similar_people"][row.span].tolist()
        for at, score, number in zip(row.places, row.scores, people, strict=True):
            yield Recommendation(self.product_ids[at], score, together(number), "behaviour")

    def _by_content(self, place: int) -> Iterator[Recommendation]:
        row = self._content.row(place)
        shares_words = self._arrays["content_shares_words"][row.span].tolist()
        attributes = self._arrays["attributes"]
        for at, score, shares in zip(row.places, row.scores, shares_words, strict=True):
            reason = likeness(attributes[place], attributes[at], shares)
            yield Recommendation(self.product_ids[at], score, reason, "content")

    def _places_of(self, product_ids: Collection[str]) -> Places:
        places = (self._place.get(product_id) for product_id in product_ids)
        return np.array([at for at in places if at is not None], dtype=np.int64)


def _factor_space(arrays: Arrays, recipe: Recipe) -> FactorSpace:
    return FactorSpace(
        arrays["factors"],
        arrays["known"],
        regularisation=recipe.choices.factors_regularisation,
        unobserved_weight=recipe.choices.factors_unobserved_weight,
    )


def _check_arrays(recipe: Recipe, arrays: Arrays) -> None:
    """Raise unless the arrays hold every trend and every source that the lists of people need."""
    needed = {f"trend_{name}" for name in recipe.lists if name != SIMILAR}
    for name in {NEW, AGAIN, SESSION} & set(recipe.lists):
        tables = recipe.lists[name].sources - {OWN, FACTORS}
        needed |= {f"{table}_starts" for table in tables}
        needed |= {FACTORS} & recipe.lists[name].sources
        if recipe.choices.unmet_order == WORDS:
            needed |= {"features_starts"}
    missing = sorted(needed - set(arrays))
    if missing:
        raise ArtefactError(f"the recipe needs arrays that are not there: {missing[:5]}")


def _first_of_each(
    found: Iterable[Recommendation], n: int, exclude: Collection[str]
) -> list[Recommendation]:
    chosen: dict[str, Recommendation] = {}
    for item in found:
        if len(chosen) >= n:
            break
        if item.product_id not in exclude:
            chosen.setdefault(item.product_id, item)
    return list(chosen.values())


def _shared_attributes(codes: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    """Return the share of attributes with a value in common, of those that either has."""
    values = codes.reshape(len(codes), len(ATTRIBUTES), VALUES_PER_ATTRIBUTE)
    has = np.asarray((values >= 0).any(axis=2))
    same = np.zeros((len(codes), len(codes), len(ATTRIBUTES)), dtype=bool)
    for one, other in product(range(VALUES_PER_ATTRIBUTE), repeat=2):
        left, right = values[:, None, :, one], values[None, :, :, other]
        same |= (left == right) & (left >= 0)
    either = (has[:, None] | has[None, :]).sum(axis=2)
    return (same.sum(axis=2) / np.maximum(either, 1)).astype(np.float32)


def _cosines(factors: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    plain = factors.astype(np.float32)
    length = np.linalg.norm(plain, axis=1, keepdims=True)
    plain /= np.where(length > 0, length, 1.0)
    return np.clip(plain @ plain.T, 0.0, 1.0)
