"""What every source of shop data becomes: a catalogue and a stream of events."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from typing import Any

from datasets.event_table import Event, EventTable

Product = dict[str, Any]


class DatasetError(ValueError):
    """The data cannot be used as it is; the message says what to change."""


class MappingError(DatasetError):
    """A mapping is wrong, or does not fit the files that it describes."""


@dataclass(frozen=True)
class Dataset:
    """Products and time-ordered events in Millrace's native HTTP shapes.

    `notes` are plain sentences for people: what was left out and how many, and
    what was made up. `simulated` is true for the shop that is generated.
    """

    name: str
    simulated: bool
    description: str
    products: list[Product] = field(repr=False)
    table: EventTable = field(repr=False)
    notes: list[str]

    @property
    def event_count(self) -> int:
        return len(self.table)

    @property
    def first_day(self) -> date:
        return self.table.first_day

    @property
    def last_day(self) -> date:
        return self.table.last_day

    def events(self) -> Iterator[Event]:
        """Yield the events in time order; each call begins again with equal, new dicts."""
        return iter(self.table)

    def event_batches(self, size: int) -> Iterator[list[Event]]:
        """Yield the events in lists of `size`; the last list may be shorter."""
        if size < 1:
            raise ValueError(f"size must be >= 1, got {size}")
        events = self.events()
        while batch := list(islice(events, size)):
            yield batch
