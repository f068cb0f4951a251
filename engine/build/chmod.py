"""Modes as chmod(1) takes them: `755`, `u=rwX,go=rX` (POSIX.1-2017, chmod, "Extended Description")."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from engine.errors import InvalidParameter

_OCTAL: Final = re.compile(r"[0-7]{1,4}")
_CLAUSE: Final = re.compile(r"([ugoa]*)((?:[-+=][rwxXstugo]*)+)")
_ACTION: Final = re.compile(r"([-+=])([rwxXstugo]*)")
_SHIFTS: Final = {"u": 6, "g": 3, "o": 0}
_BITS: Final = {"r": 4, "w": 2, "x": 1}
_SPECIAL: Final = {"u": 0o4000, "g": 0o2000, "o": 0}


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of a file's mode. Made by `parse`."""

    text: str

    def __call__(self, mode: int, *, directory: bool) -> int:
        """The new mode of a file, or of a *directory*, that has *mode*."""
        if _OCTAL.fullmatch(self.text):
            return int(self.text, 8)
        for clause in self.text.split(","):
            match = _CLAUSE.fullmatch(clause)
            if match is None:
                raise ValueError(self.text)
            who = match[1] or "a"
            for sign, words in _ACTION.findall(match[2]):
                mode = _applied(mode, "ugo" if "a" in who else who, sign, words, directory=directory)
        return mode


def parse(text: str) -> Change:
    """The change that *text* asks for; `InvalidParameter` when it is none."""
    if not _OCTAL.fullmatch(text) and not all(_CLAUSE.fullmatch(clause) for clause in text.split(",")):
        raise InvalidParameter(
            f"invalid chmod parameter: '{text[:60]}'. it should be octal string and between 0 and 07777, "
            "or such as u=rwX,go=rX"
        )
    return Change(text)


def _applied(mode: int, who: str, sign: str, words: str, *, directory: bool) -> int:
    for each in dict.fromkeys(who):
        shift = _SHIFTS[each]
        bits = sum({_BITS[word] for word in words if word in _BITS})
        if "X" in words and (directory or mode & 0o111):
            bits |= 1
        for other in words:
            if other in _SHIFTS:
                bits |= mode >> _SHIFTS[other] & 7
        wanted = bits << shift
        wanted |= _SPECIAL[each] if "s" in words else 0
        wanted |= 0o1000 if "t" in words else 0
        if sign == "=":
            mode &= ~(7 << shift | _SPECIAL[each])
        mode = mode & ~wanted if sign == "-" else mode | wanted
    return mode
