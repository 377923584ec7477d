"""Synchronise Valkey's append-only files once a second, from outside of it.

With `appendfsync everysec` Valkey holds writes back, up to two seconds, while a synchronisation
takes longer than one, and answers all the same: killed at such a moment it loses what was accepted.
With `no` it writes before it answers, always, and the kernel has it whatever becomes of the
process. What is left is the loss of power, and for that this is as often as `everysec`.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from cli.servers.process import Tell

EVERY_S = 1.0


def synchronise(folder: Path) -> None:
    """Put what was written to the files of a folder on the disk. Raises OSError."""
    for path in folder.glob("*.aof"):
        # A rewrite puts other files in the place of these.
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def keep_synchronised(folder: Path, is_running: Callable[[], bool], tell: Tell) -> None:
    """Synchronise from a thread for as long as the server runs; `tell` hears of what fails."""

    def work() -> None:
        failed = ""
        while is_running():
            try:
                synchronise(folder)
                failed = ""
            except OSError as error:
                if failed != str(error):
                    tell(f"Valkey's files cannot be synchronised: {error}")
                failed = str(error)
            time.sleep(EVERY_S)

    threading.Thread(target=work, name="append-only", daemon=True).start()
