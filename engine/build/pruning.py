"""What builds leave behind to be used again: listed, and removed where nobody needs it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from engine.build.cache import BuildCache, Entry
from engine.build.cachemounts import CacheMounts
from engine.errors import EngineError, InvalidParameter
from engine.images.model import Image
from engine.images.removal import InUse
from engine.images.service import ImageService
from engine.snapshots.layers import LayerStore
from engine.types import Digest, parse_until

Filters = Mapping[str, Collection[str]]

STEP: Final = "regular"
MOUNT: Final = "exec.cachemount"
"""Kinds, in BuildKit's words."""
_KNOWN: Final = frozenset({"until", "unused-for", "id", "type", "description", "inuse"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Something that is kept (Docker Engine API, `BuildCache`)."""

    id: str
    kind: str
    parent: str = ""
    description: str
    size: int
    created: int
    used: int
    uses: int
    in_use: bool
    """Whether an image with a name, a container or a build needs it."""
    image: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    ids: tuple[str, ...]
    reclaimed: int
    """Bytes of layers and of directories that are gone."""


class Pruning:
    def __init__(
        self, *, cache: BuildCache, mounts: CacheMounts, images: ImageService, layers: LayerStore, in_use: InUse
    ) -> None:
        self._cache = cache
        self._mounts = mounts
        self._images = images
        self._layers = layers
        self._in_use = in_use

    def kept(self) -> Sequence[Kept]:
        """Everything, the last used first."""
        needed = self._needed(results=False)
        steps = [_step(entry, needed) for entry in self._cache.all()]
        mounts = [
            Kept(
                id=each.id,
                kind=MOUNT,
                description=f"cached mount {each.name}",
                size=each.size,
                created=each.created,
                used=each.used,
                uses=each.uses,
                in_use=each.in_use,
            )
            for each in self._mounts.all()
        ]
        return sorted([*steps, *mounts], key=lambda kept: kept.used, reverse=True)

    def prune(self, *, every: bool, filters: Filters, keep: int) -> Pruned:
        """Remove steps that no image needs, and directories of mounts; down to *keep* bytes, the longest unused first.

        An image needs its steps when it has a name, a container, or was what a build was for; with *every*, only names
        and containers count, and the entries of steps that stay as layers of images go too. Filters: `until` and
        `unused-for` (a time, or a duration back from now), `id`, `type`, `description`, `inuse`.
        """
        unknown = set(filters) - _KNOWN
        if unknown:
            raise InvalidParameter(f"invalid filter '{min(unknown)[:60]}': known are {', '.join(sorted(_KNOWN))}")
        needed = self._needed(results=not every)
        found = [each for each in self.kept() if _matches(each, filters)]
        loose = [each for each in found if not (each.in_use if each.image is None else each.image in needed)]
        total = sum(each.size for each in loose)
        chosen = []
        for each in reversed(loose):
            if keep and total <= keep:
                break
            chosen.append(each)
            total -= each.size
        before = self._layers.diff_ids()
        sizes = {diff_id: self._layers.size(diff_id) for diff_id in before}
        self._remove(chosen)
        if every and not keep:
            rest = [each for each in found if each.image is not None and each.image in needed]
            self._cache.remove([each.id for each in rest])
            chosen += rest
        reclaimed = sum(sizes[diff_id] for diff_id in before - self._layers.diff_ids())
        reclaimed += sum(each.size for each in chosen if each.image is None)
        return Pruned(ids=tuple(each.id for each in chosen), reclaimed=reclaimed)

    def _remove(self, chosen: Sequence[Kept]) -> None:
        self._mounts.remove([each.id for each in chosen if each.image is None])
        self._cache.remove([each.id for each in chosen if each.image is not None])
        doomed = {each.image for each in chosen if each.image is not None}
        by_id = {image.id: image for image in self._images.list(all=True)}
        # Those on top first: an image with others on top of it cannot go.
        found = [by_id[each] for each in doomed if each in by_id]
        for image in sorted(found, key=lambda each: len(list(_lineage(each, by_id))), reverse=True):
            with suppress(EngineError):  # another build has just begun to use it
                self._images.remove(str(image.id), prune=False, in_use=self._in_use)

    def _needed(self, *, results: bool) -> set[Digest]:
        """Images with a name or a container, and what they were made of; with *results*, what builds were for too."""
        by_id = {image.id: image for image in self._images.list(all=True)}
        kept = {entry.image for entry in self._cache.all() if entry.result} if results else set()
        known = {entry.image for entry in self._cache.all()}
        needed: set[Digest] = set()
        for image in by_id.values():
            if image.tags or image.digests or image.id in kept or image.id not in known or self._in_use(image.id):
                needed |= set(_lineage(image, by_id))
        return needed


def _lineage(image: Image, by_id: Mapping[Digest, Image]) -> Iterable[Digest]:
    current: Image | None = image
    while current is not None:
        yield current.id
        current = by_id.get(current.parent) if current.parent else None


def _step(entry: Entry, needed: Collection[Digest]) -> Kept:
    return Kept(
        id=entry.key,
        kind=STEP,
        parent=entry.parent,
        description=entry.instruction,
        size=entry.size,
        created=entry.created,
        used=entry.used,
        uses=entry.uses,
        in_use=entry.image in needed,
        image=entry.image,
    )


def _matches(kept: Kept, filters: Filters) -> bool:
    for text in (*filters.get("until", ()), *filters.get("unused-for", ())):
        if kept.used > parse_until(text):
            return False
    for name, value in (("id", kept.id), ("type", kept.kind), ("description", kept.description)):
        wanted = filters.get(name)
        if wanted and not any(each in value if name == "description" else value.startswith(each) for each in wanted):
            return False
    wanted = filters.get("inuse")
    return not wanted or any(each.lower() in ("1", "true", "") for each in wanted) == kept.in_use
