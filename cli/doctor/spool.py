"""The check of this machine's spool."""

from __future__ import annotations

from dataclasses import replace

from cli.doctor.finding import ERROR, OK, WARNING, Finding, Patient
from cli.installation import open_spool
from cli.words import counted
from settings import Settings
from spool import SpoolDepth, SpoolError


def check_spool(patient: Patient) -> Finding:
    """Look at what waits in the spool, and whether it can be written."""
    spool = open_spool(patient.settings)
    if spool is None:
        return _look_for_leftovers(patient)
    try:
        spool.check_disk()
    except SpoolError as error:
        return Finding(
            "spool",
            ERROR,
            f"{spool.folder} takes nothing: {error}",
            "Free some space, give it to the account of the web processes, or set INGEST_SPOOL",
        )
    try:
        depth = spool.read_depth()
    except SpoolError as error:
        return Finding(
            "spool",
            ERROR,
            f"{spool.folder} cannot be used: {error}",
            "Move the folder away and keep it: its batches are in no other place",
        )
    if not depth.batches:
        return Finding("spool", OK, "empty")
    return Finding(
        "spool",
        WARNING,
        f"holds {counted(depth.batches, 'batch', 'batches')} in {depth.size_bytes >> 10:,} kB, "
        f"the oldest for {depth.oldest_age_s:.0f} s",
        "A web process on this machine feeds them when the inbox can be reached",
    )


def _look_for_leftovers(patient: Patient) -> Finding:
    """Look where a spool is by default: one that was switched off may hold batches there."""
    settings = replace(patient.settings, data_dir=str(patient.data_dir), spool=Settings().spool)
    left = open_spool(settings)
    try:
        depth = left.read_depth() if left else SpoolDepth()
    except SpoolError as error:
        return Finding(
            "spool",
            WARNING,
            f"off, and what lies there by default cannot be read: {error}",
            "Keep it: its batches are in no other place",
        )
    if left is None or not depth.batches:
        return Finding("spool", OK, "off: without the inbox the door answers 503")
    return Finding(
        "spool",
        WARNING,
        f"off, but {left.folder} holds {counted(depth.batches, 'batch', 'batches')} of accepted "
        "events, which nobody feeds",
        "Start a web process without INGEST_SPOOL=off until it is empty, then switch it off",
    )
