"""A JSON list read element by element is the list read at once."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intake.json_array import read_array
from intake.text_lines import MAX_BYTES, FileError


class Dripping(io.BytesIO):
    """Give a few bytes at a time, whatever is asked for."""

    def __init__(self, content: bytes, size: int) -> None:
        super().__init__(content)
        self._size = size

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self._size)


_json: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    values=st.lists(_json, max_size=6),
    size=st.integers(1, 12),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 0, 3]),
    envelope=st.booleans(),
)
def test_elements_are_those_of_the_whole_text(
    values: list[Any], size: int, ascii_only: bool, indent: int | None, envelope: bool
) -> None:
    document = {"things": values} if envelope else values
    content = json.dumps(document, ensure_ascii=ascii_only, indent=indent).encode()

    assert list(read_array(Dripping(content, size), key="things")) == values


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" ",
        b"{",
        b"[",
        b"[1",
        b"[1,",
        b"[1,]",
        b"[1 2]",
        b"[1]]",
        b'{"things":[1]',
        b'{"things":[1],}',
        b'{"others":[1]}',
        b"7",
        b'"x"',
        b"[tru]",
        b"[1]\xff",
        b"\xff",
    ],
)
def test_what_is_no_list_is_refused(content: bytes, size: int) -> None:
    with pytest.raises(FileError):
        list(read_array(Dripping(content, size), key="things"))


def test_an_element_without_end_is_not_read_to_the_end() -> None:
    stream = io.BytesIO(b'["' + b"x" * 8 * MAX_BYTES)

    with pytest.raises(FileError, match="no element ends within"):
        list(read_array(stream, key="things"))
    assert stream.tell() < 5 * MAX_BYTES


def test_the_elements_before_a_fault_are_given() -> None:
    elements = read_array(io.BytesIO(b"[1,2,x]"), key="things")

    assert [next(elements), next(elements)] == [1, 2]
    with pytest.raises(FileError, match="character 5"):
        next(elements)
