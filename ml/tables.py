"""The tables of several sources, asked at once for one person. numpy only: the web process uses it.

A call of numpy costs as much as some thousand products: one pass over all tables that are asked
with the same memory takes half as long as one for each.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ml.layout import Arrays
from ml.rows import SparseRows
from ml.signals import FACTORS, OWN, SIGNALS, FloatArray, scale, weigh

Places = npt.NDArray[np.int64]

#: In this order the tables that are asked with one memory stand beside each other.
_ORDER = ("rp3", "ease", "knn", "baskets", "words", "sequences")


class Asked(NamedTuple):
    """What the tables from one to another add when they are asked with one memory."""

    memory: str
    tables: slice
    straight: FloatArray
    root: FloatArray


class Said(NamedTuple):
    """What the tables say to somebody.

    Attributes
    ----------
    scores : ndarray of float32, shape (products,)
        What they add to the score of each product.
    place : ndarray of int64, shape (rows,)
        Of which product of the history each row of a table is.
    row, product : ndarray of int64, shape (entries,)
        The row that speaks, and the product it speaks for.
    score : ndarray of float32, shape (entries,)
    volume : ndarray of float32, shape (rows,)
        How loud the row is: an entry's score times that is what it adds, but for the bend of its
        root.
    """

    scores: FloatArray
    place: Places
    row: Places
    product: Places
    score: FloatArray
    volume: FloatArray

    def voices_for(self, column: Places, count: int, *, places: int) -> FloatArray:
        """Return how loud the products of the history speak for some products.

        Parameters
        ----------
        column : ndarray of int64, shape (products,)
            Where each of them comes to stand, -1 for those not asked for.
        count, places : int
            How many are asked for, and how many the history has.

        Returns
        -------
        ndarray, shape (places, count)
        """
        at = column[self.product]
        heard = np.flatnonzero(at >= 0)
        row = self.row[heard]
        voice = self.volume[row] * self.score[heard]
        cell = self.place[row] * count + at[heard]
        told = np.bincount(cell, voice, places * count)
        return told.reshape(places, count).astype(np.float32)


class Stack:
    """The tables of some sources: of each product, its row in one table after the other.

    What a person did lies in few places so, and to fetch it from memory is most of the work.

    Parameters
    ----------
    arrays : dict of str to ndarray
        See `ml.layout.SCHEMA`.
    sources : collection of str
        Those that are no table are passed over.
    """

    def __init__(self, arrays: Arrays, sources: Collection[str]) -> None:
        self.names = [name for name in _ORDER if name in sources]
        self.rows = _stack([SparseRows.of(arrays, name) for name in self.names])
        self.num_products = len(arrays["known"])


class Tables:
    """The tables of a stack, each asked with some memories.

    Parameters
    ----------
    stack : Stack
        Of all sources that the signals need.
    signals : mapping of str to pair of float
        See `ml.recipe.ListWeights`; those that are of no table are passed over.
    """

    def __init__(self, stack: Stack, signals: Mapping[str, tuple[float, float]]) -> None:
        self._stack = stack
        self._asked = _asked(stack.names, signals)
        # Which table is asked with which memory, shape (tables, memories).
        asks = [(item.straight != 0) | (item.root != 0) for item in self._asked]
        self._asks = np.array(asks, bool).reshape(len(asks), len(stack.names)).T

    def say(
        self, places: Places, remembered: Mapping[str, FloatArray], ranked: FloatArray
    ) -> Said | None:
        """Return what the tables say to somebody, None where they say nothing.

        Parameters
        ----------
        places : ndarray of int64
            The products of the history, each once.
        remembered : mapping of str to ndarray of float32
            By memory, how strong each of them is.
        ranked : ndarray of float32, shape (products,)
            1 for the products that are ranked, else 0.
        """
        if not self._asked:
            return None
        size, tables = self._stack.num_products, np.arange(len(self._stack.names) + 1)
        strengths = np.stack([remembered[asked.memory] for asked in self._asked])
        # What every memory that asks a table has forgotten need not be fetched from it.
        of_table, of_place = np.nonzero(self._asks @ (strengths > 0))
        rows = of_table + places[of_place] * (len(tables) - 1)
        row, product, score = self._stack.rows.gather(rows)
        if len(row) == 0:
            return None
        row_lengths = self._stack.rows.lengths(rows)
        row_starts = np.searchsorted(of_table, tables)
        entry_starts = np.searchsorted(row, row_starts)
        # A cell is a product of a table.
        cell = product + np.repeat(tables[:-1] * size, np.diff(entry_starts))
        cells, cell_of = _number(cell, tables[-1] * size)
        cell_starts = np.searchsorted(cells, tables * size)
        cells_of_table = np.diff(cell_starts)
        cell_product = cells - np.repeat(tables[:-1] * size, cells_of_table)
        is_ranked = ranked[cell_product]
        added = np.zeros(len(cells), np.float32)
        loud = np.zeros((len(self._asked), len(tables) - 1), np.float32)
        for number, (_, asked, straight, root) in enumerate(self._asked):
            begin, end = row_starts[asked.start], row_starts[asked.stop]
            entries = slice(entry_starts[asked.start], entry_starts[asked.stop])
            here = slice(cell_starts[asked.start], cell_starts[asked.stop])
            strength = strengths[number][of_place[begin:end]]
            spoken = np.repeat(strength, row_lengths[begin:end]) * score[entries]
            scores = np.bincount(
                cell_of[entries] - here.start, spoken, here.stop - here.start
            ).astype(np.float32)
            # What is not ranked counts as 0, which is what the best one is at least.
            best = _largest(scores * is_ranked[here], cell_starts - here.start, asked)
            spread = cells_of_table[asked]
            shares = scale(scores, np.repeat(best[asked], spread))
            weights = (np.repeat(each[asked], spread) for each in (straight, root))
            added[here] += weigh(shares, *weights)
            np.divide(np.maximum(straight + root, 0.0), best, out=loud[number], where=best > 0)
        total = np.bincount(cell_product, added, size).astype(np.float32)
        volume = (loud.T @ strengths)[of_table, of_place]
        return Said(total, of_place, row, product, score, volume)


def _largest(scores: FloatArray, starts: Places, tables: slice) -> FloatArray:
    """Return for each table the largest of its scores, 0 at least, and 0 for those not asked.

    The scores of a table stand together, from its start on.
    """
    largest = np.zeros(len(starts) - 1, np.float32)
    begin, end = starts[tables], starts[tables.start + 1 : tables.stop + 1]
    # reduceat would take the next table's score for that of one that says nothing.
    said = begin < end
    largest[tables][said] = np.maximum.reduceat(scores, begin[said])
    return np.maximum(largest, 0.0)


def _stack(tables: Sequence[SparseRows]) -> SparseRows:
    """Return the rows of tables as those of one: of the first product in each table, and so on."""
    if not tables:
        return SparseRows(np.zeros(1, np.int64), np.zeros(0, np.uint16), np.zeros(0, np.float16))
    lengths = np.stack([np.diff(table.starts) for table in tables], axis=1)
    starts = np.concatenate(([0], np.cumsum(lengths)))
    products = np.empty(starts[-1], np.result_type(*(table.products for table in tables)))
    scores = np.empty(starts[-1], np.result_type(*(table.scores for table in tables)))
    for number, table in enumerate(tables):
        # Where a row comes to lie, less where its entries lie.
        shift = starts[number :: len(tables)][: len(lengths)] - table.starts[:-1]
        entry = np.arange(len(table.products)) + np.repeat(shift, lengths[:, number])
        products[entry], scores[entry] = table.products, table.scores
    return SparseRows(starts, products, scores)


def _asked(names: list[str], signals: Mapping[str, tuple[float, float]]) -> list[Asked]:
    by_memory: dict[str, dict[int, tuple[float, float]]] = {}
    for signal, pair in signals.items():
        source, memory = SIGNALS[signal]
        if source not in (OWN, FACTORS):
            by_memory.setdefault(memory, {})[names.index(source)] = pair
    asked = []
    for memory, pairs in by_memory.items():
        weights = np.zeros((2, len(names)), np.float32)
        for table, pair in pairs.items():
            weights[:, table] = pair
        asked.append(Asked(memory, slice(min(pairs), max(pairs) + 1), *weights))
    return asked


def _number(items: Places, most: int) -> tuple[Places, Places]:
    """Return the items that there are, ascending, and for each entry the place among them.

    With many entries that is all items: to pass over the others would take longer.
    """
    if 2 * len(items) > most:
        return np.arange(most), items
    is_there = np.zeros(most, bool)
    is_there[items] = True
    there = np.flatnonzero(is_there)
    number = np.empty(most, np.int64)
    number[there] = np.arange(len(there))
    return there, number[items]
