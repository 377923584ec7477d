"""The layout of an artefact: its arrays, their types and shapes, and what must hold between them.

numpy and the standard library only: the web process uses it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.parts import LISTS
from ml.signals import TABLES

Arrays = dict[str, npt.NDArray[Any]]

ATTRIBUTES = ("category", "gender", "color", "material", "size")
VALUES_PER_ATTRIBUTE = 3

#: Places of products: the smaller type where they fit in.
PLACES = ("<u2", "<i4")
# Name → element types and shape; a name of a dimension has one value in all arrays.
Kind = tuple[tuple[str, ...], tuple[str, ...]]


def _sparse(name: str) -> dict[str, Kind]:
    """Rows of places with a score each: row i lies from starts[i] to starts[i + 1]."""
    return {
        f"{name}_starts": (("<i8",), ("starts",)),
        f"{name}_products": (PLACES, (f"{name}_entries",)),
        f"{name}_scores": (("<f2",), (f"{name}_entries",)),
    }


ALWAYS: dict[str, Kind] = {
    "product_id_bytes": (("|u1",), ("id_bytes",)),
    "product_id_offsets": (("<i8",), ("starts",)),
    "popularity": (("<f4",), ("products",)),
    "known": (("|b1",), ("products",)),
    "attributes": (("<i4",), ("products", "attribute_values")),
    **_sparse("content"),
    "content_shares_words": (("|b1",), ("content_entries",)),
    **_sparse("kin"),
}
#: Groups of arrays that are there together or not at all.
GROUPS: dict[str, dict[str, Kind]] = {
    **{table: _sparse(table) for table in TABLES},
    "factors": {"factors": (("<f2",), ("products", "factors"))},
    "features": {
        "features_starts": (("<i8",), ("starts",)),
        "features_words": (PLACES, ("features_entries",)),
        "features_values": (("<f2",), ("features_entries",)),
    },
    "similar": {**_sparse("similar"), "similar_people": (("<i4",), ("similar_entries",))},
    **{f"trend_{name}": {f"trend_{name}": (("<f4",), ("products",))} for name in LISTS},
}
SCHEMA: dict[str, Kind] = ALWAYS | {
    name: kind for group in GROUPS.values() for name, kind in group.items()
}
SPARSE = tuple(name.removesuffix("_products") for name in SCHEMA if name.endswith("_products"))


#: A person's factors are solved for at each request: cubic in their number, as the square of them
#: is what a model takes beside its arrays.
MOST_FACTORS = 512


class ArtefactError(ValueError):
    """Bytes that are not the model the manifest speaks of, or not one of this version."""


def check_names(names: Collection[str]) -> None:
    """Raise unless all names are of `SCHEMA`, and no group is there in part."""
    odd = sorted(set(names) - set(SCHEMA)) + sorted(set(ALWAYS) - set(names))
    for group in GROUPS.values():
        missing = sorted(set(group) - set(names))
        if len(missing) < len(group):
            odd += missing
    if odd:
        raise ArtefactError(f"unknown or missing arrays: {odd[:5]}")


def check_type(name: str, dtype: str) -> None:
    """Raise unless an array has an element type that `SCHEMA` allows."""
    expected = SCHEMA[name][0]
    if dtype not in expected:
        raise ArtefactError(f"{name} must be of type {' or '.join(expected)}, got {dtype}")


def check_content(arrays: Arrays) -> None:
    """Raise unless shapes agree with each other and values with their bounds."""
    sizes = _check_shapes(arrays)
    num_products = sizes["products"]
    if sizes["starts"] != num_products + 1:
        raise ArtefactError(f"{num_products} products with {sizes['starts']} starts of rows")
    if sizes["attribute_values"] != len(ATTRIBUTES) * VALUES_PER_ATTRIBUTE:
        raise ArtefactError(f"attributes has {sizes['attribute_values']} columns")
    if sizes.get("factors", 0) > MOST_FACTORS:
        raise ArtefactError(f"{sizes['factors']} factors, at most {MOST_FACTORS} are served")
    _check_starts("product_id", arrays["product_id_offsets"], len(arrays["product_id_bytes"]))
    _check_ids(arrays["product_id_bytes"], arrays["product_id_offsets"])
    for name in SPARSE:
        if f"{name}_starts" in arrays:
            products = arrays[f"{name}_products"]
            _check_starts(name, arrays[f"{name}_starts"], len(products))
            _check_range(name, products, 0, num_products - 1)
            longest = int(np.diff(arrays[f"{name}_starts"]).max(initial=0))
            if longest > num_products:
                raise ArtefactError(f"a row of {name} has {longest} of {num_products} products")
    if "features_starts" in arrays:
        words = arrays["features_words"]
        _check_starts("features", arrays["features_starts"], len(words))
        # Each word is there, so that numbers of words need no more room than the words.
        _check_range("features_words", words, 0, len(words) - 1)
    if "similar_people" in arrays:
        _check_range("similar_people", arrays["similar_people"], 0, 2**31 - 1)
    _check_range("attributes", arrays["attributes"], -1, 2**31 - 1)
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ArtefactError(f"{name} holds values that are not finite")


def _check_shapes(arrays: Arrays) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for name, array in arrays.items():
        dimensions = SCHEMA[name][1]
        if len(array.shape) != len(dimensions):
            raise ArtefactError(
                f"{name} must have {len(dimensions)} dimensions, got {len(array.shape)}"
            )
        for dimension, length in zip(dimensions, array.shape, strict=True):
            if sizes.setdefault(dimension, length) != length:
                raise ArtefactError(
                    f"{name} has {length} {dimension}, other arrays have {sizes[dimension]}"
                )
    return sizes


def _check_starts(name: str, starts: npt.NDArray[np.int64], entries: int) -> None:
    # Compared and not subtracted: a difference of 64-bit numbers may wrap around.
    if starts[0] != 0 or starts[-1] != entries or (starts[1:] < starts[:-1]).any():
        raise ArtefactError(f"the starts of {name} do not fit its {entries} entries")


def _check_ids(id_bytes: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> None:
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
