"""Where a command writes what it exports: a new file, or standard output."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def output_option(command: Command) -> Command:
    """Add the option --output."""
    return click.option(
        "--output",
        "-o",
        type=click.Path(dir_okay=False, path_type=Path),
        help="A file that is not there yet; without it, standard output.",
    )(command)


@contextlib.contextmanager
def open_output(output: Path | None) -> Iterator[IO[bytes]]:
    """Open the file, or standard output. Raises ClickException for one that is there."""
    if output is None or output == Path("-"):
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        file = output.open("xb")
    except FileExistsError:
        raise click.ClickException(f"{output} is there already: choose another name") from None
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror}") from None
    with file:
        yield file
