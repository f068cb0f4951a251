"""From bytes to lines, and from lines to instructions that may go over several (BuildKit, frontend/dockerfile/parser).

A line that ends with the escape character goes on below. Comment lines within are left out whatever their indentation;
empty lines within are left out too, and complained about. White space before the first line goes, before the others it
stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from engine.build.dockerfile.errors import DockerfileError, Mistake, Place
from engine.build.dockerfile.model import Heredoc, Span
from engine.build.dockerfile.words import SPACE

MAX_FILE: Final = 1024 * 1024
"""Bytes of a Dockerfile."""
MAX_LINE: Final = 64 * 1024 - 1
"""Characters of a line; BuildKit takes as many bytes."""
MAX_HEREDOC: Final = 512 * 1024
"""Characters of a here-document."""
MAX_INSTRUCTIONS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Joined:
    """One instruction's text: its lines joined, comments and empty lines left out."""

    text: str
    span: Span
    comments: tuple[str, ...]
    """What stands in the comments directly above."""
    empty_continuation: bool
    """Whether empty lines were between."""


def decode(data: bytes) -> tuple[str, ...]:
    """The lines of a Dockerfile, without `\\n`; `DockerfileError` for one that is too large.

    Bytes that are not UTF-8 become U+FFFD, as in every JSON that Docker makes of them.
    """
    if len(data) > MAX_FILE:
        raise DockerfileError(
            f"the Dockerfile has {len(data)} bytes, more than {MAX_FILE}", place=Place(line=1, end_line=1)
        )
    lines = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").split("\n")
    if not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE:
            place = Place(line=number, end_line=number)
            raise DockerfileError(f"dockerfile line greater than max allowed size of {MAX_LINE}", place=place)
    return tuple(lines)


class Reader:
    """Goes through *lines*, an instruction at a time, and passes over *skip* of them first.

    *escape* is what a line that goes on ends with.
    """

    def __init__(self, lines: tuple[str, ...], *, escape: str = "\\", skip: int = 0) -> None:
        self._lines = lines
        self._escape = escape
        self._next = skip

    def instruction(self) -> Joined | None:
        """The next instruction, `None` at the end."""
        comments: list[str] = []
        while self._next < len(self._lines):
            line = self._take().rstrip("\r").lstrip(SPACE)
            if line.startswith("#"):
                # A comment that says nothing parts those above it from the instruction, as an empty line does.
                comments = [*comments, comment] if (comment := line[1:].strip(SPACE)) else []
                continue
            text, goes_on = self._split(line)
            if goes_on or text:
                return self._joined(text, goes_on=goes_on, comments=comments)
            comments = []
        return None

    def heredoc(self, heredoc: Heredoc) -> Heredoc:
        """*heredoc* with its content, which begins at the next line; `Mistake` when it never ends."""
        content: list[str] = []
        size = 0
        while self._next < len(self._lines):
            line = self._take()
            word = line.rstrip("\r")
            if (word.lstrip("\t") if heredoc.chomp else word) == heredoc.name:
                return Heredoc(
                    name=heredoc.name,
                    content="".join(content),
                    expand=heredoc.expand,
                    chomp=heredoc.chomp,
                    descriptor=heredoc.descriptor,
                )
            size += len(line) + 1
            if size > MAX_HEREDOC:
                raise Mistake(f"the heredoc {heredoc.name} has more than {MAX_HEREDOC} characters", token=heredoc.name)
            content.append(line + "\n")
        raise Mistake(f"unterminated heredoc: no line below is {heredoc.name} alone", token=f"<<{heredoc.name}")

    @property
    def line(self) -> int:
        """The number of the line that was read last, 0 before the first."""
        return self._next

    def _joined(self, first: str, *, goes_on: bool, comments: list[str]) -> Joined:
        start = self._next
        parts = [first]
        empty = False
        while goes_on and self._next < len(self._lines):
            line = self._take().rstrip("\r")
            bare = line.lstrip(SPACE)
            if bare.startswith("#"):
                continue
            if not bare:
                empty = True
                continue
            text, goes_on = self._split(line)
            parts.append(text)
        return Joined(
            text="".join(parts),
            span=Span(start, self._next),
            comments=tuple(comments),
            empty_continuation=empty,
        )

    def _take(self) -> str:
        self._next += 1
        return self._lines[self._next - 1]

    def _split(self, line: str) -> tuple[str, bool]:
        """*line* without a trailing escape, and whether there was one. Two of them are an escaped escape."""
        bare = line.rstrip(" \t")
        if bare.endswith(self._escape) and not bare.endswith(self._escape * 2):
            return bare[: -len(self._escape)], True
        return line, False
