"""The filter box of the container list: `state:running label:app=web port:80 image:nginx` and free text.

A query is words separated by spaces; a word may be quoted. `key:value` words narrow by that key, anything else must
occur in the name, the image, the command or the id. All words must hold. A leading `-` turns a word round.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webui.gateway import ContainerSummary

LONGEST_QUERY = 500
PROJECT = "com.docker.compose.project"
"""The label by which compose tells what belongs together."""


@dataclass(frozen=True, slots=True)
class Term:
    """One word of a query: `key` is empty for free text."""

    key: str
    value: str
    negated: bool = False


def _state(container: ContainerSummary, value: str) -> bool:
    return container.state == value or (value in ("up", "on") and container.state in ("running", "paused"))


def _label(container: ContainerSummary, value: str) -> bool:
    name, separator, wanted = value.partition("=")
    return name in container.labels and (not separator or container.labels[name].casefold() == wanted)


def _port(container: ContainerSummary, value: str) -> bool:
    return any(value in (str(port.container_port), str(port.host_port)) for port in container.ports)


_KEYS: Mapping[str, Callable[[ContainerSummary, str], bool]] = {
    "state": _state,
    "label": _label,
    "port": _port,
    "project": lambda container, value: container.labels.get(PROJECT, "").casefold() == value,
    "name": lambda container, value: value in container.name.casefold(),
    "image": lambda container, value: value in container.image.casefold(),
    "id": lambda container, value: container.id.startswith(value),
    "network": lambda container, value: value in (place.network.casefold() for place in container.networks),
}

KEYS = tuple(_KEYS)


def parse(query: str) -> tuple[Term, ...]:
    """The terms of *query*. Nothing a person types is an error: a word with an unknown key is free text."""
    terms = []
    for word in _words(query[:LONGEST_QUERY]):
        negated = word.startswith("-") and len(word) > 1
        text = word[1:] if negated else word
        key, separator, value = text.partition(":")
        if separator and value and key.casefold() in _KEYS:
            terms.append(Term(key.casefold(), value.casefold(), negated))
        else:
            terms.append(Term("", text.casefold(), negated))
    return tuple(terms)


def matching(containers: Iterable[ContainerSummary], query: str, *, commands: bool = True) -> list[ContainerSummary]:
    """Those of *containers* for which every term of *query* holds, in their order.

    Without *commands* nothing is looked for in them: who may not see a password there must not find it by trying.
    """
    terms = parse(query)
    return [container for container in containers if all(_holds(term, container, commands) for term in terms)]


def _holds(term: Term, container: ContainerSummary, commands: bool) -> bool:
    if term.key:
        return _KEYS[term.key](container, term.value) is not term.negated
    texts = (container.name, container.image, container.command if commands else "")
    found = any(term.value in text.casefold() for text in texts) or container.id.startswith(term.value)
    return found is not term.negated


def _words(query: str) -> list[str]:
    try:
        return shlex.split(query)
    except ValueError:
        # A quotation mark that is not closed yet: the person is still typing.
        return query.split()
