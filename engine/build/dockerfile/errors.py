"""What is wrong in a Dockerfile, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from engine.build.dockerfile.model import Span
from engine.errors import InvalidParameter

_WIDEST: Final = 160
"""Columns of a line that an excerpt shows."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the file: lines and columns are counted from 1, *length* in characters of the first line."""

    line: int
    end_line: int
    column: int = 1
    length: int = 0


class Mistake(Exception):
    """A sentence about an instruction, before anybody has added where it stands; *token* is the text to point at."""

    def __init__(self, message: str, *, token: str = "") -> None:
        super().__init__(message)
        self.token = token


class DockerfileError(InvalidParameter):
    """A Dockerfile that means nothing. `str(error)` is in the words that Docker's clients know."""

    def __init__(self, message: str, *, place: Place, lines: Sequence[str] = ()) -> None:
        super().__init__(f"dockerfile parse error on line {place.line}: {message}")
        self.reason = message
        """The message without its line."""
        self.place = place
        self.excerpt = excerpt(lines, place)
        """The line, and below it carets; empty for a file without lines."""

    @classmethod
    def of(cls, mistake: Mistake, span: Span, lines: Sequence[str]) -> Self:
        """*mistake*, which was made in the lines *span*."""
        return cls(str(mistake), place=locate(lines, span, mistake.token), lines=lines)

    @property
    def shown(self) -> str:
        """The whole for somebody at a terminal."""
        return f"{self}\n{self.excerpt}" if self.excerpt else str(self)


def shown(error: Exception) -> str:
    """*error* in words, with its line where it is the Dockerfile's."""
    return error.shown if isinstance(error, DockerfileError) else str(error)


def locate(lines: Sequence[str], span: Span, token: str) -> Place:
    """Where *token* first stands within *span*; the span's first line as a whole where it is not found."""
    if token:
        for number in range(span.start, min(span.end, len(lines)) + 1):
            column = lines[number - 1].find(token)
            if column >= 0:
                return Place(line=number, end_line=max(span.end, number), column=column + 1, length=len(token))
    text = lines[span.start - 1] if 0 < span.start <= len(lines) else ""
    return Place(
        line=span.start,
        end_line=max(span.start, span.end),
        column=len(text) - len(text.lstrip()) + 1,
        length=len(text.strip()),
    )


def excerpt(lines: Sequence[str], place: Place) -> str:
    """The line of *place* with its number, and carets below what is meant."""
    if not 0 < place.line <= len(lines):
        return ""
    text = lines[place.line - 1].replace("\t", " ")
    skipped = max(0, place.column - _WIDEST // 2) if place.column > _WIDEST else 0
    shown = text[skipped : skipped + _WIDEST]
    label = f"{place.line} | "
    carets = "^" * max(1, min(place.length, len(shown) - (place.column - 1 - skipped)))
    return f"{label}{shown.rstrip()}\n{' ' * (len(label) - 2)}| {' ' * (place.column - 1 - skipped)}{carets}"
