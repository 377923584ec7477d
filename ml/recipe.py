"""The recipe: every choice that turns interactions into a model, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ml.parts import LISTS
from ml.signals import SIGNALS, TRENDS
from ml.unmet import ORDERS

FORMAT = 3
EVIDENCE = ("log", "binary")
METRICS = ("cosine", "bm25")
#: Choices that are words, and which.
NAMED = {"ease_evidence": EVIDENCE, "knn_metric": METRICS, "unmet_order": ORDERS}
#: No choice and no weight comes near it; sums of larger ones would not be finite as float32.
MOST = 1e6
MOST_WEIGHT_EXPONENT = 4.0


class RecipeError(ValueError):
    """A dict that is not a recipe of this version."""


@dataclass(frozen=True)
class Choices:
    """The hyper-parameters of the sources; a half-life of None: nothing fades.

    `ease_evidence` is what EASE learns from: "log" strengths, or "binary" for met or not.
    `unmet_order` is what puts products that nobody met in order, see `ml.unmet`.
    """

    weight_exponent: float = 1.0
    popularity_half_life_days: float | None = 30.0
    ease_regularisation: float = 200.0
    ease_half_life_days: float | None = None
    ease_evidence: str = "log"
    knn_metric: str = "cosine"
    rp3_beta: float = 0.6
    sequences_exponent: float = 1.0
    sequences_gap_s: float | None = None
    factors_regularisation: float = 0.01
    factors_unobserved_weight: float = 0.1
    unmet_order: str = "kin"

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name in NAMED:
                known = NAMED[item.name]
                if value not in known:
                    raise RecipeError(f"{item.name} must be one of {known}, got {value!r}")
                continue
            if value is None and item.name.endswith(("half_life_days", "gap_s")):
                continue
            _check_number(item.name, value)
            positive = item.name.endswith(("half_life_days", "regularisation"))
            if value < 0 or (positive and value == 0):
                raise RecipeError(f"{item.name} must be {'>' if positive else '>='} 0, got {value}")
        if self.weight_exponent > MOST_WEIGHT_EXPONENT:
            raise RecipeError(
                f"weight_exponent must be <= {MOST_WEIGHT_EXPONENT}, got {self.weight_exponent}"
            )


@dataclass(frozen=True)
class ListWeights:
    """How much each signal and each trend adds to the score of a product.

    Both map a name to two weights: of its share and of the root of its share,
    see `ml.signals.weigh`.
    """

    signals: dict[str, tuple[float, float]] = field(default_factory=dict)
    trends: dict[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, weights, known in (
            ("signal", self.signals, SIGNALS),
            ("trend", self.trends, TRENDS),
        ):
            for name, pair in weights.items():
                if name not in known:
                    raise RecipeError(f"unknown {what} {name!r}")
                if len(pair) != 2:
                    raise RecipeError(f"{name} must have two weights, got {pair}")
                for value in pair:
                    _check_number(name, value)

    @property
    def sources(self) -> frozenset[str]:
        """The sources that the signals need."""
        return frozenset(SIGNALS[name][0] for name in self.signals)


@dataclass(frozen=True)
class Recipe:
    """The choices of the sources, and the weights of each list that is made of them."""

    choices: Choices = field(default_factory=Choices)
    lists: dict[str, ListWeights] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.lists) - set(LISTS))
        if unknown:
            raise RecipeError(f"unknown lists in the recipe: {unknown}")

    @property
    def sources(self) -> frozenset[str]:
        """The sources that some list needs."""
        return frozenset().union(*(weights.sources for weights in self.lists.values()))

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as it is kept in a manifest."""
        return {
            "format": FORMAT,
            "choices": asdict(self.choices),
            "lists": {
                name: {
                    kind: {signal: list(pair) for signal, pair in getattr(weights, kind).items()}
                    for kind in ("signals", "trends")
                }
                for name, weights in self.lists.items()
            },
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Recipe:
        """Read a recipe from a manifest.

        Raises
        ------
        RecipeError
            If a name is unknown or missing, or a value is out of bounds: a
            recipe that would be read only in part is another recipe.
        """
        if not isinstance(data, Mapping) or data.get("format") != FORMAT:
            raise RecipeError(f"not a recipe of format {FORMAT}")
        _check_names("recipe", data, {"format", "choices", "lists"})
        _check_names("choices", data["choices"], {item.name for item in fields(Choices)})
        lists = {}
        for name, weights in _mapping("lists", data["lists"]).items():
            _check_names(name, weights, {"signals", "trends"})
            lists[name] = ListWeights(
                _pairs(name, weights["signals"]), _pairs(name, weights["trends"])
            )
        return cls(Choices(**data["choices"]), lists)


def _mapping(what: str, data: Any) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise RecipeError(f"{what} must be an object, got {data!r:.80}")
    return data


def _check_names(what: str, data: Any, names: set[str]) -> None:
    odd = sorted(set(_mapping(what, data)) ^ names)
    if odd:
        raise RecipeError(f"unknown or missing names in {what}: {odd}")


def _pairs(what: str, data: Any) -> dict[str, tuple[float, float]]:
    pairs = {}
    for name, pair in _mapping(what, data).items():
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise RecipeError(f"{name} of {what} must have two weights, got {pair!r:.80}")
        for value in pair:
            _check_number(name, value)
        pairs[name] = (float(pair[0]), float(pair[1]))
    return pairs


def _check_number(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecipeError(f"{name} must be a number, got {value!r:.80}")
    if not abs(value) <= MOST:
        raise RecipeError(f"{name} must be finite and within ±{MOST:g}, got {value!r:.80}")
