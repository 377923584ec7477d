"""Make the Flask application."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from flask import Flask

import fail_points
import inbox
from app import tracker
from app.admin_tokens import LastUses
from app.api import (
    cleanup,
    dead_letters,
    events,
    export,
    health,
    identities,
    index,
    keys,
    models,
    privacy,
    product_metrics,
    products,
    range_reports,
    recommendations,
    reports,
    training,
    training_data,
    users,
)
from app.arrival import Arrival
from app.astray import answer_not_found
from app.auth import authorise_caller, check_views, identify_caller
from app.bell import Bell
from app.breaker import Breaker
from app.champion import ChampionHolder
from app.clock_skew import ClockSkew
from app.database import db
from app.database_figures import figures_reader, readiness_reader
from app.doors import activity, native
from app.errors import refuse_nul, register_errors
from app.feeder import Feeder
from app.headers import AnswerHeaders
from app.key_limits import KeyLimits
from app.lane import IngestionLane
from app.limits import limit_requests
from app.look import Look
from app.openapi import ProblemApi
from app.salts import DailySalt
from app.sink import Sink
from app.slow_clients import SlowClients
from app.slow_requests import watch_requests
from app.state import State
from app.suppressed import SuppressedPeople
from app.write_keys import WriteKeys
from intake.deny import DenyList
from intake.messages import MAX_MESSAGES
from intake.rows import Rules
from logs import configure_logs
from models.database import engine_options, make_engine, make_reader
from settings import Settings, read_settings, resolve_spool_dir
from spool import Spool

BLUEPRINTS = (
    index.blueprint,
    native.blueprint,
    activity.blueprint,
    events.blueprint,
    users.blueprint,
    cleanup.blueprint,
    reports.blueprint,
    range_reports.blueprint,
    export.blueprint,
    products.blueprint,
    product_metrics.blueprint,
    training_data.blueprint,
    recommendations.blueprint,
    training.blueprint,
    models.blueprint,
    keys.blueprint,
    identities.blueprint,
    privacy.blueprint,
    dead_letters.blueprint,
    health.blueprint,
)


ROOT = Path(__file__).resolve().parents[1]
#: What any request may send; the ingestion door has a bound of its own.
MAX_BODY_BYTES = 16 * 1024 * 1024


class Millrace(Flask):
    """Flask, without asking of each function of each request whether it is a coroutine: none is."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Give the function as it is."""
        return func


def create_app(
    settings: Settings | None = None, *, clock: Callable[[], float] = time.time
) -> Flask:
    """Make the app from the settings, the environment's by default. Connects to nothing yet."""
    settings = settings or read_settings()
    configure_logs(settings.log_level)
    fail_points.enable(settings.fail_points_dir)
    app = Millrace("millrace", static_folder=None)
    # Every path works with and without its last slash.
    app.url_map.strict_slashes = False
    # Ids of products and users stand in paths as they are, "a//b" among them.
    app.url_map.merge_slashes = False
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
    # Answers in the order of their schemas: people read them too.
    app.json.sort_keys = False  # type: ignore[attr-defined]
    db.init_app(app)
    app.extensions["millrace"] = _make_state(settings, clock)
    api = ProblemApi(app)
    for blueprint in BLUEPRINTS:
        api.register_blueprint(blueprint)
    if settings.door_prefix:
        api.register_blueprint(tracker.blueprint, url_prefix=settings.door_prefix)
    register_errors(app)
    app.register_error_handler(404, answer_not_found)
    watch_requests(app)
    app.before_request(refuse_nul)
    app.before_request(identify_caller)
    limit_requests(app, settings)
    app.before_request(authorise_caller)
    check_views(app)
    lane = IngestionLane(app.wsgi_app, app.extensions["millrace"], prefix=settings.door_prefix)
    arrival = Arrival(
        lane,
        max_bytes=app.config["MAX_CONTENT_LENGTH"],
        slow_clients=SlowClients(timeout_s=settings.request_timeout_s),
    )
    app.wsgi_app = AnswerHeaders(arrival, trusted_proxies=settings.trusted_proxies)  # type: ignore[method-assign]
    return app


def _make_state(settings: Settings, clock: Callable[[], float]) -> State:
    client = inbox.connect(settings.redis_url, timeout_s=settings.door_timeout_s)
    bell = Bell(
        inbox.connect(settings.redis_url, timeout_s=5.0), broker_url=settings.celery_broker_url
    )
    breaker = Breaker()
    feeder = _make_feeder(settings, bell)
    # A read every few seconds is not worth a connection of each process.
    engine = make_engine(settings.sqlalchemy_url, application="snapshots", keep_connections=False)
    suppressed = SuppressedPeople(engine, secret_key=settings.secret_key)
    rules = Rules(
        max_event_bytes=settings.max_event_bytes,
        max_batch_events=settings.max_batch_events,
        retention_days=settings.open_days,
        strict_types=settings.strict_types,
        deny_list=DenyList.parse(settings.property_deny_list),
        suppressed=suppressed,
    )
    return State(
        settings=settings,
        redis=client,
        breaker=breaker,
        sink=Sink(client, bell, feeder, breaker=breaker, max_bytes=settings.inbox_max_bytes),
        feeder=feeder,
        bell=bell,
        write_keys=WriteKeys(engine),
        key_limits=KeyLimits(client, breaker),
        last_uses=LastUses(),
        champions=ChampionHolder(engine),
        reader=make_reader(settings.sqlalchemy_url, application="recommendations"),
        readiness=Look(engine, readiness_reader(settings.dead_letters_alarm), name="readiness"),
        figures=Look(engine, figures_reader(clock), name="figures"),
        suppressed=suppressed,
        daily_salt=DailySalt(client, breaker),
        rules=rules,
        sdk_rules=replace(
            rules, max_event_bytes=settings.sdk_max_event_bytes, max_batch_events=MAX_MESSAGES
        ),
        clock_skew=ClockSkew(client, secret=settings.secret_key, breaker=breaker),
        clock=clock,
    )


def _make_feeder(settings: Settings, bell: Bell) -> Feeder | None:
    folder = resolve_spool_dir(settings, root=ROOT)
    if folder is None:
        return None
    return Feeder(
        Spool(folder, max_bytes=settings.spool_max_bytes),
        inbox.connect(settings.redis_url, timeout_s=5.0),
        bell,
        max_bytes=settings.inbox_max_bytes,
    )
