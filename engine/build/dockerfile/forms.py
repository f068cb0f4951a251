"""The forms that the words behind an instruction take: JSON or not, pairs, a command for a shell."""

from __future__ import annotations

import json

from engine.build.dockerfile.errors import Mistake
from engine.build.dockerfile.model import CommandLine, Pair
from engine.build.dockerfile.words import GAP, SPACE, quoted_words
from engine.types import well_formed


def json_words(text: str) -> tuple[str, ...] | None:
    """The words of a JSON array of texts, `None` where *text* is no JSON array; `Mistake` when it holds other things.

    What only looks like an array, with single quotes for instance, is words for a shell: Docker takes it so.
    """
    text = text.lstrip(SPACE)
    if not text.startswith("["):
        return None
    try:
        values = json.loads(text, parse_int=float)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(value, str) for value in values):
        raise Mistake("when using JSON array syntax, arrays must be comprised of strings only", token=text[:40])
    return tuple(map(well_formed, values))


def command(text: str) -> CommandLine:
    """The exec form where *text* is a JSON array, else the shell form."""
    words = json_words(text)
    if words is not None:
        return CommandLine(words, shell_form=False)
    return CommandLine((text,) if text else (), shell_form=True)


def words(text: str) -> tuple[str, ...]:
    """The words of a JSON array, or those between white space, in which quotes mean nothing."""
    found = json_words(text)
    if found is not None:
        return found
    return tuple(GAP.split(text)) if text else ()


def pairs(text: str, *, instruction: str, escape: str) -> tuple[Pair, ...]:
    """`name=value …`, or the old form `name the value`; `Mistake` for what is neither."""
    found = quoted_words(text, escape=escape)
    if not found:
        raise Mistake(f"{instruction} requires at least one argument")
    if "=" not in found[0]:
        name, *rest = GAP.split(text, maxsplit=1)
        if not rest:
            raise Mistake(f"{instruction} must have two arguments", token=name)
        return (Pair(name, rest[0], legacy=True),)
    result: list[Pair] = []
    for word in found:
        name, equals, value = word.partition("=")
        if not equals:
            raise Mistake(
                f'Syntax error - can\'t find = in "{word[:200]}". Must be of the form: name=value', token=word[:200]
            )
        if not name:
            raise Mistake(f"{instruction} names can not be blank", token=word[:200])
        result.append(Pair(name, value))
    return tuple(result)
