"""How the spool of this machine is: for /metrics and /readyz."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Gauge

from spool import Spool, SpoolError


def show_spool(registry: CollectorRegistry, spool: Spool | None) -> None:
    """Write how much waits in the spool."""
    if spool is None:
        return
    up = Gauge("millrace_spool_up", "1 when the spool can be used", registry=registry)
    try:
        depth = spool.read_depth()
    except SpoolError:
        up.set(0)
        return
    up.set(check_spool(spool)["spool"]["ok"])
    figures = {
        "batches": ("Batches that wait in the spool", depth.batches),
        "bytes": ("Bytes that they take on the disk", depth.size_bytes),
        "oldest_age_seconds": ("Age of the oldest of them", depth.oldest_age_s),
    }
    for name, (text, value) in figures.items():
        Gauge(f"millrace_spool_{name}", text, registry=registry).set(value)


def check_spool(spool: Spool | None) -> dict[str, dict[str, Any]]:
    """Tell whether the spool can take batches, as a check of /readyz; none without a spool."""
    if spool is None:
        return {}
    try:
        depth = spool.read_depth()
        spool.check_disk()
    except SpoolError as error:
        return {"spool": {"ok": False, "detail": f"cannot be used ({error})"}}
    if depth.size_bytes >= spool.max_bytes:
        return {"spool": {"ok": False, "detail": f"is full: {depth.batches:,} batches"}}
    age_s = round(depth.oldest_age_s, 3)
    return {"spool": {"ok": True, "batches": depth.batches, "oldest_age_s": age_s}}


def takes_events(checks: dict[str, dict[str, Any]]) -> bool:
    """Tell whether events can be sent here: while the inbox is away the spool stands in for it."""
    spooling = checks.get("spool", {}).get("ok", False)
    return all(check["ok"] for name, check in checks.items() if not _may_fail(name, spooling))


def _may_fail(name: str, spooling: bool) -> bool:
    return name == "spool" or (name == "inbox" and spooling)
