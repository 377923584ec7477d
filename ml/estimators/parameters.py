"""The check that every estimator makes of its parameters when it is fitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def check_parameters(
    estimator: Any,
    *,
    at_least: Mapping[str, float] | None = None,
    at_most: Mapping[str, float] | None = None,
    above: Mapping[str, float] | None = None,
    one_of: Mapping[str, Any] | None = None,
) -> None:
    """Raise ValueError, with the value and the limit, unless the parameters named keep theirs."""
    for name, limit in (at_least or {}).items():
        value = getattr(estimator, name)
        if not value >= limit:
            raise ValueError(f"{name} must be >= {limit}, got {value}")
    for name, limit in (at_most or {}).items():
        value = getattr(estimator, name)
        if not value <= limit:
            raise ValueError(f"{name} must be <= {limit}, got {value}")
    for name, limit in (above or {}).items():
        value = getattr(estimator, name)
        if not value > limit:
            raise ValueError(f"{name} must be > {limit}, got {value}")
    for name, known in (one_of or {}).items():
        value = getattr(estimator, name)
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
