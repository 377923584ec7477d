"""The first page: what answers here, and where to go on."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from app.auth import public
from app.blueprint import ApiBlueprint
from app.schemas.index import IndexAnswer

blueprint = ApiBlueprint("index", __name__, description="What answers here")

_PROJECT = Path(__file__).parents[2] / "pyproject.toml"
VERSION: str = tomllib.loads(_PROJECT.read_text())["project"]["version"]
LINKS = {
    "openapi": "/openapi.json",
    "health": "/healthz",
    "ready": "/readyz",
    "metrics": "/metrics",
    "send_events": "/api/v1/analytics/events/",
    "read_events": "/api/events/",
    "reports": "/api/admin/analytics/daily-summary/",
}


@blueprint.route("/")
@blueprint.doc(summary="Name, version, and where to go on")
@public
@blueprint.response(200, IndexAnswer)
def index() -> dict[str, Any]:
    """Say what answers here."""
    return {"name": "millrace", "version": VERSION, "links": LINKS}
