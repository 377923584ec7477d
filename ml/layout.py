"""The layout of an artefact: its arrays, their types and shapes, and what must hold between them.

numpy and the standard library only: the web process uses it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[Any]]

ATTRIBUTES = ("category", "gender", "color", "material", "size")
VALUES_PER_ATTRIBUTE = 3

# Name → element type and shape; a name of a dimension has one value in all arrays.
SCHEMA: dict[str, tuple[str, tuple[str, ...]]] = {
    "product_id_bytes": ("|u1", ("id_bytes",)),
    "product_id_offsets": ("<i8", ("offsets",)),
    "popularity": ("<f4", ("products",)),
    "behaviour_index": ("<i4", ("products", "behaviour_neighbours")),
    "behaviour_score": ("<f4", ("products", "behaviour_neighbours")),
    "behaviour_people": ("<i4", ("products", "behaviour_neighbours")),
    "content_index": ("<i4", ("products", "content_neighbours")),
    "content_score": ("<f4", ("products", "content_neighbours")),
    "content_shares_words": ("|b1", ("products", "content_neighbours")),
    "attributes": ("<i4", ("products", "attribute_values")),
}


class ArtefactError(ValueError):
    """Bytes that are not the model the manifest speaks of, or not one of this version."""


def check_names(names: Iterable[str]) -> None:
    """Raise unless the names are those of `SCHEMA`."""
    if set(names) != set(SCHEMA):
        odd = sorted(set(names) ^ set(SCHEMA))[:5]
        raise ArtefactError(f"unknown or missing arrays: {odd}")


def check_type(name: str, dtype: str) -> None:
    """Raise unless an array has the element type that `SCHEMA` demands."""
    expected = SCHEMA[name][0]
    if dtype != expected:
        raise ArtefactError(f"{name} must be of type {expected}, got {dtype}")


def check_content(arrays: Arrays) -> None:
    """Raise unless shapes agree with each other and values with their bounds."""
    sizes: dict[str, int] = {}
    for name, (_, dimensions) in SCHEMA.items():
        shape = arrays[name].shape
        if len(shape) != len(dimensions):
            raise ArtefactError(f"{name} must have {len(dimensions)} dimensions, got {len(shape)}")
        for dimension, length in zip(dimensions, shape, strict=True):
            if sizes.setdefault(dimension, length) != length:
                raise ArtefactError(
                    f"{name} has {length} {dimension}, other arrays have {sizes[dimension]}"
                )
    if sizes["offsets"] != sizes["products"] + 1:
        raise ArtefactError(f"{sizes['products']} products with {sizes['offsets']} id offsets")
    if sizes["attribute_values"] != len(ATTRIBUTES) * VALUES_PER_ATTRIBUTE:
        raise ArtefactError(f"attributes has {sizes['attribute_values']} columns")
    _check_ids(arrays["product_id_bytes"], arrays["product_id_offsets"])
    for name in ("behaviour_index", "content_index"):
        _check_range(name, arrays[name], -1, sizes["products"] - 1)
    _check_range("behaviour_people", arrays["behaviour_people"], 0, 2**31 - 1)
    _check_range("attributes", arrays["attributes"], -1, 2**31 - 1)
    for name in ("popularity", "behaviour_score", "content_score"):
        if not np.isfinite(arrays[name]).all():
            raise ArtefactError(f"{name} holds values that are not finite")


def _check_ids(id_bytes: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> None:
    if offsets[0] != 0 or offsets[-1] != len(id_bytes) or (np.diff(offsets) < 0).any():
        raise ArtefactError("the id offsets do not fit the id bytes")
    try:
        product_ids = decode_ids(id_bytes, offsets)
    except UnicodeDecodeError as error:
        raise ArtefactError(f"a product id is not UTF-8: {error}") from error
    if len(set(product_ids)) != len(product_ids):
        raise ArtefactError("a product id is there twice")


def _check_range(name: str, values: npt.NDArray[Any], lowest: int, highest: int) -> None:
    if values.size and (values.min() < lowest or values.max() > highest):
        raise ArtefactError(f"{name} must lie within {lowest} and {highest}")


def encode_ids(product_ids: Sequence[str]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return ids as UTF-8 bytes and the places between which each one lies."""
    encoded = [product_id.encode() for product_id in product_ids]
    offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum([len(piece) for piece in encoded], out=offsets[1:])
    return np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets


def decode_ids(id_bytes: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> list[str]:
    """Return the ids that `encode_ids` encoded."""
    data, places = id_bytes.tobytes(), offsets.tolist()
    return [data[start:end].decode() for start, end in pairwise(places)]
