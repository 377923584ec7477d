"""The documents that Segment's and RudderStack's SDKs ask for before they start.

They say where the events go: to us, and nowhere else.
"""

from __future__ import annotations

from typing import Any

import orjson
from werkzeug.wrappers import Request, Response

from app.doors.dialects import in_dialect
from app.doors.routes import Doors
from app.doors.segment import write_problem
from app.origin import read_origin
from app.state import State
from app.write_keys import check_write_key, read_write_key

_PROJECTS = "/v1/projects/"
#: A page that is looked at twice asks once; a key that is revoked is refused with its events. No
#: cache that people share may keep it: the answer names the host that the request named.
_CACHE = "private, max-age=3600"
_NOT_SERVED = (
    'console.error("Millrace does not serve analytics.js, so this page sends no events. Serve '
    "dist/umd/standalone.js of @segment/analytics-next from your site, have the snippet load that, "
    'and set analytics._cdn to the address of your Millrace.");\n'
)


def answer_settings(request: Request, here: State) -> Response:
    """Give analytics.js and Segment's mobile SDKs the settings of the key in the path."""
    prefix, _, rest = request.path.partition(_PROJECTS)
    key = rest.partition("/")[0]
    _check_key(request, here, key)
    protocol, host = read_origin(request, trusted_proxies=here.settings.trusted_proxies)
    api_host = f"{host}{request.root_path}{prefix}/v1"
    return _write(
        {
            "integrations": {
                "Segment.io": {
                    "apiKey": key,
                    "apiHost": api_host,
                    "protocol": protocol,
                    "deliveryStrategy": {},
                    "addBundledMetadata": True,
                    "unbundledIntegrations": [],
                }
            },
            "plan": {"track": {"__default": {"enabled": True, "integrations": {}}}},
            # Otherwise the SDK tells Segment how it is.
            "metrics": {"sampleRate": 0, "host": api_host, "protocol": protocol},
            "edgeFunction": {},
            "enabledMiddleware": {},
            "legacyVideoPluginsEnabled": False,
            "remotePlugins": [],
        }
    )


def answer_source_config(request: Request, here: State) -> Response:
    """Give RudderStack's SDKs the configuration of a source: no destinations but us."""
    if request.method != "HEAD":
        # A browser asks with HEAD and no key, whether it is let through at all.
        _check_key(request, here, read_write_key(request) or request.args.get("writeKey"))
    silent = {"enabled": False}
    return _write(
        {
            "source": {
                "id": "millrace",
                "name": "Millrace",
                "enabled": True,
                "workspaceId": "millrace",
                "config": {"statsCollection": {"errors": silent, "metrics": silent}},
                "destinations": [],
                "connections": [],
                "updatedAt": "2026-01-01T00:00:00.000Z",
            }
        }
    )


def answer_snippet(request: Request, here: State) -> Response:
    """Tell the page's console why analytics.js does not come: Segment's snippet asks for it here.

    The snippet says nothing when it gets none, and keeps what is tracked to itself.
    """
    return Response(_NOT_SERVED, mimetype="text/javascript", headers={"Cache-Control": "no-cache"})


def _check_key(request: Request, here: State, key: str | None) -> None:
    check_write_key(
        request,
        here.write_keys,
        key=key or None,
        required=here.settings.require_key,
        now_ms=here.now_ms(),
    )


def _write(document: dict[str, Any]) -> Response:
    return Response(
        orjson.dumps(document), mimetype="application/json", headers={"Cache-Control": _CACHE}
    )


_in_segments_words = in_dialect(write_problem)

ROUTES: dict[str, Doors] = {
    "/v1/projects/{write_key}/settings": {"GET": _in_segments_words(answer_settings)},
    "/analytics.js/v1/{write_key}/analytics.min.js": {"GET": answer_snippet},
    "/sourceConfig": {"GET": _in_segments_words(answer_source_config)},
}
