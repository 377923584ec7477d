"""`./millrace export-training-data`: what training reads, as a file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
from sqlalchemy.exc import DBAPIError

from cli.installation import installation
from cli.output import open_output, output_option
from cli.progress import progress_bar
from cli.words import counted
from models.training_data import FORMATS, PARTS, Format, Part, write_training_data


@click.command(
    "export-training-data",
    epilog="Example: ./millrace export-training-data --days 90 --format csv -o interactions.csv",
)
@click.option(
    "--days", type=click.IntRange(1, 3650), default=90, show_default=True, help="The last days."
)
@click.option(
    "--format", "format_", type=click.Choice(FORMATS), default="json", show_default=True,
    help="What to write.",
)  # fmt: skip
@click.option(
    "--part", type=click.Choice(PARTS),
    help="One of the two tables; without it both, and interactions in CSV, which holds one.",
)  # fmt: skip
@output_option
def export_training_data(
    days: int, format_: Format, part: Part | None, output: Path | None
) -> None:
    """Write the products, and the interactions of the last days, as training reads them."""
    if part is None and format_ == "csv":
        part = "interactions"
    with (
        installation() as (_, engine),
        open_output(output) as file,
        progress_bar("exporting", None, unit="rows") as bar,
    ):
        try:
            metadata = write_training_data(
                engine,
                file,
                days=days,
                format_=format_,
                parts=PARTS if part is None else (part,),
                now=datetime.now(UTC),
                advance=bar.advance,
            )
        except DBAPIError as error:
            raise click.ClickException(f"the export is not complete: {error}") from error
    totals = {name: metadata[f"total_{name}"] for name in PARTS}
    written = [counted(total, name[:-1]) for name, total in totals.items() if total is not None]
    click.echo(f"exported {' and '.join(written)}", err=True)
