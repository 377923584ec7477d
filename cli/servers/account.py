"""Choose whom PostgreSQL runs as, and let that account reach its files.

PostgreSQL refuses root. Nobody is created: an account that exists is used. The directories on
the way to its files become passable (o+x), never readable (o+r), and the person is told which.
"""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PREFERRED = ("millrace", "postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine."""

    name: str
    uid: int
    gid: int

    def rights(self) -> dict[str, Any]:
        """Give subprocess its arguments for running as this account and nothing more."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def may_pass(self, status: os.stat_result) -> bool:
        """Tell whether the account may go through a directory."""
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


def choose_account(existing: Path) -> Account | None:
    """Choose the account for root's PostgreSQL; None when an ordinary user runs it.

    Data that exists already keeps its owner.
    """
    if os.geteuid() != 0:
        return None
    if existing.exists():
        status = existing.stat()
        if status.st_uid != 0:
            return Account(owner_name(status.st_uid), status.st_uid, status.st_gid)
    for name in PREFERRED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    return Account("65534", 65534, 65534)


def owner_name(uid: int) -> str:
    """Name a user, by number if the machine has no name for it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def let_pass(account: Account, *targets: Path) -> list[Path]:
    """Make every directory on the way to the targets passable; give those that were changed."""
    changed = []
    ways = {parent for target in targets for parent in target.resolve().parents}
    for directory in sorted(ways, key=lambda path: len(path.parts)):
        status = directory.stat()
        if not account.may_pass(status):
            directory.chmod(stat.S_IMODE(status.st_mode) | stat.S_IXOTH)
            changed.append(directory)
    return changed


def ensure_private(directory: Path, account: Account | None) -> None:
    """Make a directory that its account alone may enter (and root)."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if account:
        os.chown(directory, account.uid, account.gid)
    directory.chmod(0o700)


def write_for(account: Account | None, path: Path, text: str) -> None:
    """Write a file that belongs to the account."""
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    if account:
        os.chown(path, account.uid, account.gid)


def why_not(account: Account, program: Path) -> str | None:
    """Try to run a program as the account; give the reason if it cannot be done."""
    try:
        tried = subprocess.run(
            [str(program), "--version"],
            capture_output=True,
            cwd="/",
            check=False,
            **account.rights(),
        )
    except OSError as error:
        return str(error)
    return (
        tried.stderr.decode("utf-8", "replace").strip() or "no reason" if tried.returncode else None
    )
