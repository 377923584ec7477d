"""The tables of several sources, asked at once for one person. numpy only: the web process uses it.

A call of numpy costs as much as some thousand products: one pass over all tables that are asked
with the same memory takes half as long as one for each.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
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
    which, product : ndarray of int64, shape (entries,)
        The product of the history that speaks, and the one it speaks for.
    voice : ndarray of float32, shape (entries,)
        How loud it does.
    """

    scores: FloatArray
    which: Places
    product: Places
    voice: FloatArray


class Stack:
    """The tables of some sources, one behind the other.

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
        size, tables = self._stack.num_products, np.arange(len(self._stack.names))
        if not self._asked:
            return None
        row, product, score = self._stack.rows.gather((tables[:, None] * size + places).ravel())
        if len(row) == 0:
            return None
        table, which = np.divmod(row, len(places))
        # A cell is a product of a table. Most products are in no row: they are passed over.
        cells, cell_of = _number(table * size + product, len(tables) * size)
        cell_table, cell_product = np.divmod(cells, size)
        entry_starts = np.searchsorted(table, np.arange(len(tables) + 1))
        cell_starts = np.searchsorted(cell_table, np.arange(len(tables) + 1))
        is_ranked = ranked[cell_product]
        added = np.zeros(len(cells), np.float32)
        voice = np.zeros(len(row), np.float32)
        for memory, asked, straight, root in self._asked:
            entries = slice(entry_starts[asked.start], entry_starts[asked.stop])
            here = slice(cell_starts[asked.start], cell_starts[asked.stop])
            spoken = remembered[memory][which[entries]] * score[entries]
            scores = np.bincount(
                cell_of[entries] - here.start, spoken, here.stop - here.start
            ).astype(np.float32)
            # What is not ranked counts as 0, which is what the best one is at least.
            best = _largest(scores * is_ranked[here], cell_starts - here.start, asked)
            shares = scale(scores, best[cell_table[here]])
            added[here] += weigh(shares, straight[cell_table[here]], root[cell_table[here]])
            whole = np.maximum(straight + root, 0.0)
            loud = np.divide(whole, best, out=np.zeros_like(whole), where=best > 0)
            voice[entries] += spoken * loud[table[entries]]
        total = np.bincount(cell_product, added, size).astype(np.float32)
        return Said(total, which, product, voice)


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


def _stack(tables: Collection[SparseRows]) -> SparseRows:
    """Return the rows of tables as those of one, in which they follow each other."""
    ends = np.cumsum([0, *(len(table.products) for table in tables)])
    starts = [table.starts[:-1] + end for table, end in zip(tables, ends, strict=False)]
    return SparseRows(
        np.concatenate([*starts, ends[-1:]]),
        np.concatenate([table.products for table in tables] or [np.zeros(0, np.uint16)]),
        np.concatenate([table.scores for table in tables] or [np.zeros(0, np.float16)]),
    )


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
    """Return the items that there are, ascending, and for each entry the place among them."""
    is_there = np.zeros(most, bool)
    is_there[items] = True
    there = np.flatnonzero(is_there)
    number = np.empty(most, np.int64)
    number[there] = np.arange(len(there))
    return there, number[items]
