"""Requests and answers of the doors: werkzeug's, without the steps that no event needs."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from werkzeug.datastructures import EnvironHeaders, ImmutableMultiDict, MultiDict
from werkzeug.utils import cached_property
from werkzeug.wrappers import Request, Response

_NO_ARGS: MultiDict[str, str] = ImmutableMultiDict()
#: Answers that have no body, whatever was written into them.
_BODILESS = frozenset({204, 304})


class DoorRequest(Request):
    """A request whose headers are looked up at once; a door asks for a dozen that nobody sent."""

    def __init__(self, environ: dict[str, Any]) -> None:
        # An environ that names its request is a circle, which only the garbage collector ends.
        super().__init__(environ, populate_request=False)
        self.headers = _DoorHeaders(environ)

    @cached_property
    def args(self) -> MultiDict[str, str]:
        """Give the parameters of the query; nearly no request has any."""
        return super().args if self.query_string else _NO_ARGS


class _DoorHeaders(EnvironHeaders):
    def get(self, key: str, default: Any = None, type: Any = None) -> Any:  # type: ignore[override]
        if type is not None:
            return super().get(key, default, type)
        return self.environ.get(_variable_of(key), default)


@lru_cache(maxsize=256)
def _variable_of(header: str) -> str:
    """Name the variable of WSGI that holds a header."""
    name = header.upper().replace("-", "_")
    return name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"


def send(response: Response, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer with a response (PEP 3333) that names no address in its headers: no door redirects.

    A whole body is given as it is. Werkzeug would copy all headers, to look for addresses in them,
    and wrap the body so that it can be closed.
    """
    is_whole = response.is_sequence and "Content-Length" in response.headers
    if not is_whole or response.status_code in _BODILESS or environ["REQUEST_METHOD"] == "HEAD":
        return response(environ, start_response)
    start_response(response.status, response.headers.to_wsgi_list())
    return [response.get_data()]
