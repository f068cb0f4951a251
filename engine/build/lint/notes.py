"""Where findings are collected, each with its place in the file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

from engine.build.dockerfile.errors import Place, excerpt, locate
from engine.build.dockerfile.model import Instruction, Span
from engine.build.dockerfile.words import suggestion
from engine.build.lint.model import Finding, Fix
from engine.build.lint.rules import Rule
from engine.build.lint.settings import Settings

MAX_FINDINGS: Final = 500
_MAX_GUESSES: Final = 200
_MAX_NAMES: Final = 300
"""Names that one guess looks at: a file can hold many thousands of them."""


class Notes:
    """The findings about the file whose *lines* these are, as far as *settings* want them; the first `MAX_FINDINGS`."""

    def __init__(self, lines: Sequence[str], settings: Settings) -> None:
        self.lines = lines
        self._settings = settings
        self._findings: list[Finding] = []
        self._guesses = 0

    def add(self, rule: Rule, given: Instruction, message: str, *, token: str = "", fix: Fix | None = None) -> None:
        """Note *message* about *given*, pointing at *token* in it, unless the check is skipped there."""
        if len(self._findings) < MAX_FINDINGS and self._settings.with_comments(given.comments).wants(rule):
            self._note(rule, given.span, message, locate(self.lines, given.span, token), fix)

    def add_line(self, rule: Rule, number: int, message: str, *, fix: Fix | None = None) -> None:
        """Note *message* about the line *number*."""
        if len(self._findings) < MAX_FINDINGS and self._settings.wants(rule):
            self._note(rule, Span(number, number), message, Place(line=number, end_line=number), fix)

    def suggestion(self, name: str, known: Iterable[str]) -> str:
        """The one of *known* that *name* was probably meant to be, empty where none is near."""
        self._guesses += 1
        return suggestion(name, islice(known, _MAX_NAMES)) if self._guesses <= _MAX_GUESSES else ""

    def sorted(self) -> tuple[Finding, ...]:
        """By line; those of one line as they were found."""
        return tuple(sorted(self._findings, key=lambda finding: finding.span.start))

    def _note(self, rule: Rule, span: Span, message: str, place: Place, fix: Fix | None) -> None:
        self._findings.append(
            Finding(rule=rule, message=message, span=span, place=place, excerpt=excerpt(self.lines, place), fix=fix)
        )
