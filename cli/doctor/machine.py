"""Checks of this machine: Python, packages, account, directory, disk, ports, clock."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path

from cli.doctor.finding import ERROR, OK, WARNING, Finding, Patient
from cli.servers.account import owner_name
from cli.servers.directory import nearest
from cli.stack import ROOT, ask_ready, why_not_bindable

LOW_DISK_BYTES = 2 << 30


def check_python(patient: Patient) -> Finding:
    """Look at the interpreter."""
    version = ".".join(map(str, sys.version_info[:3]))
    if not (3, 11) <= sys.version_info[:2] <= (3, 14):
        return Finding("python", WARNING, f"{version}, not tried", "Use Python 3.11 to 3.14")
    return Finding("python", OK, version)


def check_packages(patient: Patient) -> Finding:
    """Compare the installed packages with the pinned ones."""
    pinned = dict(
        line.split(" ;")[0].rstrip(" \\").split("==")
        for name in ("requirements.txt", "requirements-embedded.txt")
        for line in (ROOT / name).read_text().splitlines()
        if "==" in line and not line.startswith((" ", "#")) and " ;" not in line
    )
    wrong = [name for name, version in pinned.items() if _installed(name) != version]
    if wrong:
        return Finding(
            "packages",
            ERROR,
            f"{len(wrong)} of {len(pinned)} differ from the pinned lists: {', '.join(wrong[:5])}",
            f"Remove {ROOT / '.venv'} and start again",
        )
    return Finding("packages", OK, f"{len(pinned)} as pinned")


def check_account(patient: Patient) -> Finding:
    """Look at who runs it."""
    if os.geteuid() == 0:
        return Finding(
            "account",
            WARNING,
            "running as root",
            "Run Millrace as an ordinary user; a program that faces the network needs no more",
        )
    return Finding("account", OK, owner_name(os.geteuid()))


def check_data_dir(patient: Patient) -> Finding:
    """Look at the data directory."""
    path = patient.data_dir
    place = nearest(path)
    if not os.access(place, os.W_OK | os.X_OK):
        owner = owner_name(place.stat().st_uid)
        return Finding(
            "data_dir",
            ERROR,
            f"{place} belongs to {owner}",
            f"Start as {owner} or set MILLRACE_DATA_DIR",
        )
    state = f"in use by process {patient.running}" if patient.running else "not in use"
    return Finding(
        "data_dir", OK, f"{path} ({state if os.path.exists(path) else 'made at the first start'})"
    )


def check_disk(patient: Patient) -> Finding:
    """Look at the space for data."""
    place = nearest(patient.data_dir)
    free = shutil.disk_usage(place).free
    if free < LOW_DISK_BYTES:
        return Finding(
            "disk",
            ERROR if free < LOW_DISK_BYTES // 10 else WARNING,
            f"{free >> 20} MB free",
            "Free some space",
        )
    return Finding("disk", OK, f"{free >> 30} GB free")


def check_ports(patient: Patient) -> Iterator[Finding]:
    """Look whether the ports are free, or answered by this Millrace."""
    wanted = (
        ("port", patient.settings.host, patient.settings.port, "PORT"),
        ("flower_port", "127.0.0.1", patient.settings.flower_port, "FLOWER_PORT"),
    )
    for name, host, port, variable in wanted:
        reason = why_not_bindable(host, port)
        if reason is None:
            yield Finding(name, OK, f"{host}:{port} is free")
        elif patient.running is None:
            yield Finding(name, ERROR, f"{host}:{port}: {reason}", f"Set {variable} to a free port")
        elif name == "flower_port":
            yield Finding(name, OK, f"{host}:{port} is taken, Millrace is running")
        else:
            ready, answer = ask_ready(patient.settings)
            yield Finding(
                name,
                OK if ready else ERROR,
                f"{host}:{port} answers: {'ready' if ready else answer.strip()[:200]}",
                "" if ready else f"Look into {patient.data_dir / 'log' / 'web.log'}",
            )


def check_clock(patient: Patient) -> Finding:
    """Look for a clock that is plainly wrong."""
    now, built = datetime.now(UTC), datetime.fromtimestamp(Path(__file__).stat().st_mtime, UTC)
    if now < built - timedelta(days=1):
        return Finding(
            "clock",
            ERROR,
            f"{now:%Y-%m-%d %H:%M} UTC, before this file was made",
            "Set the clock (NTP)",
        )
    return Finding("clock", OK, f"{now:%Y-%m-%d %H:%M} UTC")


def _installed(name: str) -> str | None:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(name.split("[")[0])
    return None
