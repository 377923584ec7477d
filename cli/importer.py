"""`./millrace import`: bring in what a shop has already."""

from __future__ import annotations

import click

from cli.lazy import Entry, LazyGroup

IMPORTS = {
    "products": Entry("cli.import_products:products", "Put a file of products into the catalogue."),
    "events": Entry("cli.import_events:events", "Store the events of a file."),
}


@click.group(
    "import", cls=LazyGroup, table=IMPORTS, epilog="Example: ./millrace import products shop.csv"
)
def import_group() -> None:
    """Bring in what a shop has already: its catalogue and its history."""
