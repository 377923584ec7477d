"""Read a request's body within bounds, unpacking what is packed."""

from __future__ import annotations

import sys
import zlib

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request

from app.errors import Problem

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_ACCEPTED_TYPES = ("", "application/json", "text/plain", "application/octet-stream")
_BOM = b"\xef\xbb\xbf"
#: A gzip file may be several, one behind the other. More than these cost too much to look at.
_MAX_MEMBERS = 100
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_ENCODINGS = "gzip, deflate, zstd"
_WINDOW_LOG_MAX = zstd.DecompressionParameter.window_log_max
#: What a body asks for in memory to be unpacked: RFC 8878 lets a reader refuse over 8 MB.
_MAX_WINDOW_LOG = 23
_GZIP = b"\x1f\x8b\x08"


def check_content_type(request: Request) -> None:
    """Refuse a body that says it is no JSON. Beacons say text/plain, and some clients nothing."""
    kind = request.mimetype
    if kind in _ACCEPTED_TYPES or kind.endswith("+json"):
        return
    raise Problem(
        415,
        "unsupported_media_type",
        f"send the events as JSON with Content-Type: application/json, not {kind}",
    )


def read_body(request: Request, *, max_bytes: int) -> bytes:
    """Read the body and unpack what Content-Encoding says; neither form may exceed `max_bytes`.

    A byte order mark in front is left out (RFC 8259 lets a reader ignore it).
    """
    data = _read(request, max_bytes=max_bytes)
    return _decode(data, encoding=_encoding_of(request), max_bytes=max_bytes)


def read_sdk_body(request: Request, *, max_bytes: int) -> bytes:
    """Read the body as `read_body` does, but know gzip by its first bytes.

    Beacons can send no header, and some SDKs and proxies leave out or keep a wrong one.
    """
    data = _read(request, max_bytes=max_bytes)
    encoding = _encoding_of(request)
    if data.startswith(_GZIP):
        encoding = "gzip"
    elif encoding in ("gzip", "x-gzip"):
        encoding = "identity"
    return _decode(data, encoding=encoding, max_bytes=max_bytes)


def unpack_gzip(data: bytes, *, max_bytes: int) -> bytes:
    """Unpack what begins as gzip does, and give anything else as it is. Raises Problem."""
    encoding = "gzip" if data.startswith(_GZIP) else "identity"
    return _decode(data, encoding=encoding, max_bytes=max_bytes)


def _read(request: Request, *, max_bytes: int) -> bytes:
    if (request.content_length or 0) > max_bytes:
        raise _too_large(max_bytes)
    try:
        data = request.stream.read(max_bytes + 1)
    except HTTPException:
        raise
    except Exception:
        raise cut_off() from None
    if len(data) > max_bytes:
        raise _too_large(max_bytes)
    return data


def cut_off() -> Problem:
    """Say that a body did not arrive: each server has errors of its own for that."""
    return Problem(400, "bad_body", "the body was cut off, or cannot be read")


def _encoding_of(request: Request) -> str:
    return request.headers.get("Content-Encoding", "identity").strip().lower()


def _decode(data: bytes, *, encoding: str, max_bytes: int) -> bytes:
    if encoding in ("", "identity"):
        return data.removeprefix(_BOM)
    if encoding == "zstd":
        return _unpack_zstd(data, max_bytes=max_bytes).removeprefix(_BOM)
    bits = _WINDOW_BITS.get(encoding)
    if bits is None:
        raise Problem(
            415,
            "unsupported_encoding",
            f"Content-Encoding may be {_ENCODINGS} or identity, not {encoding}",
            headers={"Accept-Encoding": _ENCODINGS},
        )
    return _unpack(data, bits=bits, max_bytes=max_bytes, encoding=encoding).removeprefix(_BOM)


def _unpack(data: bytes, *, bits: int, max_bytes: int, encoding: str) -> bytes:
    text = b""
    for _ in range(1 if encoding == "deflate" else _MAX_MEMBERS):
        unpacker = zlib.decompressobj(bits)
        try:
            text += unpacker.decompress(data, max_bytes + 1 - len(text))
        except zlib.error as error:
            raise Problem(400, "bad_encoding", f"the body is not {encoding}: {error}") from None
        if len(text) > max_bytes:
            raise _too_large(max_bytes)
        data = unpacker.unused_data
        if not unpacker.eof or not data:
            break
    if not unpacker.eof or data:
        raise Problem(400, "bad_encoding", f"the {encoding} body is cut off or has more behind it")
    return text


def _unpack_zstd(data: bytes, *, max_bytes: int) -> bytes:
    unpacker = zstd.ZstdDecompressor(options={_WINDOW_LOG_MAX: _MAX_WINDOW_LOG})
    try:
        text = unpacker.decompress(data, max_length=max_bytes + 1)
    except zstd.ZstdError as error:
        raise Problem(400, "bad_encoding", f"the body is not zstd: {error}") from None
    if len(text) > max_bytes:
        raise _too_large(max_bytes)
    if not unpacker.eof or unpacker.unused_data:
        raise Problem(400, "bad_encoding", "the zstd body is cut off or has more behind it")
    return text


def _too_large(max_bytes: int) -> Problem:
    return Problem(
        413,
        "request_too_large",
        f"a request may have {max_bytes} bytes, unpacked too: send it in parts",
    )
