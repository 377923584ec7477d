"""A question that takes the database too long is stopped, and the answer says so."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from app.auth import public
from app.database import current_session
from tests.integration.test_door import check_problem

AppWith = Callable[..., FlaskClient]


def add_question(app: Flask) -> None:
    """Add a view that asks for two seconds."""

    @public
    def ask() -> str:
        return str(current_session().scalar(text("SELECT pg_sleep(2)")))

    app.add_url_rule("/ask", view_func=ask, methods=["GET", "POST"])


def test_a_question_that_takes_too_long_is_504(app_with: AppWith) -> None:
    client = app_with(report_timeout_s=0.1)
    add_question(client.application)

    check_problem(client.get("/ask"), 504, "took_too_long")
    assert client.get("/readyz").status_code == 200


def test_changes_have_no_such_limit(app_with: AppWith) -> None:
    client = app_with(report_timeout_s=0.1)
    add_question(client.application)

    assert client.post("/ask").status_code == 200
