"""`.dockerignore`: which paths of a context are left out (moby/patternmatcher and its `ignorefile`).

The last pattern that fits decides, `!` takes back. A pattern that fits a directory fits all that is in it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from engine.build.dockerfile.patterns import Matcher, compile_pattern
from engine.build.dockerfile.words import SPACE
from engine.errors import InvalidParameter

IGNORE_FILE: Final = ".dockerignore"
MAX_FILE: Final = 1024 * 1024
"""Bytes of a file of patterns."""
MAX_PATTERNS: Final = 10_000
MAX_PATTERN: Final = 4096
"""Characters; no path is longer."""


def ignore_files(dockerfile: str) -> tuple[str, str]:
    """Where the patterns for the Dockerfile at the path *dockerfile* are looked for: the first that is there counts."""
    return f"{dockerfile}{IGNORE_FILE}", IGNORE_FILE


def read_patterns(data: bytes) -> tuple[str, ...]:
    """The patterns in a file: without comments (`#` in the first column), white space and slashes at the ends."""
    if len(data) > MAX_FILE:
        raise InvalidParameter(f"{IGNORE_FILE} has {len(data)} bytes, more than {MAX_FILE}")
    patterns: list[str] = []
    for line in data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape").split("\n"):
        text = line.strip(SPACE)
        if line.startswith("#") or not text:
            continue
        inverted = text.startswith("!")
        if cleaned := text[inverted:].strip(SPACE):
            cleaned = _clean(cleaned)
            if cleaned.startswith("/") and cleaned != "/":
                cleaned = cleaned[1:]
        patterns.append("!" * inverted + cleaned)
    return tuple(patterns)


@dataclass(frozen=True, slots=True)
class _Pattern:
    text: str
    exception: bool
    matches: Matcher


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the patterns say about one path; a directory's is what those about its entries begin with."""

    ignored: bool
    matched: tuple[bool, ...] = ()
    """For each pattern, whether it fits the path or a directory above."""


class IgnoreMatcher:
    """Tells by *patterns* which paths are left out. Paths are relative, with slashes, and bytes in them surrogates."""

    def __init__(self, patterns: Iterable[str]) -> None:
        found = [parsed for text in patterns if (parsed := _parse(text)) is not None]
        if len(found) > MAX_PATTERNS:
            raise InvalidParameter(f"{len(found)} patterns, more than {MAX_PATTERNS}")
        self._patterns = tuple(found)
        self.has_exceptions = any(pattern.exception for pattern in found)
        """Whether something within a directory that is left out may be there all the same."""
        self.texts = tuple(pattern.text for pattern in found if not pattern.exception)
        """The patterns that leave something out."""

    def ignores(self, path: str) -> bool:
        """Whether *path* is left out, by itself or with a directory above it. The root never is."""
        path = _clean(path).removeprefix("/")
        if path in (".", ""):
            return False
        verdict = Verdict(ignored=False)
        for end in [index for index, sign in enumerate(path) if sign == "/"] + [len(path)]:
            verdict = self.verdict(path[:end], verdict)
        return verdict.ignored

    def verdict(self, path: str, above: Verdict) -> Verdict:
        """What the patterns say of *path*, whose directory's verdict is *above* (that of the root: `ROOT`)."""
        matched = tuple(
            (bool(above.matched) and above.matched[number]) or pattern.matches(path)
            for number, pattern in enumerate(self._patterns)
        )
        ignored = False
        for pattern, fits in zip(self._patterns, matched, strict=True):
            if fits:
                ignored = not pattern.exception
        return Verdict(ignored=ignored, matched=matched)


ROOT: Final = Verdict(ignored=False)
"""What is said of a context's root: all begins with it."""


def _parse(text: str) -> _Pattern | None:
    text = text.strip(SPACE)
    if not text:
        return None
    if len(text) > MAX_PATTERN:
        raise InvalidParameter(f"a pattern has {len(text)} characters, more than {MAX_PATTERN}: {text[:60]}…")
    exception = text.startswith("!")
    if text == "!":
        raise InvalidParameter('illegal exclusion pattern: "!": a path has to follow')
    cleaned = _clean(text[exception:].strip(SPACE))
    return _Pattern(text=cleaned, exception=exception, matches=compile_pattern(cleaned))


def _clean(path: str) -> str:
    """*path* as Go's `filepath.Clean` gives it: without empty parts, `.`, `a/..` and a slash at the end."""
    cleaned = posixpath.normpath(path)
    # POSIX lets two slashes at the beginning mean something else; Go does not.
    return cleaned[1:] if cleaned.startswith("//") else cleaned
