"""An image's layers, each with the instruction that made it.

An engine tells of an image in two ways that have no number in common: the layers by their diffID (`RootFS.Layers`), and
the history of instructions, of which some made no layer. Here they are brought together.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from webui.gateway import HistoryEntry, ImageDetail

_NO_LAYER: Final = frozenset(
    {"ARG", "CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD", "SHELL"}
    | {"STOPSIGNAL", "USER", "VOLUME"}
)
_BUILD_ARGUMENTS: Final = re.compile(r"^\|\d+ .*?(?=/bin/sh -c )")
_WORD: Final = re.compile(r"[A-Z]+")


@dataclass(frozen=True, slots=True)
class Step:
    """One line of an image's history, oldest first."""

    instruction: str
    """As it would stand in a Dockerfile."""
    size: int
    created: dt.datetime | None
    diff_id: str
    """Of the layer that it made; empty where it made none, or where the two cannot be brought together."""
    tags: tuple[str, ...] = ()

    @property
    def keyword(self) -> str:
        """The first word: what may be shown where the rest, which can hold secrets, may not."""
        word = self.instruction.split(" ", 1)[0]
        return word if _WORD.fullmatch(word) else ""


def steps(image: ImageDetail, history: Sequence[HistoryEntry]) -> tuple[Step, ...]:
    """The history of *image*, oldest first, with its layers where they belong."""
    entries = [(instruction(entry.created_by), entry) for entry in reversed(history)]
    makers = [at for at, (words, entry) in enumerate(entries) if _made_a_layer(words, entry)]
    surplus = len(makers) - len(image.layers)
    if surplus > 0:
        # Some of those that wrote nothing made no layer after all: WORKDIR where the directory was there already.
        empty = [at for at in makers if entries[at][1].size == 0]
        makers = [at for at in makers if at not in empty[-surplus:]]
    placed = dict(zip(makers, image.layers, strict=True)) if len(makers) == len(image.layers) else {}
    return tuple(
        Step(words, entry.size, entry.created, placed.get(at, ""), entry.tags)
        for at, (words, entry) in enumerate(entries)
    )


def chain(layers: Sequence[str]) -> tuple[str, ...]:
    """For each layer the name of it and all below: two images share a layer only with everything under it."""
    names, below = [], ""
    for layer in layers:
        below = hashlib.sha256(f"{below} {layer}".encode()).hexdigest()
        names.append(below)
    return tuple(names)


def instruction(created_by: str) -> str:
    """What a builder wrote into the history, as it would stand in a Dockerfile."""
    text = _BUILD_ARGUMENTS.sub("", created_by.strip()).removesuffix("# buildkit").strip()
    if text.startswith("/bin/sh -c #(nop)"):
        return text.removeprefix("/bin/sh -c #(nop)").strip()
    if text.startswith("RUN /bin/sh -c "):
        return "RUN " + text.removeprefix("RUN /bin/sh -c ").strip()
    if text.startswith("RUN |"):
        return "RUN " + re.sub(r"^RUN \|\d+ .*?/bin/sh -c ", "", text).strip()
    if text.startswith("/bin/sh -c "):
        return "RUN " + text.removeprefix("/bin/sh -c ").strip()
    return text


def _made_a_layer(words: str, entry: HistoryEntry) -> bool:
    return entry.size > 0 or words.split(" ", 1)[0] not in _NO_LAYER
