"""The invariants that can be seen from inside (the numbers are those of docs/architecture.md).

Each is counted from the events themselves, in one snapshot: a store or a purge that commits
meanwhile is seen whole or not at all.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import redis
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

import inbox
from door_counts import read_door_counts
from models.aggregate_recount import WAITING_DAYS, compare_aggregates
from models.counter_drift import begin_snapshot
from models.database import transaction
from models.dead_letters import SUPERSEDED
from models.erasures import DONE
from models.model_artefacts import find_missing, read_champion
from models.product_metrics import COUNTERS, counts_sql
from models.suppressions import Salts, digest_sql, uses_another_key
from spool import Spool, SpoolDepth, SpoolError


@dataclass(frozen=True, slots=True)
class Invariant:
    """One invariant: what must hold, whether it does, and the figure that shows it."""

    id: str
    text: str
    ok: bool
    figure: str


def check_invariants(
    engine: Engine,
    client: redis.Redis,
    *,
    zone: str,
    secret_key: str = "",
    spool: Spool | None = None,
) -> list[Invariant]:
    """Check them all. People who were erased are told by hashes that `secret_key` salts.

    Of the spools only that of this machine can be looked at.
    """
    with transaction(engine) as session:
        begin_snapshot(session)
        return [
            _no_id_twice(session),
            _counters_agree(session),
            _nothing_waits(client, spool),
            _aggregates_agree(session, zone=zone),
            _products_have_metrics(session),
            _doors_add_up(client),
            _model_verifies(session),
            _erased_stay_erased(session, secret_key),
        ]


def _no_id_twice(session: Session) -> Invariant:
    events, ids = session.execute(
        text("SELECT count(*), count(DISTINCT event_id) FROM events")
    ).one()
    both, superseded = session.execute(
        text(
            f"SELECT count(*), count(*) FILTER (WHERE {SUPERSEDED}) FROM dead_letters "
            "WHERE (SELECT true FROM events WHERE events.event_id = dead_letters.event_id)"
        )
    ).one()
    figure = f"{events:,} events, {ids:,} ids, {both:,} of them dead letters too"
    return Invariant(
        "I2",
        "no id is stored twice",
        events == ids and both == superseded,
        figure + (f", {superseded:,} of these mended and sent again" if superseded else ""),
    )


def _counters_agree(session: Session) -> Invariant:
    names = ", ".join(COUNTERS)
    sums = ", ".join(
        f"coalesce(stored.{name}, 0) + coalesce(purged.{name}, 0)" for name in COUNTERS
    )
    kept = ", ".join(f"coalesce(metrics.{name}, 0)" for name in COUNTERS)
    compared, wrong = session.execute(
        text(
            f"SELECT count(*), count(*) FILTER (WHERE ({sums}) IS DISTINCT FROM ({kept})) "
            f"FROM (SELECT product_id, {names} FROM ({counts_sql('events')}) AS counted) AS stored "
            "FULL JOIN purged_product_metrics AS purged USING (product_id) "
            "FULL JOIN product_metrics AS metrics USING (product_id)"
        )
    ).one()
    return Invariant(
        "I3",
        "each product's counters = its stored and purged events",
        wrong == 0,
        f"{compared:,} products compared, {wrong:,} differ",
    )


def _nothing_waits(client: redis.Redis, spool: Spool | None) -> Invariant:
    text_ = "at rest inbox and spool are empty"
    depth = inbox.read_depth(client)
    try:
        spooled = SpoolDepth() if spool is None else spool.read_depth()
    except SpoolError as error:
        return Invariant("I4", text_, False, f"the spool cannot be read: {error}")
    return Invariant(
        "I4",
        text_,
        depth.batches == 0 and spooled.batches == 0,
        f"{depth.batches:,} batches wait, the oldest for {depth.oldest_age_s:.1f} s; "
        f"{spooled.batches:,} in the spool",
    )


def _aggregates_agree(session: Session, *, zone: str) -> Invariant:
    compared, wrong = compare_aggregates(session, zone=zone)
    waiting = session.scalar(text(f"SELECT count(*) FROM ({WAITING_DAYS}) AS days"), {"zone": zone})
    return Invariant(
        "I5",
        "aggregates of unsealed days = a recount",
        wrong == 0,
        f"{compared:,} rows compared, {wrong:,} differ; {waiting:,} days wait for aggregation",
    )


def _products_have_metrics(session: Session) -> Invariant:
    missing: Any = session.scalar(
        text(
            f"SELECT count(*) FROM ({counts_sql('events')}) AS counted "
            "WHERE product_id NOT IN (SELECT product_id FROM product_metrics)"
        )
    )
    return Invariant(
        "I6", "every product of an event has metrics", missing == 0, f"{missing:,} have none"
    )


def _doors_add_up(client: redis.Redis) -> Invariant:
    doors = read_door_counts(client)
    wrong = [
        item.door for item in doors if item.received != item.accepted + sum(item.rejected.values())
    ]
    received, accepted = sum(item.received for item in doors), sum(item.accepted for item in doors)
    return Invariant(
        "I8",
        "at each door accepted + rejected by reason = received",
        not wrong,
        f"{received:,} received, {accepted:,} accepted; "
        + (f"wrong at {', '.join(wrong)}" if wrong else f"{len(doors)} doors agree"),
    )


def _model_verifies(session: Session) -> Invariant:
    text_ = "the served model's bytes match the recorded hash"
    missing, champion = find_missing(session), read_champion(session)
    if missing is not None:
        return Invariant("I10", text_, False, f"version {missing} is promoted, and it is gone")
    if champion is None:
        return Invariant("I10", text_, True, "no model is served yet")
    found = hashlib.sha256(champion.content).hexdigest()
    same = found == champion.sha256 == champion.manifest.get("sha256")
    return Invariant(
        "I10",
        text_,
        same,
        f"version {champion.version}, {champion.size_bytes:,} bytes, sha256 {found[:12]}…",
    )


def _erased_stay_erased(session: Session, secret_key: str) -> Invariant:
    text_ = "after an erasure nothing of the person is stored"
    erasures = session.scalar(
        text("SELECT count(*) FROM erasures WHERE status = :done"), {"done": DONE}
    )
    if not erasures:
        return Invariant("I11", text_, True, "nobody was erased yet")
    if not secret_key:
        return Invariant("I11", text_, False, "SECRET_KEY is not set: the erased are not known")
    salts = Salts.of(secret_key)
    if uses_another_key(session, salts):
        return Invariant("I11", text_, False, "SECRET_KEY has changed: the erased are not known")
    found = session.scalar(
        text(
            f"SELECT count(DISTINCT {digest_sql()}) FROM ("
            "SELECT DISTINCT user_id, NULL AS anonymous_id FROM events WHERE user_id IS NOT NULL "
            "UNION ALL SELECT DISTINCT NULL, anonymous_id FROM events "
            "WHERE user_id IS NULL AND anonymous_id IS NOT NULL "
            "UNION ALL SELECT user_id, NULL FROM identities) AS people "
            f"WHERE {digest_sql()} IN "
            "(SELECT unnest(digests) FROM erasures WHERE status = :done)"
        ),
        {**salts.as_parameters(), "done": DONE},
    )
    return Invariant(
        "I11", text_, found == 0, f"{erasures:,} erasures, {found:,} people of them found"
    )
