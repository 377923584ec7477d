"""Why a product is in a list, in plain English. numpy only: the web process uses it.

Interactions do not say whether somebody viewed, kept or bought a product, so
the reasons speak of interest, which is true of each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ml.layout import ATTRIBUTES

FEWEST_TOLD = 2
POPULAR = "popular lately"
SPELLINGS = {"color": "colour"}


def together(people: int) -> str:
    """Say how many people met both products, the one asked about and the one shown.

    Of one person alone nothing is told: a list must not say what somebody looked at.
    """
    if people < FEWEST_TOLD:
        return "popular with the same people"
    return f"{people} people showed interest in both"


def because_of(product_id: str) -> str:
    """Say which product of the person's history spoke loudest."""
    return f"because of your interest in {product_id}"


def known_already() -> str:
    """Say that the person met the product before."""
    return "you showed interest in it before"


def likeness(one: npt.NDArray[np.int32], other: npt.NDArray[np.int32], shares_words: bool) -> str:
    """Say what two products have in common.

    Parameters
    ----------
    one, other : ndarray of int32
        Their rows of attribute codes, see `ml.catalogue.attribute_codes`.
    shares_words : bool
        Whether their texts have a word in common.
    """
    left = one.reshape(len(ATTRIBUTES), -1, 1)
    right = other.reshape(len(ATTRIBUTES), 1, -1)
    same = ((left == right) & (left >= 0)).any(axis=(1, 2))
    shared = [
        SPELLINGS.get(name, name) for name, is_same in zip(ATTRIBUTES, same, strict=True) if is_same
    ]
    if shared:
        return f"same {_list_words(shared)}"
    return "similar description" if shares_words else "similar price or rating"


def _list_words(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
