"""The served model: swapped under requests, refused when it does not verify, loaded by nobody who
waits."""

from __future__ import annotations

import gc
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import DBAPIError

from app.champion import ChampionHolder
from app.recommend.ranking import likeness
from ml.serving import Model
from models.database import transaction
from models.model_artefacts import ModelArtefact
from models.model_promotions import Authority, record_promotion
from models.shelves import Card
from tests.builders import NOW, NOW_MS, body, store_events
from tests.integration.test_recommendations import URL, look
from tests.integration.test_training import fill_shop, train

THREADS, SWAPS = 20, 30


@pytest.fixture
def holder(engine: Engine) -> Iterator[ChampionHolder]:
    """Give a holder as each process has one."""
    made = ChampionHolder(engine)
    yield made
    made.stop()


def promote(engine: Engine, version: int) -> None:
    with transaction(engine) as session:
        record_promotion(session, version, Authority("test", "by hand", NOW), previous_id=None)


def two_models(engine: Engine) -> tuple[int, int]:
    """Train a model, let others look at other products, and train another one."""
    fill_shop(engine)
    first = train(engine)["version"]
    chance = random.Random(1)
    for _ in range(3):
        store_events(
            engine,
            *(
                look(f"p{chance.randrange(10):02d}", f"new{n}", NOW_MS - 1000 * n)
                for n in range(200)
            ),
        )
    second = train(engine)["version"]
    promote(engine, second)
    return first, second


def copy_artefact(engine: Engine, version: int, **changes: Any) -> int:
    """Keep a model like another one, with other bytes or another manifest, and promote it."""
    with transaction(engine) as session:
        like = session.get_one(ModelArtefact, version)
        kept = {
            "sha256": like.sha256,
            "manifest": like.manifest,
            "content": like.content,
            "size_bytes": like.size_bytes,
            **changes,
        }
        made = ModelArtefact(run_id=like.run_id, created_at=NOW, **kept)
        session.add(made)
        session.flush()
        record_promotion(
            session,
            made.version,
            Authority("test", "by hand", NOW),
            previous_id=session.scalar(text("SELECT max(promotion_id) FROM model_promotions")),
        )
        return made.version


def test_models_are_swapped_under_requests_and_none_is_dropped(app: Flask, engine: Engine) -> None:
    versions = two_models(engine)
    champions = app.extensions["millrace"].champions
    asked = f"{URL}/user/u00?n=20&exclude_seen=false"
    expected = {}
    for version in versions:
        promote(engine, version)
        champions.refresh()
        expected[version] = body(app.test_client().get(asked))["recommendations"]
    assert expected[versions[0]] != expected[versions[1]]
    swapped = threading.Event()
    wrong: list[Any] = []
    told: set[int] = set()

    def ask(client: FlaskClient) -> None:
        while not swapped.is_set():
            answer = client.get(asked)
            document = body(answer)
            if answer.status_code != 200 or (
                document["recommendations"] != expected.get(document["model_version"])
            ):
                wrong.append(document)
            told.add(document["model_version"])

    threads = [threading.Thread(target=ask, args=(app.test_client(),)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for number in range(SWAPS):
        promote(engine, versions[number % 2])
        champions.refresh()
    swapped.set()
    for thread in threads:
        thread.join()

    assert wrong == []
    assert told == set(versions)
    gc.collect()
    assert sum(isinstance(item, Model) for item in gc.get_objects()) <= 2


@pytest.mark.parametrize(
    "break_it",
    [
        lambda kept: {"content": kept.content[:-100]},
        lambda kept: {"content": bytes([kept.content[0] ^ 1]) + kept.content[1:]},
        lambda kept: {"manifest": {}},
        lambda kept: {"manifest": {**kept.manifest, "recipe": None}},
        lambda kept: {"manifest": {**kept.manifest, "format_version": 10**6}},
    ],
    ids=["cut short", "a flipped bit", "no manifest", "no recipe", "another format"],
)
def test_a_model_that_does_not_verify_is_refused_and_the_one_before_is_served_on(
    engine: Engine, holder: ChampionHolder, break_it: Callable[[ModelArtefact], dict[str, Any]]
) -> None:
    fill_shop(engine)
    good = train(engine)["version"]
    holder.refresh()
    served = holder.current()
    with transaction(engine) as session:
        changes = break_it(session.get_one(ModelArtefact, good))
    bad = copy_artefact(engine, good, **changes)

    holder.refresh()
    fresh = ChampionHolder(engine)
    fresh.refresh()

    assert holder.current() is served is not None
    assert holder.refused is not None
    assert (holder.refused.version, bool(holder.refused.reason)) == (bad, True)
    restarted = fresh.current()
    fresh.stop()
    assert restarted is not None
    assert restarted.version == good

    promote(engine, good)
    holder.refresh()
    assert holder.refused is None


def test_how_alike_products_are_is_known_by_the_model_and_else_by_the_category(
    engine: Engine, holder: ChampionHolder
) -> None:
    fill_shop(engine)
    train(engine)
    holder.refresh()
    champion = holder.current()
    assert champion is not None
    cards = [Card(None, "bags", None, True)] * 3 + [None]

    alike = likeness(champion.model, ["p00", "new", "newer", "gone"], cards)

    assert alike[0, 0] > 0.99
    assert alike[0, 1] == alike[1, 2] == 1.0
    assert alike[3].tolist() == [0.0] * 4


def test_without_a_database_there_is_no_model_and_nobody_waits_for_one_long() -> None:
    from models.database import make_engine

    away = ChampionHolder(make_engine("postgresql+psycopg://x@127.0.0.1:1/x", application="test"))

    assert away.current() is None
    away.stop()


def test_a_database_that_fails_while_a_model_is_loaded_is_no_fault_of_the_model(
    engine: Engine, holder: ChampionHolder
) -> None:
    fill_shop(engine)
    version = train(engine)["version"]
    ended: list[int] = []

    def end_the_backend(connection: Connection, _: Any, statement: str, *rest: Any) -> None:
        if "model_artefacts.content" in statement and not ended:
            ended.append(connection.connection.dbapi_connection.info.backend_pid)  # type: ignore[union-attr]
            with engine.connect() as other:
                other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": ended[0]})

    event.listen(engine, "before_cursor_execute", end_the_backend)
    with pytest.raises(DBAPIError):
        holder.refresh()
    event.remove(engine, "before_cursor_execute", end_the_backend)
    holder.refresh()

    served = holder.current()
    assert served is not None
    assert (served.version, holder.refused) == (version, None)
    assert ended
