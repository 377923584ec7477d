"""The simulated stream as columns of events in the native shapes."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datasets.event_table import Column, EventTable, labels, numbered, numbers
from datasets.simulated_catalogue import Catalogue
from datasets.simulated_clock import Stream
from datasets.simulated_people import DEVICES, KIOSK, SERVER, SOURCES, People
from datasets.simulated_steps import Orders, column
from datasets.simulated_visits import Lists, Visits
from datasets.simulated_words import CATEGORIES

Ints = NDArray[np.int64]

LISTS = ("search", "product_list_view")
AFTER = ("refund", "rate")


def make_columns(
    prefix: str,
    times_ms: Ints,
    stream: Stream,
    people: People,
    catalogue: Catalogue,
    visits: Visits,
    lists: Lists,
    orders: Orders,
) -> EventTable:
    """Describe each key of the events; dicts are made when they are read."""
    frame = stream.frame
    visit, product = column(frame, "visit"), column(frame, "product")
    kind, kinds = pd.factorize(frame["event_type"])
    after = frame["event_type"].isin(AFTER).to_numpy(dtype=bool)
    source = column(frame, "source")
    person = visits.person[visit]
    known = frame["known"].to_numpy(dtype=bool)
    login = (frame["event_type"] == "login").to_numpy(dtype=bool)
    kiosk = visits.source[visit] == KIOSK
    ids = [item["product_id"] for item in catalogue.products]
    users = [f"customer-{i + 1:05d}" for i in range(len(people))]
    visitors = [f"visitor-{i + 1:05d}" for i in range(len(people))]
    visitors += [f"kiosk-visitor-{i + 1:06d}" for i in range(len(visits))]
    cookie = np.where(kiosk, len(people) + visit, person)
    value, quantity = amounts(frame, orders)
    columns: dict[str, Column] = {
        "message_id": numbered(prefix, np.arange(1, len(frame) + 1)),
        "event_type": labels(list(kinds), kind),
        "user_id": labels(users, np.where(known, person, -1)),
        "anonymous_id": labels(visitors, np.where(~known | login, cookie, -1)),
        "session_id": labels(
            [f"visit-{i + 1:06d}" for i in range(len(visits))], np.where(after, -1, visit)
        ),
        "source": labels(SOURCES, source),
        "device_type": labels(DEVICES, np.where(source == SERVER, -1, visits.device[visit])),
        "product_id": labels(ids, product),
        "items": items_column(frame, ids, lists, orders),
        "quantity": labels(list(range(100)), quantity),
        "value": numbers(value),
        "properties": properties_column(frame, catalogue, lists),
    }
    return EventTable(times_ms, columns)


def amounts(frame: pd.DataFrame, orders: Orders) -> tuple[NDArray[np.float64], Ints]:
    """Give value (NaN: none) and quantity (-1: none) of each event."""
    value, quantity = np.full(len(frame), np.nan), np.full(len(frame), -1, dtype=np.int64)
    other, line = column(frame, "other"), column(frame, "line")
    bought, refunded, rated, carted = (
        frame["event_type"].isin(kinds).to_numpy(dtype=bool)
        for kinds in (["purchase"], ["refund"], ["rate"], ["add_to_cart", "remove_from_cart"])
    )
    value[bought] = np.round(np.bincount(orders.order, weights=orders.value)[other[bought]], 2)
    quantity[bought] = np.bincount(orders.order, weights=orders.quantity)[other[bought]]
    value[refunded] = orders.value[line[refunded]]
    quantity[refunded] = orders.quantity[line[refunded]]
    value[rated] = column(frame, "stars")[rated]
    quantity[carted] = 1
    return value, quantity


def items_column(frame: pd.DataFrame, ids: list[str], lists: Lists, orders: Orders) -> Column:
    """The products of a list with their positions, of an order with their amounts."""
    types = frame["event_type"].to_numpy(dtype=object)
    other = column(frame, "other")
    starts = orders.starts()

    def shown(row: int) -> list[dict[str, Any]]:
        products = lists.shown[row].tolist()
        return [
            {"product_id": ids[product], "position": place}
            for place, product in enumerate(products, start=1)
            if product >= 0
        ]

    def bought(order: int) -> list[dict[str, Any]]:
        line = slice(starts[order], starts[order + 1])
        rows = zip(
            orders.product[line].tolist(),
            orders.quantity[line].tolist(),
            orders.value[line].tolist(),
            strict=True,
        )
        return [{"product_id": ids[p], "quantity": q, "value": v} for p, q, v in rows]

    makers = {"product_list_view": shown, "purchase": bought}

    def read(start: int, stop: int) -> list[Any]:
        pairs = zip(types[start:stop].tolist(), other[start:stop].tolist(), strict=True)
        return [makers[kind](row) if kind in makers else None for kind, row in pairs]

    return read


def properties_column(frame: pd.DataFrame, catalogue: Catalogue, lists: Lists) -> Column:
    """The words of a search, the list that was shown, the order that a refund belongs to."""
    types = frame["event_type"].to_numpy(dtype=object)
    other = column(frame, "other")
    first = lists.shown[:, 0]

    def words(row: int) -> str:
        return catalogue.queries[first[row]] if first[row] >= 0 else "gift"

    def properties(kind: str, row: int) -> dict[str, Any] | None:
        if kind == "search":
            return {"query": words(row)}
        if kind == "product_list_view":
            if lists.searched[row]:
                return {"list": "search", "query": words(row)}
            return {"list": "category", "category": category_name(row)}
        if kind in ("purchase", *AFTER):
            return {"order_id": f"order-{row + 1:06d}"}
        if kind == "rec_clicked":
            return {"list": "similar"}
        return {"path": "/"} if kind == "page_view" else None

    def category_name(row: int) -> str:
        return CATEGORIES[catalogue.category[first[row]]].name

    def read(start: int, stop: int) -> list[Any]:
        pairs = zip(types[start:stop].tolist(), other[start:stop].tolist(), strict=True)
        return [properties(kind, row) for kind, row in pairs]

    return read
