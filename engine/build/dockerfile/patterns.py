"""One pattern of a `.dockerignore` file or of `--exclude` (moby/patternmatcher, and Go's `filepath.Match`).

    *       any characters but the slash          ?      one of them
    **      any characters, slashes included      [a-z]  one of several, [^a-z] none of them
    \\x      x itself

`**` with a slash behind it also stands for nothing. Four kinds of patterns are told apart, as there, and one of them
has a meaning that the others would not give it: `**x`, with nothing special in x, is whatever *ends* in x.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from engine.build.dockerfile.globs import Glob, Part, Set
from engine.errors import InvalidParameter

Matcher = Callable[[str], bool]
_Parts = list[str | Set | Part]

_STARS: Final = frozenset({Part.MANY, Part.ALL, Part.FOLDERS})


def compile_pattern(pattern: str) -> Matcher:
    """Whether a path, with slashes and without one at its ends, is what *pattern* stands for.

    `InvalidParameter` for a pattern that is none.
    """
    parts, special = _parse(pattern)
    if not special:
        return lambda path: path == pattern
    if special == 1 and parts[-1] is Part.ALL and len(parts) > 1:
        beginning = pattern.removesuffix("/")[:-2]
        return lambda path: path.startswith(beginning)
    if special == 1 and pattern.startswith("**"):
        end = pattern[2:]
        whole = end[1:] if end.startswith("/") else None
        return lambda path: path.endswith(end) or path == whole
    expression = _regular(parts)
    if expression is not None:
        return lambda path: expression.fullmatch(path) is not None
    try:
        return Glob(parts, separator="/").matches
    except ValueError as error:
        raise _wrong(pattern) from error


def _parse(pattern: str) -> tuple[_Parts, int]:
    """The parts of *pattern*, and how many of its signs mean something other than themselves."""
    parts: _Parts = []
    special = position = 0
    while position < len(pattern):
        sign = pattern[position]
        position += 1
        if sign in "*?[]\\":
            special += 1
        if sign == "*" and pattern.startswith("*", position):
            position += 1
            if pattern.startswith("/", position):
                position += 1
            parts.append(Part.FOLDERS if position < len(pattern) else Part.ALL)
        elif sign == "*":
            parts.append(Part.MANY)
        elif sign == "?":
            parts.append(Part.ONE)
        elif sign == "[":
            found, position = _set(pattern, position)
            parts.append(found)
        elif sign == "\\":
            if position == len(pattern):
                raise _wrong(pattern)
            parts.append(pattern[position])
            position += 1
        else:
            parts.append(sign)
    return parts, special


def _set(pattern: str, position: int) -> tuple[Set, int]:
    """The set whose `[` stands before *position*, and where it ends."""
    negated = pattern.startswith("^", position)
    position += negated
    ranges: list[tuple[str, str]] = []
    while not (ranges and pattern.startswith("]", position)):
        low, position = _member(pattern, position)
        high = low
        if pattern.startswith("-", position):
            high, position = _member(pattern, position + 1)
        if high < low:
            # Go's matcher takes an empty range; the regular expression that is made of it afterwards is none.
            raise _wrong(pattern)
        ranges.append((low, high))
    return Set(tuple(ranges), negated), position + 1


def _member(pattern: str, position: int) -> tuple[str, int]:
    if pattern.startswith("\\", position):
        position += 1
    elif pattern[position : position + 1] in ("", "-", "]"):
        raise _wrong(pattern)
    if position >= len(pattern):
        raise _wrong(pattern)
    return pattern[position], position + 1


def _wrong(pattern: str) -> InvalidParameter:
    return InvalidParameter(f"syntax error in pattern {pattern[:100]!r}: a [ is not closed, or nothing is behind a \\")


def _regular(parts: Sequence[str | Set | Part]) -> re.Pattern[str] | None:
    """A regular expression that never looks twice at a way that failed; `None` where there is none.

    It is right wherever `**` begins a component, as it nearly always does: what is between two of them then matches as
    early as it can, which leaves the most to the rest, and need not be tried again (an atomic group).
    """
    everything = bool(parts) and parts[-1] is Part.ALL
    segments: list[_Parts] = [[]]
    for part in parts[: len(parts) - everything]:
        if part is Part.FOLDERS:
            segments.append([])
        else:
            segments[-1].append(part)
    if any(segment and segment[-1] != "/" for segment in segments[:-1]):
        return None
    if any(isinstance(part, Set) and "/" in part for part in parts):
        return None
    first, *others = segments
    expression = _segment(first, last=not others and not everything)
    for number, segment in enumerate(others, 1):
        last = number == len(others) and not everything
        body = _segment(segment, last=last)
        expression += f"(?:.*/)?{body}" if last else f"(?>(?:.*?/)??{body})"
    return re.compile(expression + (".*" if everything else ""), re.DOTALL)


def _segment(parts: _Parts, *, last: bool) -> str:
    """The expression for parts without `**`; the last of the pattern may try again what its last star takes."""
    chunks = [""]
    for part in parts:
        if part is Part.MANY:
            chunks.append("")
        elif part is Part.ONE:
            chunks[-1] += "[^/]"
        elif isinstance(part, Set):
            members = "".join(f"{re.escape(low)}-{re.escape(high)}" for low, high in part.ranges)
            chunks[-1] += f"[{'^' if part.negated else ''}{members}]"
        else:
            chunks[-1] += re.escape(str(part))
    expression = chunks[0]
    for number, chunk in enumerate(chunks[1:], 1):
        expression += f"[^/]*{chunk}" if last and number == len(chunks) - 1 else f"(?>[^/]*?{chunk})"
    return expression
