"""How much of the disk images take: what they share, what is theirs alone, what would come free."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from engine.images.model import Image
from engine.images.records import ImageRecord
from engine.types import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageUsage:
    """One image. All sizes are bytes; those of layers are of their files, unpacked."""

    image: Image
    containers: int
    """How many were made from it."""
    shared: int
    """Of the layers that other images have as well."""
    unique: int
    """Of the layers that no other image has."""
    compressed: int
    """Of the compressed layers and documents that no other image has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreUsage:
    """All images together, each layer and each blob counted once; also what is kept for containers of removed ones."""

    images: tuple[ImageUsage, ...]
    layers: int
    compressed: int
    reclaimable: int
    """Of layers and blobs that only images without containers have: what removing all of these frees."""


def measured(
    images: Sequence[Image],
    *,
    layers_of: Mapping[Digest, frozenset[Digest]],
    blobs_of: Mapping[Digest, frozenset[Digest]],
    layer_size: Callable[[Digest], int],
    blob_size: Callable[[Digest], int],
    containers: Mapping[Digest, int],
) -> StoreUsage:
    """The usage of *images*, where *layers_of* and *blobs_of* tell what each image needs, also those not in *images*.

    *containers* counts, for each image that has some, those made from it.
    """
    layers, blobs = _sizes(layers_of, layer_size), _sizes(blobs_of, blob_size)
    layer_users, blob_users = _users(layers_of), _users(blobs_of)
    unused = {image_id for image_id in layers_of if not containers.get(image_id)}
    return StoreUsage(
        images=tuple(
            ImageUsage(
                image=image,
                containers=containers.get(image.id, 0),
                shared=sum(layers[each] for each in layers_of[image.id] if layer_users[each] > 1),
                unique=sum(layers[each] for each in layers_of[image.id] if layer_users[each] == 1),
                compressed=sum(blobs[each] for each in blobs_of[image.id] if blob_users[each] == 1),
            )
            for image in images
            if image.id in layers_of and image.id in blobs_of
        ),
        layers=sum(layers.values()),
        compressed=sum(blobs.values()),
        reclaimable=sum(layers[each] for each in alone(unused, layers_of))
        + sum(blobs[each] for each in alone(unused, blobs_of)),
    )


def alone(images: Collection[Digest], needs: Mapping[Digest, frozenset[Digest]]) -> frozenset[Digest]:
    """What only *images* need, by what each image *needs*."""
    kept = frozenset[Digest]().union(*(needed for image_id, needed in needs.items() if image_id not in images))
    return frozenset[Digest]().union(*(needs.get(image_id, frozenset()) for image_id in images)) - kept


def with_steps(images: Collection[Digest], records: Collection[ImageRecord]) -> set[Digest]:
    """*images* and the nameless ones that these alone were built on: they go along (`engine.images.removal`)."""
    by_id = {record.id: record for record in records}
    children: dict[Digest, set[Digest]] = {}
    for record in records:
        if record.parent is not None:
            children.setdefault(record.parent, set()).add(record.id)
    gone, pending = set(images), list(images)
    while pending:
        child = by_id.get(pending.pop())
        parent = by_id.get(child.parent) if child is not None and child.parent is not None else None
        if parent is not None and not parent.references and parent.id not in gone and children[parent.id] <= gone:
            gone.add(parent.id)
            pending.append(parent.id)
    return gone


def _sizes(needs: Mapping[Digest, frozenset[Digest]], size: Callable[[Digest], int]) -> dict[Digest, int]:
    return {digest: size(digest) for digest in frozenset().union(*needs.values())}


def _users(needs: Mapping[Digest, frozenset[Digest]]) -> Counter[Digest]:
    return Counter(digest for needed in needs.values() for digest in needed)
