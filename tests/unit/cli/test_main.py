"""The command line: overview, examples, and errors in one line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cli import main
from cli.lazy import Entry
from cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[3]


def said(capsys) -> tuple[str, str]:
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_the_overview_names_every_command_and_imports_none():
    code = (
        "import sys, cli.main as m; code = m.main(['--help'])\n"
        "heavy = {'pandas', 'sklearn', 'celery', 'flask', 'sqlalchemy'} & set(sys.modules)\n"
        "sys.exit(code or (print(heavy) if heavy else 0))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert all(name in done.stdout for name in COMMANDS)
    assert "{" not in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_an_example(name, capsys):
    if main.main([name, "--help"]) != 0:
        assert "not part of this version yet" in said(capsys)[1]
        return
    assert f"./millrace {name}" in said(capsys)[0]


def commands_of(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for part in command.list_commands(context):
            found = command.get_command(context, part)
            assert found is not None
            yield from commands_of(found, f"{name} {part}")


def test_every_option_of_every_command_says_what_it_does():
    silent = [
        (name, option.name)
        for name, command in commands_of(main.millrace, "./millrace")
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ]

    assert silent == []


def test_a_command_that_is_not_there_does_not_break_the_others(monkeypatch, capsys):
    monkeypatch.setitem(COMMANDS, "gone", Entry("cli.gone:gone", "Not here."))
    assert main.main(["--help"]) == 0
    assert "Not here." in said(capsys)[0]
    assert main.main(["gone"]) == 1
    assert said(capsys)[1] == "Error: gone is not part of this version yet.\n"


def test_a_wrong_setting_is_told_in_one_line(monkeypatch, capsys):
    monkeypatch.setenv("PORT", "99999")
    assert main.main(["run"]) == 1
    error = said(capsys)[1]
    assert error.startswith("Error: ")
    assert "PORT" in error
    assert error.count("\n") == 1


def fail() -> None:
    raise LookupError("the reason")


def test_an_unforeseen_error_is_one_line_and_a_traceback_on_demand(monkeypatch, capsys):
    monkeypatch.setitem(COMMANDS, "fail", Entry("cli.main:fail", "Fails."))
    monkeypatch.setattr(main, "fail", click.command()(fail), raising=False)
    assert main.main(["fail"]) == 1
    assert said(capsys)[1] == "Error: LookupError: the reason (with --debug: where it came from)\n"
    assert main.main(["--debug", "fail"]) == 1
    assert "Traceback" in said(capsys)[1]


def test_an_unknown_command_is_a_wrong_usage(capsys):
    assert main.main(["nonsense"]) == 2
    assert "No such command" in said(capsys)[1]
