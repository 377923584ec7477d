"""Find the JSON in a request of PostHog's SDKs, whatever it says of itself.

The body is JSON or gzip of it, with or without a header that says so; or a form whose `data` is
JSON, mostly in base64. Old SDKs sent such data in the query.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from urllib.parse import parse_qs

from werkzeug.wrappers import Request

from app.body import read_sdk_body, unpack_gzip
from app.errors import Problem

_OPENING = (b"{", b"[")
_TO_STANDARD = str.maketrans("-_ ", "+/+")
_MAX_FIELDS = 20


def read_payload(request: Request, *, max_bytes: int) -> bytes:
    """Give what is to be read as JSON. Raises Problem."""
    body = read_sdk_body(request, max_bytes=max_bytes)
    if body.lstrip()[:1] in _OPENING:
        return body
    compression = request.args.get("compression", "")
    data = request.args.get("data") if not body.strip() else None
    if body.startswith(b"data=") or b"&data=" in body[:1000]:
        form = _read_form(body)
        data = form.get("data", "")
        compression = form.get("compression", compression)
    if compression.startswith("lz"):
        raise Problem(
            400, "unsupported_encoding", "lz64 is not read here: send gzip, base64 or plain JSON"
        )
    if data is None:
        data = body.decode("latin-1")
    if not data.strip():
        raise Problem(400, "empty", "the request holds no events")
    if data.lstrip()[:1] in ("{", "["):
        return data.encode()
    return unpack_gzip(_read_base64(data), max_bytes=max_bytes)


def _read_form(body: bytes) -> dict[str, str]:
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise Problem(400, "bad_encoding", "the form cannot be read") from None
    return {name: values[0] for name, values in fields.items()}


def _read_base64(text: str) -> bytes:
    # A plus sign that is not escaped in a form is read as a space.
    standard = text.strip().translate(_TO_STANDARD).rstrip("=")
    try:
        return b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise Problem(
            400, "bad_encoding", "the body is neither JSON, nor gzip nor base64 of it"
        ) from None
