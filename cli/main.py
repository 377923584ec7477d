"""The command line: a table of commands, each imported when it is called."""

from __future__ import annotations

import os
import sys
import traceback

import click

from cli.lazy import Entry, LazyGroup
from cli.servers.process import ServerError
from settings import SettingsError

COMMANDS = {
    "run": Entry("cli.run:run", "Start everything and keep it running until Ctrl-C."),
    "demo": Entry("cli.demo:demo", "Play a shop's events through the whole system."),
    "doctor": Entry("cli.doctor:doctor", "Look for what is wrong and say what to do."),
    "check": Entry("cli.check:check", "Prove that nothing was lost or counted twice."),
    "migrate": Entry("cli.jobs:migrate", "Bring the database to the newest schema."),
    "aggregate-daily": Entry("cli.jobs:aggregate_daily", "Compute a day's aggregates again."),
    "purge": Entry("cli.jobs:purge", "Delete events beyond the retention."),
    "retrain": Entry("cli.retrain:retrain", "Train the recommendations now."),
    "models": Entry("cli.models:models", "List trained models, choose which one is served."),
    "import": Entry("cli.importer:import_group", "Bring in products or events from a file."),
    "export": Entry("cli.export:export", "Write events to a CSV, NDJSON or Parquet file."),
    "export-training-data": Entry(
        "cli.training_data:export_training_data", "Write what training reads to a file."
    ),
    "create-missing-metrics": Entry(
        "cli.metrics:create_missing_metrics", "Make the metrics rows that products lack."
    ),
    "metrics-coverage": Entry(
        "cli.metrics:metrics_coverage", "Count products with and without metrics."
    ),
    "rebuild-metrics": Entry(
        "cli.metrics:rebuild_metrics", "Count every product's events again; say the drift."
    ),
    "dead-letters": Entry(
        "cli.dead_letters:dead_letters", "Mend, replay or discard what could not be stored."
    ),
    "keys": Entry("cli.keys:keys", "List, make, rotate and revoke keys and tokens."),
    "erase-user": Entry("cli.privacy:erase_user", "Delete everything about a person."),
    "export-person": Entry("cli.privacy:export_person", "Write all that is held about a person."),
    "opt-out": Entry("cli.privacy:opt_out", "Take no more events of a person."),
    "opt-in": Entry("cli.privacy:opt_in", "Take a person's events again."),
    "bench": Entry("cli.bench:bench", "Measure this machine."),
    "test": Entry("cli.test:test", "Run the tests."),
    "lint": Entry("cli.lint:lint", "Check style, types and layers."),
    "lock": Entry("cli.lint:lock", "Pin the newest allowed dependencies, with hashes."),
}


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    epilog="Example: ./millrace run     More about one command: ./millrace run --help",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--debug", is_flag=True, help="Show where an error came from, and what is logged.")
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
