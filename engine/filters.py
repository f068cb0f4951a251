"""Filters that come from outside: what the lists of containers, images, networks, volumes and events have in common."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Final

from engine.errors import InvalidParameter

_REPEATED_GROUP: Final = re.compile(r"\)[*+{]")
_REPETITION: Final = re.compile(r"[*+{]")
_MOST_REPETITIONS: Final = 3


def require_known(filters: Mapping[str, Collection[str]], known: Collection[str]) -> None:
    """`InvalidParameter` in Docker's words for a filter that is not among the *known*."""
    if unknown := filters.keys() - set(known):
        raise InvalidParameter(f"invalid filter '{min(unknown)[:60]}'")


def has_label(labels: Mapping[str, str], wanted: str) -> bool:
    """Whether *labels* have the one that a filter `label=` wants: `NAME`, or `NAME=VALUE`."""
    name, equals, value = wanted.partition("=")
    return name in labels and (not equals or labels[name] == value)


def labelled(labels: Mapping[str, str], filters: Mapping[str, Collection[str]]) -> bool:
    """Whether *labels* have all that the filter `label` wants, and none that `label!` does."""
    return all(has_label(labels, wanted) for wanted in filters.get("label", ())) and not any(
        has_label(labels, unwanted) for unwanted in filters.get("label!", ())
    )


def flag(text: str) -> bool | None:
    """What *text* says, yes or no; `None` where it says neither."""
    return {"1": True, "true": True, "0": False, "false": False}.get(text.lower())


def named(values: Collection[str]) -> Callable[[str], bool]:
    """Whether any of *values* is found in a name: Docker reads a filter `name=` as a regular expression.

    `InvalidParameter` for one that means nothing, or that could take for ever: unlike Go's, Python's expressions may,
    where one repetition stands in another.
    """
    for value in values:
        if _REPEATED_GROUP.search(value) or len(_REPETITION.findall(value)) > _MOST_REPETITIONS:
            raise InvalidParameter(
                f"invalid filter 'name={value[:60]}': at most {_MOST_REPETITIONS} repetitions, and none of a group"
            )
    try:
        patterns = [re.compile(value) for value in values]
    except (re.error, RecursionError, OverflowError) as error:
        raise InvalidParameter(f"invalid filter 'name={min(values)[:60]}': {error}") from error
    return lambda name: any(pattern.search(name) for pattern in patterns)
