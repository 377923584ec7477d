"""An erasure reaches what waits in spools: in this machine's at once, in others' when it is fed."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
import redis
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

import inbox
from app.bell import Bell
from app.feeder import Feeder
from intake.request import encode_batch
from models.database import transaction
from models.dead_letters import DeadLetter
from models.erasures import Erasure, request_erasure
from models.events import Event
from models.holdings import count_held, stream_held
from models.invariants import check_invariants
from models.person import Person
from models.suppressions import Salts
from settings import Settings
from spool import Spool
from tasks.erase import erase
from tasks.ingest import Drainer
from tests.builders import NOW, SENDER, read

PERSON = Person(user_id="u1", anonymous_ids=("a1",))
MIB = 1 << 20


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", max_bytes=MIB)


def put(spool: Spool, *users: str) -> None:
    """Put a batch of one event of each user into a spool, as the door does."""
    batch = spool.read_depth().batches
    events = [
        {"event_type": "product_view", "user_id": user, "message_id": f"{batch} {user}"}
        for user in users
    ]
    reading = read(*events)
    body = encode_batch(reading.rows, sender=SENDER)
    counts = f"native {len(users)} {len(users)}"
    spool.put(body, events=len(users), days=reading.days, counts=counts)


def feed(spool: Spool, settings: Settings, client: redis.Redis) -> int:
    bell = Bell(client, broker_url=settings.celery_broker_url)
    return Feeder(spool, client, bell, max_bytes=MIB).feed()


def carry_out(
    engine: Engine, client: redis.Redis, settings: Settings, *, spool: Spool | None
) -> Erasure:
    with transaction(engine) as session:
        requested = request_erasure(session, Salts.of(settings.secret_key), PERSON, now=NOW)
    assert erase(
        engine,
        client,
        requested.erasure_id,
        secret_key=settings.secret_key,
        zone="UTC",
        clock=lambda: NOW,
        spool=spool,
    )
    with transaction(engine) as session:
        return session.get_one(Erasure, requested.erasure_id)


def users_in(session: Session) -> list[str]:
    return list(session.execute(text("SELECT user_id FROM events ORDER BY user_id")).scalars())


def test_what_waits_in_the_spool_of_this_machine_goes(
    engine: Engine, redis_client: redis.Redis, settings: Settings, spool: Spool
) -> None:
    put(spool, "u1", "u2")
    put(spool, "u1")
    put(spool, "u3")

    done = carry_out(engine, redis_client, settings, spool=spool)

    assert done.counts is not None
    assert done.counts["inbox"] == 2
    assert [batch.events for batch in spool.scan()] == [1, 0, 1]
    held = b"".join(path.read_bytes() for path in spool.folder.iterdir())
    assert b'"u1"' not in held
    assert b'"u2"' in held
    assert inbox.read_totals(redis_client)["refused"] == 2


def test_the_rest_of_a_spool_is_stored_and_every_door_count_with_it(
    engine: Engine,
    redis_client: redis.Redis,
    settings: Settings,
    spool: Spool,
    drainer: Drainer,
    session: Session,
) -> None:
    put(spool, "u1", "u2")
    put(spool, "u1")
    carry_out(engine, redis_client, settings, spool=spool)

    feed(spool, settings, redis_client)
    drainer.drain()

    assert users_in(session) == ["u2"]
    found = check_invariants(
        engine, redis_client, zone="UTC", secret_key=settings.secret_key, spool=spool
    )
    by_id = {item.id: item for item in found}
    assert [by_id[name].ok for name in ("I2", "I3", "I4", "I8", "I11")] == [True] * 5
    assert by_id["I8"].figure.startswith("3 received, 3 accepted")


def test_what_another_machine_feeds_after_an_erasure_is_not_stored(
    engine: Engine,
    redis_client: redis.Redis,
    settings: Settings,
    spool: Spool,
    drainer: Drainer,
    session: Session,
) -> None:
    put(spool, "u1", "u2")
    # The machine of this spool was away.
    carry_out(engine, redis_client, settings, spool=None)

    feed(spool, settings, redis_client)
    result = drainer.drain()

    assert (result.stored, result.refused) == (1, 1)
    assert users_in(session) == ["u2"]
    assert session.query(DeadLetter).count() == 0
    assert session.query(Event).count() == 1
    assert inbox.read_depth(redis_client).batches == 0
    held = b"".join(path.read_bytes() for path in spool.folder.iterdir())
    assert b'"u1"' not in held


def test_a_broken_spool_does_not_hold_an_erasure_up(
    engine: Engine, redis_client: redis.Redis, settings: Settings, spool: Spool
) -> None:
    spool.folder.mkdir()
    (spool.folder / "batches.sqlite3").write_text("no database")

    assert carry_out(engine, redis_client, settings, spool=spool).status == "done"


def test_what_is_held_about_a_person_names_what_waits_in_the_spool(
    engine: Engine, redis_client: redis.Redis, session: Session, spool: Spool
) -> None:
    put(spool, "u1", "u2")

    counts = count_held(session, redis_client, PERSON, spool=spool)
    lines = [
        orjson.loads(line)
        for line in stream_held(engine, redis_client, PERSON, salts=None, spool=spool)
    ]

    assert counts["inbox"] == 1
    assert [line["kind"] for line in lines] == ["waiting"]
    assert lines[0]["event"]["user_id"] == "u1"
