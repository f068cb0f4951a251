"""`--cache-from`: steps taken from the history of images, which may come from elsewhere.

An image's history names for each step what was done: the command with its arguments, or the digest of the files. A step
is taken where all before it are the same and its line is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.images.model import HistoryEntry, Image
from engine.types import Digest


@dataclass(frozen=True, slots=True)
class Taken:
    """A step that was found: its layer (`None` where it made none), and when it was made."""

    layer: Digest | None
    created: int | None


@dataclass(frozen=True, slots=True)
class CacheSources:
    """The images that steps may be taken from, held while the build runs; `asked` says that there was a wish at all."""

    images: Sequence[Image] = ()
    asked: bool = False

    def find(self, history: Sequence[str], layers: Sequence[Digest], created_by: str) -> Taken | None:
        """The step *created_by* after those of *history*, which have made *layers*."""
        count = len(history)
        for image in self.images:
            if len(image.history) <= count or tuple(image.diff_ids[: len(layers)]) != tuple(layers):
                continue
            before, entry = image.history[:count], image.history[count]
            if [each.created_by for each in before] != list(history) or entry.created_by != created_by:
                continue
            if sum(not each.empty_layer for each in before) != len(layers):
                continue
            if (layer := _layer(image, entry, len(layers))) is not _LOST:
                return Taken(layer, entry.created)
        return None


_LOST = Digest("")


def _layer(image: Image, entry: HistoryEntry, position: int) -> Digest | None:
    if entry.empty_layer:
        return None
    return image.diff_ids[position] if position < len(image.diff_ids) else _LOST
