"""The artefact: a model as one .npz of plain arrays and a JSON-able manifest.

Nothing in the bytes is believed before it is checked: the hash first, then
the zip directory, then each array's header, and only then are arrays made.
numpy and the standard library only: the web process uses it.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import math
import re
import zipfile
import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.layout import SCHEMA, Arrays, check_content, check_names, check_type
from ml.layout import ArtefactError as ArtefactError

FORMAT_VERSION = 2
MAX_SIZE_BYTES = 2 * 1024**3
#: Arrays take no more than so many times the bytes they are packed in, beside a small model.
MOST_UNPACKED = 20
SMALL_SIZE_BYTES = 32 * 1024**2
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
FIXED_DATE = (1980, 1, 1, 0, 0, 0)

# The headers that numpy itself writes for our arrays; what differs is refused, never evaluated.
MAGIC = b"\x93NUMPY\x01\x00"
HEADER = re.compile(
    rb"\{'descr': '([<|a-z0-9]{1,6})', 'fortran_order': False, 'shape': \(([0-9, ]{1,60})\), \} *\n"
)


def pack(arrays: Mapping[str, npt.NDArray[Any]], manifest: Mapping[str, Any]) -> bytes:
    """Pack arrays into the bytes of an .npz; equal arrays give equal bytes.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Names of `SCHEMA`; a group of them is there whole or not at all.
    manifest : mapping
        Its format_version is checked; `describe` adds the rest.

    Raises
    ------
    ArtefactError
        If an array is missing, unknown, of another type or shape, or all are too large.
    """
    _check_version(manifest)
    check_names(arrays)
    _check_size(sum(array.nbytes for array in arrays.values()), MAX_SIZE_BYTES)
    for name, array in arrays.items():
        check_type(name, array.dtype.str)
    check_content(dict(arrays))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in (name for name in SCHEMA if name in arrays):
            member = zipfile.ZipInfo(f"{name}.npy", FIXED_DATE)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.create_system = 3
            body = io.BytesIO()
            np.lib.format.write_array(
                body, np.ascontiguousarray(arrays[name]), version=(1, 0), allow_pickle=False
            )
            archive.writestr(member, body.getvalue())
    return out.getvalue()


def describe(data: bytes, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the manifest with the hash and the size of the packed bytes."""
    digest = hashlib.sha256(data).hexdigest()
    return {**manifest, "sha256": digest, "size_bytes": len(data)}


def unpack(
    data: bytes, manifest: Mapping[str, Any], *, max_size_bytes: int = MAX_SIZE_BYTES
) -> Arrays:
    """Check the bytes against their manifest and return the arrays.

    Raises
    ------
    ArtefactError
        If anything does not agree.
    """
    _check_version(manifest)
    _check_told(manifest)
    _check_size(len(data), max_size_bytes)
    expected = str(manifest.get("sha256", "")).encode(errors="replace")
    if not hmac.compare_digest(hashlib.sha256(data).hexdigest().encode(), expected):
        raise ArtefactError("the bytes do not have the sha256 of the manifest")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            arrays = _read_members(archive, max_size_bytes)
    except ArtefactError:
        raise
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        ValueError,
        OverflowError,
        RuntimeError,
        OSError,
    ) as error:
        raise ArtefactError(f"not a readable .npz: {error}") from error
    check_content(arrays)
    return arrays


def _read_members(archive: zipfile.ZipFile, max_size_bytes: int) -> Arrays:
    members = archive.infolist()
    names = [member.filename.removesuffix(".npy") for member in members]
    if len(set(names)) != len(names):
        raise ArtefactError("an array is in the archive twice")
    check_names(dict.fromkeys(names))
    if any(member.compress_type not in COMPRESSIONS for member in members):
        raise ArtefactError("an array is compressed in an unknown way")
    packed = sum(member.compress_size for member in members)
    limit = min(max_size_bytes, SMALL_SIZE_BYTES + MOST_UNPACKED * packed)
    _check_size(sum(member.file_size for member in members), limit)
    return {
        name: _read_array(archive, member, name)
        for name, member in zip(names, members, strict=True)
    }


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> npt.NDArray[Any]:
    with archive.open(member) as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise ArtefactError(f"{name} is not an array of .npy version 1.0")
        header = HEADER.fullmatch(file.read(int.from_bytes(file.read(2), "little")))
        if header is None:
            raise ArtefactError(f"{name} has an unknown header")
        check_type(name, header[1].decode())
        dtype = np.dtype(header[1].decode())
        shape = tuple(int(length) for length in header[2].split(b",") if length.strip())
        size = math.prod(shape) * dtype.itemsize
        if size != member.file_size - file.tell():
            raise ArtefactError(f"{name} has the shape {shape}, which is not what it holds")
        body = file.read(size)
        # Reading on to the end makes zipfile compare the checksum.
        if len(body) != size or file.read(1):
            raise ArtefactError(f"{name} is cut short")
        return np.frombuffer(body, dtype=dtype).reshape(shape)


def _check_version(manifest: Mapping[str, Any]) -> None:
    version = manifest.get("format_version") if isinstance(manifest, Mapping) else None
    if version != FORMAT_VERSION:
        raise ArtefactError(f"format_version must be {FORMAT_VERSION}, got {version!r}")


def _check_told(manifest: Mapping[str, Any]) -> None:
    """Raise unless what people are told of a model has the types that they are told it in."""
    for name in ("parts", "window", "counts", "metrics", "baselines", "intervals"):
        told = manifest.get(name, {})
        if not isinstance(told, Mapping):
            raise ArtefactError(f"{name} of the manifest must be an object, got {told!r:.80}")
    for name, part in manifest.get("parts", {}).items():
        if not isinstance(part, Mapping):
            raise ArtefactError(f"the part {name!r:.80} must be an object, got {part!r:.80}")
    for name in ("products", "interactions"):
        number = manifest.get("counts", {}).get(name, 0)
        if isinstance(number, bool) or not isinstance(number, int):
            raise ArtefactError(f"counts.{name} must be a whole number, got {number!r:.80}")
    try:
        datetime.fromisoformat(manifest.get("trained_at", "1970-01-01"))
    except (TypeError, ValueError) as error:
        raise ArtefactError(f"trained_at of the manifest is no time: {error}") from error


def _check_size(size_bytes: int, limit: int) -> None:
    if size_bytes > limit:
        raise ArtefactError(f"the model takes {size_bytes} bytes, the limit is {limit}")
