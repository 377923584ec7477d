"""Serve our JavaScript tracker: the files of clients/javascript/dist, below DOOR_PREFIX."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path

from flask import Response, request

from app.auth import public
from app.blueprint import ApiBlueprint
from app.errors import Problem

blueprint = ApiBlueprint("tracker", __name__, description="Our JavaScript tracker")

_DIST = Path(__file__).parents[1] / "clients" / "javascript" / "dist"
_JAVASCRIPT = "text/javascript; charset=utf-8"
#: What is served, and nothing else.
FILES = ("m.js", "m.mjs", "impressions.mjs", "react.mjs")
# A page that has it asks again after an hour, and gets 304 until a new version is out.
_CACHE = "public, max-age=3600, stale-while-revalidate=86400"


@dataclass(frozen=True, slots=True)
class _File:
    """One file as it is and packed, and a name for exactly these bytes."""

    plain: bytes
    packed: bytes
    etag: str


@cache
def _read(name: str) -> _File:
    plain = (_DIST / name).read_bytes()
    digest = blake2b(plain, digest_size=12).hexdigest()
    return _File(plain, gzip.compress(plain, compresslevel=9, mtime=0), digest)


def _serve(name: str) -> Response:
    try:
        file = _read(name)
    except FileNotFoundError:
        raise Problem(404, "not_found", f"{name} was not built") from None
    is_packed = request.accept_encodings.quality("gzip") > 0
    answer = Response(file.packed if is_packed else file.plain, content_type=_JAVASCRIPT)
    if is_packed:
        answer.content_encoding = "gzip"
    # Two forms of one file have two tags; a proxy may pack or unpack what it passes on.
    answer.set_etag(f"{file.etag}-gzip" if is_packed else file.etag)
    answer.headers["Cache-Control"] = _CACHE
    answer.headers["Vary"] = "Accept-Encoding"
    answer.headers["Access-Control-Allow-Origin"] = "*"
    answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    answer.make_conditional(request)
    return answer


_DOC = {
    "responses": {
        "200": {
            "description": "The script; it may be embedded from any origin",
            "content": {"text/javascript": {"schema": {"type": "string"}}},
        },
        "304": {"description": "The browser's copy is still right"},
    }
}


@blueprint.route("/m.js")
@blueprint.doc(summary="The tracker for a script tag", **_DOC)
@public
def script() -> Response:
    """Give the script that starts by itself, configured by the attributes of its tag."""
    return _serve("m.js")


@blueprint.route("/m.mjs")
@blueprint.doc(summary="The tracker as a module", **_DOC)
@public
def module() -> Response:
    """Give the module that exports `init`."""
    return _serve("m.mjs")


@blueprint.route("/impressions.mjs")
@blueprint.doc(summary="Impressions of product lists, as a module", **_DOC)
@public
def impressions() -> Response:
    """Give the module that exports `watchImpressions`."""
    return _serve("impressions.mjs")


@blueprint.route("/react.mjs")
@blueprint.doc(summary="The tracker's React hook, as a module", **_DOC)
@public
def react() -> Response:
    """Give the module that exports `useActivityTracker`; it imports `react` and `./m.mjs`."""
    return _serve("react.mjs")
