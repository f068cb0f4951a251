"""Taking a line apart: white space as Go sees it, words with quotes, the word that somebody meant."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Final

SPACE: Final = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"  # fmt: skip  # noqa: E501
"""White space as Unicode and Go have it. Python's `str.strip` and `\\s` would take the separators 0x1c to 0x1f too."""

GAP: Final = re.compile("[\t\v\f\r ]+")
"""What stands between the words of an instruction."""

_FAR: Final = 3
"""Edits from which on a word is no longer taken for a slip of another."""


def quoted_words(text: str, *, escape: str) -> list[str]:
    """The words of *text*; white space within quotes or after *escape* belongs to a word. Quotes and escapes stay.

    A quote that is never closed reaches to the end, and an escape at the very end is dropped.
    """
    words = _word_pattern(escape).findall(text)
    if words and _dangling(words[-1], escape):
        words[-1] = words[-1][:-1]
    return [word for word in words if word]


def suggestion(word: str, known: Iterable[str], *, ignore_case: bool = False) -> str:
    """The one of *known* that *word* was probably meant to be, empty where none is near (or it is one of them).

    With *ignore_case* the answer is in capitals or small letters as *word* is.
    """
    asked = word.lower() if ignore_case else word
    best, least = "", _FAR
    for candidate in known:
        option = candidate.lower() if ignore_case else candidate
        if option == asked:
            return ""
        if (distance := _distance(asked, option, least)) < least:
            best, least = option, distance
    return best.upper() if ignore_case and word.upper() == word and word.lower() != word else best


def did_you_mean(message: str, word: str, known: Iterable[str], *, ignore_case: bool = False) -> str:
    """*message*, with the word that was probably meant."""
    nearest = suggestion(word, known, ignore_case=ignore_case)
    return f"{message} (did you mean {nearest}?)" if nearest else message


@functools.cache
def _word_pattern(escape: str) -> re.Pattern[str]:
    sign = re.escape(escape)
    space = re.escape(SPACE)
    # Every alternative begins with a character of its own, and what is taken is never given back: linear in the text.
    return re.compile(
        rf"""(?:{sign}(?:.|\Z)|'[^']*+(?:'|\Z)|"(?:{sign}(?:.|\Z)|[^"{sign}]++)*+(?:"|\Z)|[^{space}'"{sign}]++)++""",
        re.DOTALL,
    )


def _dangling(word: str, escape: str) -> bool:
    """Whether *word* ends with an escape that escapes nothing."""
    return (len(word) - len(word.rstrip(escape))) % 2 == 1


def _distance(first: str, second: str, limit: int) -> int:
    """The edits (insert, delete, replace) between two words; *limit* where they are as far apart as that, or more."""
    if abs(len(first) - len(second)) >= limit:
        return limit
    row = list(range(len(second) + 1))
    for number, letter in enumerate(first, 1):
        above, row[0] = row[0], number
        for column, other in enumerate(second, 1):
            above, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, above + (letter != other))
        if min(row) >= limit:
            return limit
    return row[-1]
