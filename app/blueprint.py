"""Blueprints of the API: each route is documented with what it needs and how it can fail."""

from __future__ import annotations

import re
from typing import Any

from apispec.ext.marshmallow.common import resolve_schema_instance
from flask_smorest import Blueprint
from webargs.flaskparser import FlaskParser

from app.errors import Problem
from app.schemas.glossary import GLOSSARY

PROBLEM_TYPE = "application/problem+json"
# By its name in the document, where the error answer of every operation puts it: resolving the
# schema for each answer took a third of the time in which an app is made.
_PROBLEM = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
#: Names of the security schemes in the document.
ADMIN_TOKEN, WRITE_KEY = "admin_token", "write_key"

_VARIABLE = re.compile(r"<([^<>]*:)?(\w+)>")
_MEANINGS = {
    "400": "The request cannot be read",
    "401": "No admin token, or one that is not valid (any more)",
    "403": "The admin token lacks the scope",
    "404": "There is no such thing",
    "413": "The body is too large",
    "422": "A field cannot be used: see errors",
    "429": "Too many requests: try again after Retry-After",
}


class ArgumentsParser(FlaskParser):
    """webargs' parser, for JSON that Python can read and then cannot hold."""

    def load_json(self, req: Any, schema: Any) -> Any:
        """Read the body. Raises Problem for a number of thousands of digits."""
        try:
            return super().load_json(req, schema)
        except ValueError:
            raise Problem(400, "bad_request", "the body has a number that is too long") from None


class ApiBlueprint(Blueprint):  # type: ignore[misc]
    """flask-smorest's blueprint, as all of our API uses it.

    What a view declares (its scope, its arguments, the parameters of its path) is written into
    the OpenAPI document: the security it asks for and the problems it may answer with.
    """

    ARGUMENTS_PARSER = ArgumentsParser()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._prepare_doc_cbks.append(_document_access)

    def arguments(self, schema: Any, **options: Any) -> Any:
        """Declare what a view is asked with: its schema is made once, not for each request."""
        return super().arguments(resolve_schema_instance(schema), **options)

    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: Any = None,
        provide_automatic_options: bool | None = None,
        **options: Any,
    ) -> None:
        """Register a route, and keep for its documentation what the view and the path say."""
        options["parameters"] = [*(options.get("parameters") or ()), *_path_parameters(rule)]
        super().add_url_rule(rule, endpoint, view_func, provide_automatic_options, **options)
        for method in self._docs[self._endpoints[-1]].values():
            if isinstance(method, dict):
                method["access"] = {
                    "scopes": getattr(view_func, "accepted_scopes", ()),
                    "write_key": getattr(view_func, "takes_write_key", False),
                    "has_parameter": "<" in rule,
                }


def _path_parameters(rule: str) -> list[dict[str, str]]:
    names = [name for _, name in _VARIABLE.findall(rule)]
    return [{"in": "path", "name": name, "description": GLOSSARY.get(name, name)} for name in names]


def _document_access(doc: dict[str, Any], doc_info: dict[str, Any], **_: Any) -> dict[str, Any]:
    access = doc_info["access"]
    manual = doc_info.setdefault("manual_doc", {})
    # What a view says about its security by hand could only repeat or contradict its scope.
    manual.pop("security", None)
    answers = {str(status): answer for status, answer in doc.get("responses", {}).items()}
    given = manual.get("responses", {})
    for status in _problems_of({**doc, **manual}, access):
        answers[status] = _problem(_MEANINGS[status])
    for status, answer in given.items():
        if status[0] in "45" and "content" not in answer:
            given[status] = _problem(answer.get("description", _MEANINGS.get(status, "")))
    doc["responses"] = answers
    if access["scopes"]:
        doc["security"] = [{ADMIN_TOKEN: [scope]} for scope in access["scopes"]]
        doc_info["docstring"] = _with_scopes(doc_info["docstring"], access["scopes"])
    elif access["write_key"]:
        doc["security"] = [{}, {WRITE_KEY: []}]
    return doc


def _problems_of(doc: dict[str, Any], access: dict[str, Any]) -> list[str]:
    found = ["400"]
    if access["scopes"]:
        found += ["401", "403"]
    if access["has_parameter"]:
        found.append("404")
    if "requestBody" in doc:
        found.append("413")
    if "requestBody" in doc or "parameters" in doc:
        found.append("422")
    return [*found, "429"]


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "content": _PROBLEM}


def _with_scopes(docstring: dict[str, str], scopes: tuple[str, ...]) -> dict[str, str]:
    wanted = " or ".join(f"`{scope}`" for scope in scopes)
    parts = [
        docstring.get("summary", ""),
        docstring.get("description", ""),
        f"Needs an admin token with the scope {wanted}.",
    ]
    return {**docstring, "description": "\n\n".join(part for part in parts if part)}
