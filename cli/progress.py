"""A progress bar on stderr: seen by a person who waits, and by nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of progress."""

    progress: Progress
    task: TaskID

    def advance(self, amount: float) -> None:
        """Go on by an amount."""
        self.progress.advance(self.task, amount)

    def set(self, done: float) -> None:
        """Say how much is done in all."""
        self.progress.update(self.task, completed=done)

    def tell(self, text: str, done: float) -> None:
        """Say what is being done now, and how much is done in all."""
        self.progress.update(self.task, description=text, completed=done)

    def show(self, done: float, total: float) -> None:
        """Say how much is done, and of how much: what long work calls between its steps."""
        self.progress.update(self.task, completed=done, total=total)


@contextmanager
def progress_bar(text: str, total: float | None, *, unit: str = "events") -> Iterator[Bar]:
    """Show how far a piece of work is; a total of None means that nobody knows the end."""
    columns: list[ProgressColumn] = [TextColumn("{task.description}")]
    if total is None:
        columns += [TextColumn("{task.completed:,.0f} " + unit), TimeElapsedColumn()]
    else:
        counted = TextColumn("{task.completed:,.0f} of {task.total:,.0f} " + unit)
        columns += [BarColumn(), counted, TimeRemainingColumn()]
    console = Console(stderr=True)
    # Without a terminal it would leave an empty line.
    unseen = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=unseen) as progress:
        yield Bar(progress, progress.add_task(text, total=total))
