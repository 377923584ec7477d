"""Records of other products' exports: odd cells, old columns, times that disagree."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets.event_mapping import RowError
from datasets.histories.cells import read_array, read_text
from datasets.histories.history import PRODUCTS, History
from datasets.histories.segment import read_segment, read_times
from datasets.histories.umami import read_umami

AT = "2026-03-01T10:00:00.000Z"


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (["a", "b"], ["a", "b"]),
        ('["a", "b"]', ["a", "b"]),
        (r"['it\'s','b']", ["it's", "b"]),
        ("[]", []),
        ("", []),
        (None, []),
        ("[__import__('os')]", []),
        ("[" * 5000, []),
        ({"a": 1}, []),
    ],
)
def test_a_list_is_read_as_json_or_as_clickhouse_writes_it(cell: Any, expected: list[Any]) -> None:
    assert read_array(cell) == expected


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("GB", "GB"),
        ("\0\0", None),
        ("EU\0", "EU"),
        (17043187226110467326, "17043187226110467326"),
        (True, None),
        ([], None),
        ("", None),
    ],
)
def test_a_text_that_is_filled_up_with_nul_is_read_without_it(
    cell: Any, expected: str | None
) -> None:
    assert read_text(cell) == expected


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        # On the way for 12 s: the clock was right.
        ({"originalTimestamp": AT, "timestamp": "2026-03-01T10:00:12Z"}, (AT, None)),
        (
            {"originalTimestamp": AT, "timestamp": "2026-03-01T11:00:00Z"},
            ("2026-03-01T11:00:00Z", AT),
        ),
        ({"timestamp": AT}, (AT, None)),
        ({"originalTimestamp": AT}, (AT, None)),
        # RudderStack, of a client that said its time as `timestamp`.
        (
            {"originalTimestamp": "2026-03-01T12:00:00Z", "receivedAt": "2026-03-01T12:00:00Z",
             "timestamp": AT},
            (AT, None),
        ),
        ({"originalTimestamp": "soon", "timestamp": AT}, (AT, None)),
        ({"originalTimestamp": [], "timestamp": AT}, (AT, None)),
        ({}, (None, None)),
    ],
)  # fmt: skip
def test_a_clock_is_doubted_when_its_time_is_far_off(
    times: dict[str, Any], expected: tuple[Any, Any]
) -> None:
    assert read_times(times) == expected


def test_columns_of_a_table_become_a_message() -> None:
    row = {
        "id": "m-1", "anonymous_id": "a-1", "event": "order_completed",
        "event_text": "Order Completed", "original_timestamp": "2026-03-01 10:00:00 UTC",
        "context_page_url": "https://shop.example", "context_user_agent": "Firefox",
        "context_locale": "en", "products": '[{"product_id": "p1"}]', "uuid_ts": "x", "total": "9",
    }  # fmt: skip

    assert read_segment(row) == {
        "type": "track",
        "messageId": "m-1",
        "anonymousId": "a-1",
        "originalTimestamp": "2026-03-01 10:00:00",
        "event": "Order Completed",
        "properties": {"products": [{"product_id": "p1"}], "total": "9"},
        "context": {
            "page": {"url": "https://shop.example"},
            "userAgent": "Firefox",
            "locale": "en",
        },
    }


@pytest.mark.parametrize(
    ("table", "kind", "words"),
    [
        ("pages", "page", "properties"),
        ("screens", "screen", "properties"),
        ("identifies", "identify", "traits"),
        ("groups", "group", "traits"),
        ("aliases", "alias", "properties"),
    ],
)
def test_a_file_is_named_as_its_table(table: str, kind: str, words: str) -> None:
    message = read_segment({"id": "m-1", "name": "x"}, table)

    assert (message["type"], message[words]) == (kind, {"name": "x"})


@pytest.mark.parametrize("table", ["users", "accounts", "export", ""])
def test_a_file_of_another_name_is_of_no_table(table: str) -> None:
    with pytest.raises(RowError, match="name the file as its table"):
        read_segment({"id": "m-1"}, table)


def test_what_older_umamis_called_otherwise_is_read() -> None:
    event = read_umami(
        {
            "event_id": "e-1", "created_at": AT, "session_id": "s-1", "url_path": "/",
            "event_type": 1, "session": {"hostname": "shop.example", "subdivision1": "LND"},
        }
    )  # fmt: skip

    assert event["properties"]["url"] == "https://shop.example/"
    assert event["context"]["location"] == {"region": "LND"}


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
NAMES = st.sampled_from(
    [
        "type", "messageId", "userId", "anonymousId", "event", "properties", "context", "timestamp",
        "originalTimestamp", "traits", "id", "event_text", "context_page_url", "context_page",
        "uuid", "distinct_id", "elements_chain", "name", "meta.key", "meta.value", "user_id",
        "revenue_source_amount", "session", "data", "event_type", "event_name", "created_at",
        "event_params", "event_timestamp", "items", "device", "geo", "ecommerce", "platform",
    ]
)  # fmt: skip


@pytest.mark.parametrize("product", PRODUCTS)
@given(row=st.dictionaries(NAMES, JSON | st.sampled_from(["track", "page", "$pageview", AT])))
def test_a_record_of_anything_is_read_or_refused(product: str, row: dict[str, Any]) -> None:
    row = {"event_name": "x", "name": "x", "event": "x", "distinct_id": "d", **row}

    with suppress(RowError):
        assert History(product, "pages").to_event(row, from_text=False)["event_type"]
