"""Words of any script, for TF-IDF over product texts."""

from __future__ import annotations

import re
import unicodedata

# Scripts written without spaces: Thai and Lao, Burmese, Khmer, kana, Han and its extensions.
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff]+"
)


class _WordCharacters(dict[int, int | str]):
    """A table for `str.translate`: letters, marks and digits stay, all else is a space.

    Marks must stay. Python's `\\w` has no marks, so scikit-learn's own token
    pattern cuts Hindi, Tamil and Thai words at each vowel sign.
    """

    def __missing__(self, code: int) -> int | str:
        kept = unicodedata.category(chr(code))[0] in "LMN"
        value: int | str = code if kept else " "
        self[code] = value
        return value


_WORD_CHARACTERS = _WordCharacters()


def split_words(text: str) -> list[str]:
    """Split a text into lower-case words; unspaced scripts become pairs of characters.

    "Rote Tasche, 38" gives rote, tasche, 38; "赤い鞄" gives 赤い, い鞄.
    """
    words: list[str] = []
    plain = unicodedata.normalize("NFKC", text).casefold()
    for word in plain.translate(_WORD_CHARACTERS).split():
        start = 0
        for run in UNSPACED.finditer(word):
            words += _nonempty(word[start : run.start()]) + _pairs(run.group())
            start = run.end()
        words += _nonempty(word[start:])
    return words


def _nonempty(word: str) -> list[str]:
    return [word] if word else []


def _pairs(run: str) -> list[str]:
    return [run[at : at + 2] for at in range(len(run) - 1)] or [run]
