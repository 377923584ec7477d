"""The limits of the web server are the same, however it is started."""

from __future__ import annotations

from pathlib import Path

from cli.stack import ARENAS, ROOT, WEB_LIMITS, programs_for
from settings import read_settings


def test_the_procfile_and_run_start_the_web_server_with_the_same_limits() -> None:
    web = (ROOT / "Procfile").read_text().splitlines()[0]
    (command,) = [
        program.command
        for program in programs_for(read_settings({}), Path("/data"))
        if program.name == "web"
    ]

    for name, value in WEB_LIMITS.items():
        assert f" {name} {value} " in web
        assert f" {name} {value} " in " ".join(command)


def test_the_procfile_bounds_what_the_allocator_keeps() -> None:
    lines = (ROOT / "Procfile").read_text().splitlines()

    for line in lines[:4]:
        for name, value in ARENAS.items():
            assert f": {name}={value} " in line
