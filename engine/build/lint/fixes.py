"""Edits that do what a finding asks for, where that is plain."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from typing import Final

from engine.build.dockerfile.model import CommandLine, Instruction, Maintainer, Pair, Span
from engine.build.dockerfile.words import quoted_words
from engine.build.lint.model import Edit, Fix

_PLAIN: Final = re.compile(r"""(?:[^\s'"\\$`|&;<>(){}*?\[\]~#!]|'[^'$`!]*'|"[^"\\$`!]*"| )+""")
"""A command in which a shell would do nothing but take away quotes."""
_BUILT_IN: Final = re.compile(
    r"\.|:|alias|bg|case|cd|command|eval|exec|exit|export|fg|for|getopts|hash|if|jobs|read|readonly|return|set|shift|"
    r"source|times|trap|ulimit|umask|unalias|unset|until|wait|while"
)
"""First words that mean something to a shell only."""


def replaced(lines: Sequence[str], span: Span, old: str, new: str, *, title: str = "") -> Fix | None:
    """*new* in place of *old*, where that stands but once, as a word, within *span*."""
    word = re.compile(rf"(?<!\w){re.escape(old)}(?!\w)" if old[-1:].isalnum() else re.escape(old))
    found = [
        (number, match)
        for number in range(span.start, min(span.end, len(lines)) + 1)
        for match in word.finditer(lines[number - 1])
    ]
    if len(found) != 1:
        return None
    number, match = found[0]
    edit = Edit(number, match.start() + 1, number, match.end() + 1, new)
    return Fix(title or f"Write {new.strip() or 'nothing'} instead of {old.strip()}", (edit,))


def keyword(lines: Sequence[str], given: Instruction, new: str) -> Fix | None:
    """The instruction's own word as *new*."""
    line = lines[given.span.start - 1]
    column = len(line) - len(line.lstrip())
    if not line.startswith(given.keyword, column):
        return None
    edit = Edit(given.span.start, column + 1, given.span.start, column + 1 + len(given.keyword), new)
    return Fix(f"Write {new} instead of {given.keyword}", (edit,))


def rewritten(lines: Sequence[str], span: Span, text: str, *, title: str) -> Fix:
    """*text* in place of a whole instruction."""
    first, last = lines[span.start - 1], lines[span.end - 1]
    indent = len(first) - len(first.lstrip())
    return Fix(title, (Edit(span.start, indent + 1, span.end, len(last) + 1, text),))


def removed(spans: Sequence[Span], *, title: str) -> Fix:
    """The lines of *spans* gone."""
    return Fix(title, tuple(Edit(span.start, 1, span.end + 1, 1, "") for span in spans))


def line_before(span: Span) -> Fix:
    """An empty line before *span*."""
    return Fix("Add an empty line", (Edit(span.start, 1, span.start, 1, "\n"),))


def exec_form(lines: Sequence[str], given: Instruction, command: CommandLine) -> Fix | None:
    """The shell form as a JSON array, where no shell is needed for what it says."""
    if not _PLAIN.fullmatch(command.text):
        return None
    words = shlex.split(command.text)
    if not words or _BUILT_IN.fullmatch(words[0]) or "=" in words[0]:
        return None
    text = f"{given.keyword} {json.dumps(words, ensure_ascii=False)}"
    return rewritten(lines, given.span, text, title=f"Write {text}")


def author_label(lines: Sequence[str], given: Maintainer) -> Fix:
    name = "label" if given.keyword.islower() else "LABEL"
    text = f"{name} org.opencontainers.image.authors={_quoted(given.author)}"
    return rewritten(lines, given.span, text, title=f"Write {text}")


def with_equals(lines: Sequence[str], given: Instruction, pair: Pair, *, escape: str) -> Fix | None:
    """`name=value` for the old form, where it is plain how the value is to be quoted."""
    value = pair.value
    if len(quoted_words(value, escape=escape)) != 1:
        if set(value) & {"'", '"', escape}:
            return None
        value = f'"{value}"'
    text = f"{given.keyword} {pair.key}={value}"
    return rewritten(lines, given.span, text, title=f"Write {text}")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'
