"""The recipe: every choice that turns interactions into a model, as plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


class RecipeError(ValueError):
    """A dict that is not a recipe of this version."""


@dataclass(frozen=True)
class Recipe:
    """The hyper-parameters of the served model. None as a half-life: nothing fades."""

    behaviour_half_life_days: float | None = None
    behaviour_neighbours: int = 50
    behaviour_shrinkage: float = 10.0
    behaviour_min_people: int = 2
    content_neighbours: int = 50
    content_weight: float = 0.2
    popularity_half_life_days: float | None = 30.0
    popularity_share: float = 0.3
    popularity_prior: float = 2.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.name.endswith("half_life_days"):
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise RecipeError(f"{field.name} must be a number, got {value!r}")
            lowest = 1 if field.type == "int" else 0
            if not math.isfinite(value) or value < lowest:
                raise RecipeError(f"{field.name} must be >= {lowest} and finite, got {value}")
            if field.type == "int" and not isinstance(value, int):
                raise RecipeError(f"{field.name} must be a whole number, got {value}")
            if field.name.endswith("half_life_days") and value == 0:
                raise RecipeError(f"{field.name} must be > 0, got {value}")
        if self.popularity_share > 1:
            raise RecipeError(f"popularity_share must be <= 1, got {self.popularity_share}")

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as it is kept in a manifest."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Recipe:
        """Read a recipe from a manifest.

        Raises
        ------
        RecipeError
            If a name is unknown or missing, or a value is out of bounds: a
            recipe that would be read only in part is another recipe.
        """
        names = {field.name for field in fields(cls)}
        if set(data) != names:
            odd = sorted(set(data) ^ names)
            raise RecipeError(f"unknown or missing names in the recipe: {odd}")
        return cls(**data)
