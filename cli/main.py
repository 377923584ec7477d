"""The command line: a table of commands, each imported when it is called."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import NamedTuple

import click

from cli.servers.process import ServerError
from settings import SettingsError


class Entry(NamedTuple):
    """Where a command is, and its line in the overview."""

    target: str
    summary: str


COMMANDS = {
    "run": Entry("cli.run:run", "Start everything and keep it running until Ctrl-C."),
    "demo": Entry("cli.demo:demo", "Play a shop's events through the whole system."),
    "doctor": Entry("cli.doctor:doctor", "Look for what is wrong and say what to do."),
    "check": Entry("cli.check:check", "Prove that nothing was lost or counted twice."),
    "migrate": Entry("cli.jobs:migrate", "Bring the database to the newest schema."),
    "aggregate-daily": Entry("cli.jobs:aggregate_daily", "Compute a day's aggregates again."),
    "purge": Entry("cli.jobs:purge", "Delete events beyond the retention."),
    "retrain": Entry("cli.jobs:retrain", "Train the recommendations now."),
    "bench": Entry("cli.bench:bench", "Measure this machine."),
    "test": Entry("cli.test:test", "Run the tests."),
    "lint": Entry("cli.lint:lint", "Check style, types and layers."),
    "lock": Entry("cli.lint:lock", "Pin the newest allowed dependencies, with hashes."),
}


class LazyGroup(click.Group):
    """Import a command's module when it is called, so that `check` does not load pandas."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; a module that is not there is told in one line."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, name = entry.target.partition(":")
        try:
            command = getattr(importlib.import_module(module), name)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
            raise click.ClickException(f"{cmd_name} is not part of this version yet.") from error
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the overview from the table, importing nothing."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    epilog="Example: ./millrace run     More about one command: ./millrace run --help",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--debug", is_flag=True, help="Show where an error came from.")
def millrace(debug: bool) -> None:
    """A self-hosted event backend: from HTTP to aggregates, models and recommendations."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and give its exit code; an expected error is one line."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        result = millrace.main(arguments, prog_name="./millrace", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 0
    except click.UsageError as error:
        error.show()
        return error.exit_code
    except click.Abort:
        click.echo("Stopped.", err=True)
        return 130
    except BrokenPipeError:
        # The reader of our output has gone; the interpreter must not write to it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (click.ClickException, SettingsError, ServerError) as error:
        return _refuse(arguments, error, getattr(error, "message", None) or str(error))
    except Exception as error:
        return _refuse(
            arguments, error, f"{type(error).__name__}: {error} (with --debug: where it came from)"
        )
    return result if isinstance(result, int) else 0


def _refuse(arguments: list[str], error: Exception, text: str) -> int:
    if "--debug" in arguments[:1]:
        traceback.print_exception(error)
    click.echo(f"Error: {text}", err=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
