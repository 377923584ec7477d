"""Read a request's body within bounds, unpacking what is packed."""

from __future__ import annotations

import zlib

from werkzeug.wrappers import Request

from app.errors import Problem

_ACCEPTED_TYPES = ("", "application/json", "text/plain", "application/octet-stream")
_BOM = b"\xef\xbb\xbf"
#: A gzip file may be several, one behind the other. More than these cost too much to look at.
_MAX_MEMBERS = 100
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


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
    """Read the body and unpack gzip or deflate; neither form may exceed `max_bytes`.

    A byte order mark in front is left out (RFC 8259 lets a reader ignore it).
    """
    if (request.content_length or 0) > max_bytes:
        raise _too_large(max_bytes)
    data = request.stream.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise _too_large(max_bytes)
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        return data.removeprefix(_BOM)
    bits = _WINDOW_BITS.get(encoding)
    if bits is None:
        raise Problem(
            415,
            "unsupported_encoding",
            f"Content-Encoding may be gzip, deflate or identity, not {encoding}",
            headers={"Accept-Encoding": "gzip, deflate"},
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


def _too_large(max_bytes: int) -> Problem:
    return Problem(
        413,
        "request_too_large",
        f"a request may have {max_bytes} bytes, unpacked too: send it in parts",
    )
