"""The check of this machine's spool."""

from __future__ import annotations

from cli.doctor.finding import ERROR, OK, WARNING, Finding, Patient
from cli.installation import open_spool
from cli.words import counted
from spool import SpoolError


def check_spool(patient: Patient) -> Finding:
    """Look at what waits in the spool, and whether it can be written."""
    spool = open_spool(patient.settings)
    if spool is None:
        return Finding("spool", OK, "off: without the inbox the door answers 503")
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
