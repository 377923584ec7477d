"""Make the Flask application."""

from __future__ import annotations

import time
from collections.abc import Callable

from flask import Flask
from flask_smorest import Api
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

import inbox
from app.api import health, products, recommendations, reports, training
from app.auth import WriteKeys
from app.bell import Bell
from app.champion import ChampionHolder
from app.database import db
from app.doors import native
from app.errors import http_problem, problem_response, refuse_nul, register_errors
from app.lane import IngestionLane
from app.sink import Sink
from app.state import State
from intake.rows import Rules
from logs import configure_logs
from models.database import engine_options, make_engine
from settings import Settings, read_settings

BLUEPRINTS = (
    native.blueprint,
    reports.blueprint,
    products.blueprint,
    recommendations.blueprint,
    training.blueprint,
    health.blueprint,
)


#: What any request may send; the ingestion door has a bound of its own.
MAX_BODY_BYTES = 16 * 1024 * 1024


class ProblemApi(Api):
    """flask-smorest with problem documents as error answers."""

    def handle_http_exception(self, error: HTTPException) -> Response:
        """Answer an error with a problem document."""
        return problem_response(http_problem(error))


def create_app(
    settings: Settings | None = None, *, clock: Callable[[], float] = time.time
) -> Flask:
    """Make the app from the settings, the environment's by default. Connects to nothing yet."""
    settings = settings or read_settings()
    configure_logs(settings.log_level)
    app = Flask("millrace", static_folder=None)
    app.config.update(
        MAX_CONTENT_LENGTH=max(MAX_BODY_BYTES, settings.max_request_bytes),
        SQLALCHEMY_DATABASE_URI=settings.sqlalchemy_url,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options("web"),
        API_TITLE="Millrace",
        API_VERSION="v1",
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX="/",
        OPENAPI_JSON_PATH="openapi.json",
    )
    db.init_app(app)
    app.extensions["millrace"] = _make_state(settings, clock)
    api = ProblemApi(app)
    for blueprint in BLUEPRINTS:
        api.register_blueprint(blueprint)
    register_errors(app)
    app.before_request(refuse_nul)
    app.wsgi_app = IngestionLane(app.wsgi_app, app.extensions["millrace"])  # type: ignore[method-assign]
    return app


def _make_state(settings: Settings, clock: Callable[[], float]) -> State:
    client = inbox.connect(settings.redis_url, timeout_s=settings.door_timeout_s)
    bell = Bell(
        inbox.connect(settings.redis_url, timeout_s=5.0), broker_url=settings.celery_broker_url
    )
    return State(
        settings=settings,
        redis=client,
        sink=Sink(client, bell, max_bytes=settings.inbox_max_bytes),
        bell=bell,
        write_keys=WriteKeys(make_engine(settings.sqlalchemy_url, application="keys")),
        champions=ChampionHolder(),
        rules=Rules(
            max_event_bytes=settings.max_event_bytes,
            max_batch_events=settings.max_batch_events,
            retention_days=settings.retention_days,
            strict_types=settings.strict_types,
        ),
        clock=clock,
    )
