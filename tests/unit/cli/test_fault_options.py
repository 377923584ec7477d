"""`./millrace test --faults`: what it says to pytest."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.test import fault_options
from cli.test import test as command

NOTHING = {"size": None, "minutes": None, "seed": None, "report": None, "write_docs": False}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, ["--faults-size", "usual"]),
        ({"size": "smoke"}, ["--faults-size", "smoke"]),
        ({"size": "all", "seed": 0}, ["--faults-size", "all", "--faults-seed", "0"]),
        ({"minutes": 0.5}, ["--faults-size", "soak", "--faults-minutes", "0.5"]),
        (
            {"report": Path("/tmp/r.json"), "write_docs": True},
            [
                "--faults-size",
                "usual",
                "--faults-report",
                "/tmp/r.json",
                "--faults-write-docs",
            ],
        ),
    ],
)
def test_each_option_is_handed_on(given: dict[str, object], words: list[str]) -> None:
    assert fault_options(**{**NOTHING, **given}) == words  # type: ignore[arg-type]


@pytest.mark.parametrize("option", [["--smoke"], ["--soak", "1"], ["--seed", "3"]])
def test_they_are_refused_without_the_faults(option: list[str]) -> None:
    found = CliRunner().invoke(command, option)

    assert found.exit_code == 2
    assert "--faults" in found.output


def test_a_soak_takes_more_than_no_minutes() -> None:
    assert CliRunner().invoke(command, ["--faults", "--soak", "0"]).exit_code == 2
