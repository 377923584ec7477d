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
from app.schemas.glossary import describe_field
from app.schemas.problems import ProblemSchema

DESCRIPTION = """\
A self-hosted event backend.

Every path works with and without its last slash. Lists are `{"<things>": […], "next_cursor": …}`,
with `limit` and `cursor`. Ranges are half-open: `date_from` up to, and without, `date_to`; `since`
up to, and without, `until`. Days are those of REPORT_TIMEZONE. Reports say in `from` what they were
read from. Money is text: it is exact. Every error is a problem document (RFC 9457) with a `code`
for programs.
"""
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
        about = {
            "info": {"description": DESCRIPTION},
            "components": {"securitySchemes": SECURITY_SCHEMES},
        }
        super().__init__(app, spec_kwargs=about)
        self.ma_plugin.converter.add_attribute_function(_plain_bounds)
        self.ma_plugin.converter.add_attribute_function(describe_field)

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
