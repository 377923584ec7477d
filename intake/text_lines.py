"""Read a stream of UTF-8 line by line within bounds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from marshmallow import ValidationError

#: The longest line, and the longest element of a list, that is read.
MAX_BYTES = 1_048_576
BOM = b"\xef\xbb\xbf"


class FileError(ValueError):
    """The file as a whole cannot be read; `reason` is a code for programs."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Text:
    """One line with its end, or what is wrong with it."""

    number: int
    text: str | ValidationError


def read_text_lines(stream: BinaryIO) -> Iterator[Text]:
    """Read lines, without a byte order mark before the first. Raises FileError for no UTF-8."""
    number = 0
    while line := stream.readline(MAX_BYTES + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(BOM)
        if len(line) > MAX_BYTES:
            while line and not line.endswith(b"\n"):
                line = stream.readline(MAX_BYTES)
            yield Text(number, ValidationError(f"Must be at most {MAX_BYTES} bytes long."))
            continue
        try:
            yield Text(number, line.decode())
        except UnicodeDecodeError as error:
            raise not_utf8(f"line {number}, byte {error.start}") from None


def not_utf8(where: str) -> FileError:
    """Say that a file has another encoding."""
    return FileError("not_utf8", f"the text is not UTF-8 ({where}): save it as UTF-8 first")
