"""The flags of instructions, `--name=value` before their words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from engine.build.dockerfile.errors import Mistake
from engine.build.dockerfile.words import SPACE, did_you_mean


class Kind(Enum):
    SWITCH = auto()
    """`--link`, `--link=true`, `--link=false`."""
    TEXT = auto()
    """`--chown=1:1`, once."""
    TEXTS = auto()
    """`--mount=…`, as often as one likes."""


@dataclass(frozen=True, slots=True)
class Flags:
    """The values that were given."""

    values: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def text(self, name: str, default: str = "") -> str:
        return self.values.get(name, default)

    def texts(self, name: str) -> tuple[str, ...]:
        return self.lists.get(name, ())

    def switch(self, name: str) -> bool | None:
        """`None` where it was not given."""
        value = self.values.get(name)
        return None if value is None else value == "true"


def split(text: str, *, escape: str) -> tuple[list[str], str]:
    """The flags at the beginning of *text*, without their quotes and escapes, and what follows them.

    `--` alone ends them and is left out.
    """
    flags: list[str] = []
    position = 0
    while True:
        while position < len(text) and text[position] in SPACE:
            position += 1
        if not text.startswith("--", position):
            return flags, text[position:]
        word, position = _word(text, position, escape)
        if word == "--":
            return flags, text[position:]
        flags.append(word)


def parse(words: list[str], known: Mapping[str, Kind]) -> Flags:
    """The flags in *words* by the table *known*; `Mistake` for others, for one given twice, for a wrong value."""
    values: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    for word in words:
        flag, equals, value = word.partition("=")
        name = flag[2:]
        kind = known.get(name)
        if kind is None:
            raise Mistake(did_you_mean(f"unknown flag: {flag}", name, known), token=flag)
        if name in values:
            raise Mistake(f"duplicate flag specified: {flag}", token=flag)
        if (equals and not value) if kind is Kind.SWITCH else not equals:
            raise Mistake(f"missing a value on flag: {flag}", token=flag)
        if kind is Kind.TEXTS:
            lists.setdefault(name, []).append(value)
        elif kind is Kind.TEXT:
            values[name] = value
        elif value.lower() in ("", "true", "false"):
            values[name] = value.lower() or "true"
        else:
            raise Mistake(f"expecting boolean value for flag {flag}, not: {value}", token=word)
    return Flags(values, {name: tuple(found) for name, found in lists.items()})


def _word(text: str, position: int, escape: str) -> tuple[str, int]:
    """The word that begins at *position*, without quotes and escapes, and where it ends."""
    letters: list[str] = []
    quote = ""
    while position < len(text):
        sign = text[position]
        if sign == escape:
            letters.append(text[position + 1 : position + 2])
            position += 1
        elif quote:
            if sign == quote:
                quote = ""
            else:
                letters.append(sign)
        elif sign in SPACE:
            break
        elif sign in "'\"":
            quote = sign
        else:
            letters.append(sign)
        position += 1
    return "".join(letters), min(position, len(text))
