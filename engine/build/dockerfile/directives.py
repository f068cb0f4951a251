"""The parser directives: comments `# name=value` at the very top of a Dockerfile (Docker's reference, same title)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from engine.build.dockerfile.errors import DockerfileError, Place, locate
from engine.build.dockerfile.model import Directives, Span
from engine.build.dockerfile.words import SPACE

_DIRECTIVE: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+)")
_NAMES: Final = frozenset({"syntax", "escape", "check"})
_ESCAPES: Final = ("\\", "`")


def read(lines: Sequence[str]) -> Directives:
    """The directives of a Dockerfile. The first line that is none ends them; `#!` in the first line is passed over."""
    found: dict[str, str] = {}
    places: dict[str, Place] = {}
    count = 0
    for number, line in enumerate(lines, 1):
        text = line.strip(SPACE)
        if number == 1 and text.startswith("#!"):
            count = 1
            continue
        match = _DIRECTIVE.fullmatch(text[1:].strip(SPACE)) if text.startswith("#") else None
        name = match[1].lower() if match else ""
        if match is None or name not in _NAMES:
            break
        places[name] = locate(lines, Span(number, number), match[2])
        if name in found:
            raise DockerfileError(f"only one {name} parser directive can be used", place=places[name], lines=lines)
        found[name] = match[2]
        count = number
    escape = found.get("escape", "\\")
    if escape not in _ESCAPES:
        raise DockerfileError(
            f"invalid escape token '{escape[:40]}' does not match ` or \\", place=places["escape"], lines=lines
        )
    return Directives(
        # What follows the first word is the frontend's and the linter's own business.
        syntax=found.get("syntax", "").partition(" ")[0],
        escape=escape,
        check=found.get("check", "").partition(" ")[0],
        check_line=places["check"].line if "check" in places else 0,
        count=count,
    )
