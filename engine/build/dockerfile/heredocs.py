"""Here-documents in the lines of RUN, COPY and ADD: which there are, before their content is read."""

from __future__ import annotations

import re
from typing import Final

from engine.build.dockerfile.errors import Mistake
from engine.build.dockerfile.expansion import Dialect, expand
from engine.build.dockerfile.model import Heredoc

_SIGN: Final = re.compile(r"(\d{0,4})<<(-?)\s*([^<]*)", re.ASCII)
# A shell reads these lines, so the escape is the shell's, whatever the file's directive says.
_LINE: Final = Dialect(keep_quotes=True, keep_escapes=True, keep_unset=True)
_NAME: Final = Dialect(keep_unset=True)
_RAW_NAME: Final = Dialect(keep_unset=True, keep_quotes=True)


def in_line(line: str) -> tuple[Heredoc, ...]:
    """The here-documents that *line* announces, in their order, without content.

    A line whose quotes are not balanced announces none: the shell is left to complain.
    """
    if "<<" not in line:
        return ()
    try:
        words = expand(line, {}, _LINE).words
    except Mistake:
        return ()
    return tuple(found for word in words if (found := of_word(word)) is not None)


def of_word(word: str) -> Heredoc | None:
    """The here-document that *word* announces, `None` when it announces none."""
    match = _SIGN.fullmatch(word)
    if match is None or not match[3]:
        return None
    name = expand(match[3], {}, _NAME).words
    if len(name) != 1:
        return None
    raw = expand(match[3], {}, _RAW_NAME).text
    return Heredoc(
        name=name[0],
        content="",
        # One quoted letter is enough: nothing in it is expanded then, as in a shell.
        expand=_quotes(raw) == _quotes(name[0]),
        chomp=bool(match[2]),
        descriptor=int(match[1] or 0),
    )


def _quotes(text: str) -> int:
    return text.count("'") + text.count('"')
