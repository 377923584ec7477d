"""What is kept of rejected messages, whatever they are like: readable, bounded and named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from intake.deny import DenyList
from intake.quarantine import Letter, make_letter
from intake.request import Reject, encode_batch
from models.store import part_batches
from tests.builders import RULES, SENDER

_texts = st.one_of(st.text(max_size=5), st.sampled_from(["\0", "\ud800", "a\udc00", "😀"]))
_ADDRESSES = ("ip", "$ip", "ip_address", "ipaddress", "client_ip", "clientip", "remote_addr")
_names = st.one_of(
    st.sampled_from(["userId", "anonymousId", "messageId", "properties", "Secret"]),
    st.sampled_from([*_ADDRESSES, "IP", "Client_IP"]),
    _texts,
)
_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**30), 10**30), _texts, st.builds(object)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(_names, inner, max_size=4)
    ),
    max_leaves=12,
)


def letter(message: Any, event: dict[str, Any] | None = None, **rules: Any) -> Letter | None:
    return make_letter(
        Reject(message, event, "invalid", f"wrong: {message!r}"),
        dialect="segment",
        sender=SENDER,
        rules=replace(RULES, **rules),
        keep_address=lambda address: None,
    )


def names_in(value: Any) -> Iterator[str]:
    """Give the names of a JSON value's members, at any depth."""
    for item in value if isinstance(value, list) else ():
        yield from names_in(item)
    for name, item in value.items() if isinstance(value, dict) else ():
        yield name
        yield from names_in(item)


@given(message=_values, event=st.none() | st.dictionaries(_names, _values, max_size=3))
def test_whatever_a_message_is_its_batch_can_be_read(
    message: Any, event: dict[str, Any] | None
) -> None:
    found = letter(message, event, deny_list=DenyList.parse("secret"))
    assert found is not None

    body = encode_batch([], sender=SENDER, letters=[found], dialect="segment", path="/v1/batch")

    assert part_batches([body]).count == 0
    (kept,) = orjson.loads(body)["rejected"]
    assert "\\u0000" not in orjson.dumps({**kept, "message": None}).decode()
    assert b'"Secret"' not in orjson.dumps(kept.get("message"))
    assert {name.lower() for name in names_in(kept.get("message"))}.isdisjoint(_ADDRESSES)
    again = letter(message, event)
    assert again is not None
    assert again.letter_id == found.letter_id or found.message_id is None


def test_a_message_nested_very_deeply_is_cut_off() -> None:
    message: Any = 1
    for _ in range(900):
        message = {"a": message}

    found = letter({"type": "track", "userId": "u1", "properties": message})

    assert found is not None
    assert found.user_id == "u1"
    assert bytes(found.message or b"").count(b"{") < 70


def test_the_ids_of_a_message_and_of_its_content_tell_letters_apart() -> None:
    found = [
        letter({"messageId": "m1", "a": 1}),
        letter({"messageId": "m1", "a": 2}),
        letter({"a": 1, "sentAt": "now"}),
        letter({"a": 1, "sentAt": "later"}),
        letter({"a": 2}),
    ]

    ids = [item.letter_id for item in found if item is not None]

    assert ids[0] == ids[1]
    assert ids[2] == ids[3]
    assert len(set(ids)) == 3
