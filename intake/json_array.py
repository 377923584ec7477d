"""Read a JSON list element by element, so that a list of any length needs memory for one."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from intake.text_lines import MAX_BYTES, FileError, not_utf8

_PIECE = 65_536
#: The most digits of a whole number; Python takes the square of their count to read them.
_MAX_DIGITS = 300
_OPEN_END = re.compile(r"[-+.0-9eE]*")
_SPACE = re.compile(r"[ \t\r\n]*")


def _read_int(digits: str) -> int | float:
    # As a float it is infinite, which the bounds of `intake.payload` refuse.
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)


_DECODER = json.JSONDecoder(parse_int=_read_int)


def read_json(text: str) -> Any:
    """Read one JSON value. Raises ValueError, or RecursionError for what is nested too deeply."""
    return _DECODER.decode(text)


def read_array(stream: BinaryIO, *, key: str) -> Iterator[Any]:
    """Read the elements of `[…]`, or of `{key: […]}`. Raises FileError."""
    window = _Window(stream)
    envelope = window.skip("{")
    if envelope and not (window.element() == key and window.skip(":")):
        raise _not_a_list(key)
    if not window.skip("["):
        raise _not_a_list(key)
    if not window.skip("]"):
        while True:
            yield window.element()
            if window.skip("]"):
                break
            if not window.skip(","):
                raise window.error("',' or ']' expected")
    if envelope and not window.skip("}"):
        raise window.error("'}' expected: nothing may stand beside the list")
    if not window.at_end():
        raise window.error("nothing may follow")


def _not_a_list(key: str) -> FileError:
    return FileError("not_a_list", f'the JSON must be {{"{key}": […]}} or a list')


class _Window:
    """The part of a stream that is looked at now."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._text = ""
        self._place = 0
        self._before = 0
        self._ended = False

    def skip(self, token: str) -> bool:
        """Go behind a character if it comes next, space aside."""
        if self.at_end() or self._text[self._place] != token:
            return False
        self._place += 1
        return True

    def at_end(self) -> bool:
        """Go behind space; tell whether nothing follows."""
        while True:
            match = _SPACE.match(self._text, self._place)
            self._place = match.end() if match else self._place
            if self._place < len(self._text):
                return False
            if not self._more():
                return True

    def element(self) -> Any:
        """Read the value that comes next."""
        self.at_end()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._place)
                # A number at the end of the window may go on behind it: 0 is the start of 0.5.
                if self._ended or not _OPEN_END.fullmatch(self._text, end):
                    self._place = end
                    return value
            except json.JSONDecodeError as error:
                if self._ended:
                    raise self.error(error.msg, error.pos) from None
            if len(self._text) - self._place > MAX_BYTES:
                raise self.error(f"no element ends within {MAX_BYTES} bytes")
            # Twice as much each time: what is read again stays within what was read.
            self._more(max(_PIECE, len(self._text) - self._place))

    def error(self, text: str, place: int | None = None) -> FileError:
        """Say what is wrong and where."""
        where = self._before + (self._place if place is None else place)
        return FileError("not_json", f"this is no JSON: {text} (character {where})")

    def _more(self, size: int = _PIECE) -> bool:
        piece = self._stream.read(size)
        self._ended = not piece
        try:
            text = self._decode(piece, self._ended)
        except UnicodeDecodeError as error:
            raise not_utf8(f"byte {error.start} behind character {self._end()}") from None
        self._before += self._place
        self._text = self._text[self._place :] + text
        self._place = 0
        return not self._ended

    def _end(self) -> int:
        return self._before + len(self._text)
