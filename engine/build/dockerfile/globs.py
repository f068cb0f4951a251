"""Patterns, matched in time that grows with the text and never with the number of ways to match it.

A pattern is a row of states, one for each of its parts; the states that a text may be in after each of its characters
are the bits of one integer. Regular expressions would try one way after the other, and `*a*a*a*a*b` has very many.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Self


class Part(Enum):
    """What a part of a pattern stands for, other than a character itself or a `Set`."""

    ONE = auto()
    """Any character but the separator."""
    MANY = auto()
    """Any characters but the separator, none included."""
    ALL = auto()
    """Any characters, separators included."""
    FOLDERS = auto()
    """Nothing, or any characters and a separator."""


@dataclass(frozen=True, slots=True)
class Set:
    """One of several characters."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool = False

    def __contains__(self, character: str) -> bool:
        return any(low <= character <= high for low, high in self.ranges) != self.negated


_MOST: Final = 4096
"""Parts of a pattern; paths are no longer."""


class Glob:
    """A pattern of *parts*; *separator* is what `ONE` and `MANY` do not stand for."""

    def __init__(self, parts: Sequence[str | Set | Part], *, separator: str) -> None:
        if len(parts) > _MOST:
            raise ValueError(f"more than {_MOST} signs")
        self._parts = tuple(parts)
        self._separator = separator
        self._steps: dict[str, tuple[int, int]] = {}
        state = 0
        self._moves: list[tuple[int, str | Set | Part]] = []
        """From which state what leads to the next."""
        self._stays: list[tuple[int, Part]] = []
        self._free: list[tuple[int, int]] = []
        """(bits, distance): states that lead on without a character."""
        near = far = 0
        for part in parts:
            if part is Part.MANY or part is Part.ALL:
                self._stays.append((state, part))
                near |= 1 << state
            elif part is Part.FOLDERS:
                far |= 1 << state
                near |= 1 << state
                state += 1
                self._stays.append((state, Part.ALL))
                self._moves.append((state, separator))
            else:
                self._moves.append((state, part))
            state += 1
        self._near, self._far = near, far
        self._accept = 1 << state

    @classmethod
    def of_shell(cls, pattern: str) -> Self:
        """A pattern of `${name#pattern}`: `*`, `?`, and a backslash before one of them; `ValueError` for others.

        Neither sign stands for a line's end, as in BuildKit.
        """
        return cls(tuple(_shell_parts(pattern)), separator="\n")

    def matches(self, text: str) -> bool:
        """Whether it stands for the whole of *text*."""
        states = self._closure(1)
        for character in text:
            states = self._step(states, character)
            if not states:
                return False
        return bool(states & self._accept)

    def without_prefix(self, text: str, *, longest: bool) -> str:
        """*text* less the shortest or the longest beginning that it stands for."""
        end = -1
        for end in self._ends(text, 0):  # noqa: B007 - the last one counts
            if not longest:
                break
        return text[end:] if end > 0 else text

    def without_suffix(self, text: str, *, longest: bool) -> str:
        """*text* less the shortest or the longest end that it stands for."""
        return self._reversed().without_prefix(text[::-1], longest=longest)[::-1]

    def replaced(self, text: str, word: str, *, every: bool) -> str:
        """*text* with *word* for the first, or every, longest part of it that it stands for."""
        begins = self._begins(text)
        result: list[str] = []
        done = position = 0
        last = -1
        while position <= len(text):
            end = max(self._ends(text, position)) if begins[position] else -1
            # Nothing is not replaced right behind what has just been.
            if end < 0 or end == position == last:
                position += 1
                continue
            result += text[done:position], word
            done = last = end
            if not every:
                break
            position = max(end, position + 1)
        return "".join(result) + text[done:]

    def _ends(self, text: str, start: int) -> Iterator[int]:
        """Where the matches that begin at *start* end, from the shortest on."""
        states = self._closure(1)
        if states & self._accept:
            yield start
        for position in range(start, len(text)):
            states = self._step(states, text[position])
            if not states:
                return
            if states & self._accept:
                yield position + 1

    def _begins(self, text: str) -> list[bool]:
        """For each place in *text*, the end included, whether a match begins there: one pass, backwards."""
        backwards = self._reversed()
        begins = [False] * (len(text) + 1)
        start = states = backwards._closure(1)
        begins[len(text)] = bool(states & backwards._accept)
        for position in range(len(text) - 1, -1, -1):
            states = backwards._step(states, text[position]) | start
            begins[position] = bool(states & backwards._accept)
        return begins

    def _reversed(self) -> Glob:
        return Glob(self._parts[::-1], separator=self._separator)

    def _step(self, states: int, character: str) -> int:
        known = self._steps.get(character)
        if known is None:
            moves = sum(1 << state for state, part in self._moves if self._fits(part, character))
            stays = sum(1 << state for state, part in self._stays if self._fits(part, character))
            known = self._steps[character] = moves, stays
        moves, stays = known
        return self._closure((states & moves) << 1 | states & stays)

    def _closure(self, states: int) -> int:
        """*states* and those that they lead to without a character."""
        while True:
            wider = states | (states & self._near) << 1 | (states & self._far) << 2
            if wider == states:
                return states
            states = wider

    def _fits(self, part: str | Set | Part, character: str) -> bool:
        if isinstance(part, str):
            return part == character
        if isinstance(part, Set):
            return character in part
        return part is Part.ALL or character != self._separator


def _shell_parts(pattern: str) -> Iterable[str | Part]:
    signs = iter(pattern)
    last: str | Part | None = None
    for sign in signs:
        part: str | Part = sign
        if sign == "*":
            part = Part.MANY
        elif sign == "?":
            part = Part.ONE
        elif sign == "\\":
            part = next(signs, "")
            if part not in ("*", "?", "\\", "}", "/"):
                raise ValueError(f"invalid escape '\\{part}'")
        if part is not Part.MANY or last is not Part.MANY:
            yield part
        last = part
