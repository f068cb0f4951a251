"""Variables, quotes and escapes in a word, as BuildKit's builder reads them (frontend/dockerfile/shell).

    $name ${name}                    the value, empty where there is none
    ${name:-word} ${name-word}       the word where the variable is empty or unset; without the colon, unset
    ${name:+word} ${name+word}       the word where it is neither
    ${name:?word} ${name?word}       an error, in these words
    ${name#glob} ## % %%             less the shortest or longest beginning or end that the pattern matches
    ${name/glob/word} ${name//…}     with the first or with all matches replaced

Text in single quotes stays as it is; in double quotes, variables are expanded. The escape character takes the meaning
from the one behind it.
"""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NoReturn

from engine.build.dockerfile.errors import Mistake
from engine.build.dockerfile.globs import Glob
from engine.build.dockerfile.words import SPACE

MOST_EXPANDED: Final = 16 * 1024 * 1024
"""Characters that the variables of a build may become in all: each line can hold many times what the one above made."""
_SEARCHED: Final = 8
"""For so many characters counts one in which a pattern is looked for: it takes some eight times as long."""
_DEEPEST: Final = 50
"""Substitutions within substitutions."""
_SPECIAL: Final = "@*#?-$!0"
"""Names that are one sign (POSIX.1, Shell Command Language, 2.5.2, "Special Parameters")."""
_SPACES: Final = re.compile(f"[{re.escape(SPACE)}]+")


@dataclass(frozen=True, slots=True)
class Expansion:
    """What a word became, and the names of the variables in it that were there and that were not, in their order."""

    text: str
    words: tuple[str, ...] = ()
    """The text split at white space that was neither quoted nor escaped."""
    matched: frozenset[str] = frozenset()
    unmatched: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a word is read."""

    escape: str = "\\"
    quotes: bool = True
    """Whether quotes mean anything; in here-documents they do not."""
    keep_quotes: bool = False
    keep_escapes: bool = False
    keep_unset: bool = False
    """Leave variables that are not set as they are written."""


COMMON: Final = Dialect()


class Budget:
    """What the variables of one build may still become, and may be searched for. Any thread may spend of it."""

    def __init__(self, characters: int = MOST_EXPANDED) -> None:
        self._left = characters
        self._lock = threading.Lock()

    def spend(self, characters: int) -> None:
        """`Mistake` when that is more than is left."""
        with self._lock:
            self._left -= characters
            if self._left < 0:
                raise Mistake(f"the variables become more than {MOST_EXPANDED} characters in all")


def expand(
    text: str, variables: Mapping[str, str], dialect: Dialect = COMMON, budget: Budget | None = None
) -> Expansion:
    """*text* with its variables' values; `Mistake` says what is wrong with a substitution or demanded by one."""
    if not _signs(dialect.escape).search(text):
        return Expansion(text, tuple(_words(text)))
    reader = _Reader(text, variables, dialect, budget or Budget())
    pieces = reader.read("")
    return Expansion(
        text="".join(piece for piece, _ in pieces),
        words=tuple(_split(pieces)),
        matched=frozenset(reader.matched),
        unmatched=tuple(reader.unmatched),
    )


_Piece = tuple[str, bool]
"""A part of the result, and whether white space in it parts words."""


@dataclass(slots=True)
class _Reader:
    text: str
    variables: Mapping[str, str]
    dialect: Dialect
    budget: Budget
    position: int = 0
    depth: int = 0
    matched: dict[str, None] = field(default_factory=dict)
    unmatched: dict[str, None] = field(default_factory=dict)

    def read(self, stop: str, *, keep_escapes: bool = False) -> list[_Piece]:
        """What comes up to *stop*, which is passed over; up to the end where it is empty."""
        keep_escapes = keep_escapes or self.dialect.keep_escapes
        plain = _plain(self.dialect, stop)
        pieces: list[_Piece] = []
        while self.position < len(self.text):
            if (end := plain.match(self.text, self.position)) is not None:
                pieces.append((end[0], True))
                self.position = end.end()
                continue
            sign = self._next()
            if sign == stop:
                return pieces
            if sign == "$":
                pieces.append((self._variable(), True))
            elif sign == "<":
                pieces.append((self._redirection(), False))
            elif sign == "'":
                pieces.append((self._single(), False))
            elif sign == '"':
                pieces.append((self._double(keep_escapes=keep_escapes), False))
            elif self.position < len(self.text):
                pieces.append((sign + self._next() if keep_escapes else self._next(), False))
            elif keep_escapes:
                pieces.append((sign, False))
        if stop:
            raise Mistake(f"syntax error: missing '{stop}'{' in ${}' if stop == '/' else ''}", token=self.text[-20:])
        return pieces

    def _next(self) -> str:
        self.position += 1
        return self.text[self.position - 1]

    def _peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def _single(self) -> str:
        end = self.text.find("'", self.position)
        if end < 0:
            self._unended("single-quote")
        value = self.text[self.position : end]
        self.position = end + 1
        return f"'{value}'" if self.dialect.keep_quotes else value

    def _double(self, *, keep_escapes: bool) -> str:
        escape = self.dialect.escape
        parts = ['"'] if self.dialect.keep_quotes else []
        plain = _quoted(escape)
        while (sign := self._peek()) != '"':
            if not sign:
                self._unended("double-quote")
            if (end := plain.match(self.text, self.position)) is not None:
                parts.append(end[0])
                self.position = end.end()
                continue
            self.position += 1
            if sign == "$":
                parts.append(self._variable())
            elif (escaped := self._peek()) in ('"', "$", escape):
                self.position += 1
                parts.append(sign + escaped if keep_escapes else escaped)
            elif escaped:
                parts.append(sign)
        self.position += 1
        return "".join(parts) + ('"' if self.dialect.keep_quotes else "")

    def _redirection(self) -> str:
        """`<`, or `<<` with the white space behind it, which does not part a here-document's name from its sign."""
        if self._peek() != "<":
            return "<"
        start = self.position - 1
        self.position += 1
        while self._peek() in ("\t", "\r", " "):
            self.position += 1
        return self.text[start : self.position]

    def _variable(self) -> str:
        value = self._found()
        self.budget.spend(len(value))
        return value

    def _found(self) -> str:
        if self._peek() != "{":
            name = self._name()
            return self._value(name, f"${name}")[0] if name else "$"
        start = self.position - 1
        self.position += 1
        if self._peek() in ("{", "}", ":"):
            raise Mistake("syntax error: bad substitution", token=self.text[start : self.position + 1])
        self.depth += 1
        if self.depth > _DEEPEST:
            raise Mistake(f"substitutions within substitutions, more than {_DEEPEST} deep")
        value = self._substitution(self._name(), start)
        self.depth -= 1
        return value

    def _substitution(self, name: str, start: int) -> str:
        sign = self._next() if self._peek() else ""
        if sign == "}":
            return self._value(name, f"${{{name}}}")[0]
        if sign == "/":
            return self._replacement(name)
        colon = sign == ":"
        if colon:
            sign = self._next() if self._peek() else ""
        begun = self.text[start : self.position]
        if not sign:
            raise Mistake("syntax error: missing '}'", token=self.text[start:])
        if sign not in "+-?#%" or (colon and sign in "#%"):
            shown = f":{sign}" if colon else sign
            raise Mistake(f"unsupported modifier ({shown}) in substitution", token=begun)
        word = "".join(piece for piece, _ in self.read("}", keep_escapes=sign in "#%"))
        value, there = self._value(name, "")
        if self.dialect.keep_unset and not there:
            return f"${{{name}{':' if colon else ''}{sign}{word}}}"
        missing = not there or (colon and not value)
        if sign == "-":
            return word if missing else value
        if sign == "+":
            return "" if missing else word
        if sign == "?":
            if missing:
                wrong = "empty" if there else "unset"
                raise Mistake(f"{name}: {word or f'is not allowed to be {wrong}'}", token=begun)
            return value
        self.budget.spend(_SEARCHED * len(value))
        longest = word.startswith(sign)
        glob = _glob(word[1:] if longest else word)
        if sign == "#":
            return glob.without_prefix(value, longest=longest)
        return glob.without_suffix(value, longest=longest)

    def _replacement(self, name: str) -> str:
        every = self._peek() == "/"
        if every:
            self.position += 1
        pattern = "".join(piece for piece, _ in self.read("/", keep_escapes=True))
        word = "".join(piece for piece, _ in self.read("}", keep_escapes=True))
        value, there = self._value(name, "")
        if self.dialect.keep_unset and not there:
            return f"${{{name}/{pattern}/{word}}}"
        # At most so much: it must not be made to see how much it is.
        self.budget.spend(_SEARCHED * len(value) + (len(word) * (len(value) + 1) if every else 0))
        return _glob(pattern).replaced(value, word, every=every)

    def _value(self, name: str, unset: str) -> tuple[str, bool]:
        """The variable's value and whether it has one; *unset* where it has none and the dialect keeps such."""
        if name in self.variables:
            self.matched[name] = None
            return self.variables[name], True
        self.unmatched[name] = None
        return unset if self.dialect.keep_unset else "", False

    def _name(self) -> str:
        match = _NAME.match(self.text, self.position)
        if match is None:
            return ""
        self.position = match.end()
        return match[0]

    def _unended(self, quote: str) -> NoReturn:
        raise Mistake(f"unexpected end of statement while looking for matching {quote}")


_NAME: Final = re.compile(rf"\d+|[{re.escape(_SPECIAL)}]|\w+")


@functools.cache
def _signs(escape: str) -> re.Pattern[str]:
    return re.compile(rf"""[$'"<{re.escape(escape)}]""")


@functools.cache
def _plain(dialect: Dialect, stop: str) -> re.Pattern[str]:
    """Text that means nothing but itself."""
    signs = "$<" + dialect.escape + stop + ("'\"" if dialect.quotes else "")
    return re.compile(f"[^{re.escape(signs)}]+")


@functools.cache
def _quoted(escape: str) -> re.Pattern[str]:
    return re.compile(f'[^$"{re.escape(escape)}]+')


def _glob(pattern: str) -> Glob:
    try:
        return Glob.of_shell(pattern)
    except ValueError as error:
        raise Mistake(f"invalid pattern ({pattern[:60]}) in substitution: {error}") from error


def _words(text: str) -> list[str]:
    return [word for word in _SPACES.split(text) if word]


def _split(pieces: list[_Piece]) -> list[str]:
    words: list[str] = []
    current: list[str] = []
    for text, parts in pieces:
        if not parts:
            current.append(text)
            continue
        # `re.split` gives an empty text before leading white space, and one behind trailing white space.
        first, *others = _SPACES.split(text)
        current.append(first)
        for other in others:
            words.append("".join(current))
            current = [other]
    words.append("".join(current))
    return [word for word in words if word]
