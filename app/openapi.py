"""The API's document, `/openapi.json`: credentials, and problem documents as error answers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from flask import Flask
from flask_smorest import Api
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from app.auth import public
from app.blueprint import ADMIN_TOKEN, PROBLEM_TYPE, WRITE_KEY
from app.errors import http_problem, problem_response
from app.schemas.problems import ProblemSchema

SECURITY_SCHEMES = {
    ADMIN_TOKEN: {
        "type": "http",
        "scheme": "bearer",
        "description": "An admin token, at_…, with the scope that is named",
    },
    WRITE_KEY: {
        "type": "apiKey",
        "in": "header",
        "name": "X-Write-Key",
        "description": "The public key of a source, wk_…",
    },
}


class ProblemApi(Api):  # type: ignore[misc]
    """flask-smorest with problem documents as error answers, in the document too."""

    ERROR_SCHEMA = ProblemSchema

    def __init__(self, app: Flask) -> None:
        schemes = {"components": {"securitySchemes": SECURITY_SCHEMES}}
        super().__init__(app, spec_kwargs=schemes)
        self.ma_plugin.converter.add_attribute_function(_plain_bounds)

    def _register_responses(self) -> None:
        # The document's error answers, and no others, are made with this type.
        self.DEFAULT_RESPONSE_CONTENT_TYPE = PROBLEM_TYPE
        super()._register_responses()
        del self.DEFAULT_RESPONSE_CONTENT_TYPE

    @public
    def _openapi_json(self) -> Response:
        answer: Response = super()._openapi_json()
        return answer

    def handle_http_exception(self, error: HTTPException) -> Response:
        """Answer an error with a problem document."""
        return problem_response(http_problem(error))


def _plain_bounds(_: Any, __: Any, ret: dict[str, Any], **___: Any) -> dict[str, Any]:
    """Write bounds that are decimals as numbers: JSON would make texts of them."""
    return {name: float(value) for name, value in ret.items() if isinstance(value, Decimal)}
