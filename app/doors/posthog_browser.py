"""What posthog-js and PostHog's app SDKs ask for besides: configuration, flags, optional scripts.

They are told that everything but events is off, so that a page's console stays free of errors.
"""

from __future__ import annotations

import json
from typing import Any

import orjson
from werkzeug.wrappers import Request, Response

from app.doors.routes import Doors
from app.state import State

#: The path of a project's configuration begins so; its token follows.
_ARRAY = "/array/"
_CACHE = {"Cache-Control": "public, max-age=300"}
_CONFIG: dict[str, Any] = {
    "supportedCompression": ["gzip", "gzip-js"],
    "analytics": {"endpoint": "/i/v0/e/"},
    "hasFeatureFlags": False,
    # The page's own configuration decides; clicks become events of their own type.
    "autocapture_opt_out": False,
    "elementsChainAsString": True,
    "defaultIdentifiedOnly": True,
    "sessionRecording": False,
    "surveys": False,
    "heatmaps": False,
    "capturePerformance": False,
    "captureDeadClicks": False,
    "autocaptureExceptions": False,
    "errorTracking": {"autocaptureExceptions": False, "suppressionRules": []},
    "logs": {"captureConsoleLogs": False},
    "productTours": False,
    "conversations": False,
    "siteApps": [],
    "isAuthenticated": False,
    "toolbarParams": {},
}
_FLAGS: dict[str, Any] = {
    "flags": {},
    "featureFlags": {},
    "featureFlagPayloads": {},
    "errorsWhileComputingFlags": False,
}
#: Parts of posthog-js that a page may turn on, and whose script it then wants from here.
_SCRIPTS = (
    "conversations", "dead-clicks-autocapture", "exception-autocapture", "lazy-recorder", "logs",
    "posthog-recorder", "product-tours", "recorder", "recorder-v2", "surveys", "toolbar",
    "tracing-headers", "web-vitals", "web-vitals-soft-navs", "web-vitals-with-attribution",
    "web-vitals-with-attribution-soft-navs",
)  # fmt: skip

_NOT_SERVED = (
    'console.error("Millrace does not serve posthog-js, so this page sends no events. Serve '
    'dist/array.js of posthog-js from your site, and have the snippet load that.");\n'
)


def answer_config(request: Request, here: State) -> Response:
    """Give the configuration, the same for every token: there is nothing in it to protect."""
    token = request.path.partition(_ARRAY)[2].partition("/")[0]
    return _write_json({"token": token, **_CONFIG}, headers=_CACHE)


def answer_config_script(request: Request, here: State) -> Response:
    """Give the configuration as the script that posthog-js loads rather than the document."""
    token = request.path.partition(_ARRAY)[2].partition("/")[0]
    config = _as_script({"token": token, **_CONFIG})
    return _write_script(
        "(function(w){(w._POSTHOG_REMOTE_CONFIG=w._POSTHOG_REMOTE_CONFIG||{})"
        f"[{_as_script(token)}]={{config:{config},siteApps:[]}}}})(window);\n"
    )


def answer_flags(request: Request, here: State) -> Response:
    """Answer that there are no feature flags; older SDKs ask for the configuration with them."""
    return _write_json({**_CONFIG, **_FLAGS})


def answer_empty_script(request: Request, here: State) -> Response:
    """Give a script that does nothing."""
    return _write_script("")


def answer_snippet(request: Request, here: State) -> Response:
    """Tell the page's console why posthog-js does not come: PostHog's snippet asks for it here."""
    return Response(_NOT_SERVED, mimetype="text/javascript", headers={"Cache-Control": "no-cache"})


def answer_recording(request: Request, here: State) -> Response:
    """Take a piece of a recorded session for read: none is kept."""
    return _write_json({"status": 1})


def _as_script(value: Any) -> str:
    # Pure ASCII without < and > is the same text in a script, whatever stands around it.
    return json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e")


def _write_json(document: dict[str, Any], *, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(document), mimetype="application/json", headers=headers)


def _write_script(text: str) -> Response:
    return Response(text, mimetype="text/javascript", headers=_CACHE)


ROUTES: dict[str, Doors] = {
    "/array/{token}/config": {"GET": answer_config},
    "/array/{token}/config.js": {"GET": answer_config_script},
    "/flags": {"POST": answer_flags, "GET": answer_flags},
    "/decide": {"POST": answer_flags, "GET": answer_flags},
    "/s": {"POST": answer_recording},
    "/static/array.js": {"GET": answer_snippet},
    **{
        f"{folder}/{name}.js": {"GET": answer_empty_script}
        for folder in ("/static", "/static/{version}")
        for name in _SCRIPTS
    },
}
