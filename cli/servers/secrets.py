"""The secrets of one data directory, made once."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cli.servers.process import ServerError


@dataclass(frozen=True, slots=True)
class Secrets:
    """What signs sessions, the admin's password in flower, and the first write key.

    A write key stands in every page that sends events, so keeping it readable is no loss;
    admin tokens are kept hashed in the database only.
    """

    secret_key: str
    admin_password: str
    write_key: str = ""


def ensure_secrets(data_dir: Path) -> Secrets:
    """Read the secrets, making them at the first start, in a file for the owner alone."""
    path = data_dir / "secrets.json"
    if path.exists():
        return _read(path)
    made = Secrets(secret_key=secrets.token_urlsafe(32), admin_password=secrets.token_urlsafe(12))
    _write(path, made)
    return made


def keep_write_key(data_dir: Path, write_key: str) -> None:
    """Note the first write key, so that later starts can show a line that works."""
    _write(data_dir / "secrets.json", replace(ensure_secrets(data_dir), write_key=write_key))


def _write(path: Path, made: Secrets) -> None:
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(made), file)
    draft.replace(path)


def _read(path: Path) -> Secrets:
    try:
        return Secrets(**json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ServerError(
            f"{path} cannot be read ({error}). Restore it from a backup; removing it makes new "
            f"secrets and ends every session."
        ) from error
