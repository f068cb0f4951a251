"""What removing images frees: the layers that no other image has."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from django.core.cache import cache

from webui import gateway
from webui.images.layers import chain, steps

_KEPT: Final = 7 * 24 * 3600
"""Seconds that the layers of an image are remembered."""


def freed(client: gateway.Client, images: Collection[gateway.ImageSummary], gone: Collection[str]) -> int:
    """Bytes that removing *gone*, by id, frees of all *images*: as the engine reckons, else by the layers of each."""
    try:
        return client.images_freed(gone)
    except gateway.NotSupported:
        return Holdings.of(client, images).own(client, gone)


@dataclass(frozen=True, slots=True)
class Holdings:
    """Which image has which layers, by the names of `layers.chain`."""

    of_image: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, client: gateway.Client, images: Collection[gateway.ImageSummary]) -> Holdings:
        """Asks for each image once, for an id stands for the same layers for good. One that goes is left out."""
        keys = {f"image-chain-{image.id}": image.id for image in images}
        known: dict[str, tuple[str, ...]] = cache.get_many(keys)
        fresh = {}
        for key in keys.keys() - known.keys():
            try:
                fresh[key] = chain(client.image(keys[key]).layers)
            except gateway.NotFound:
                continue
        cache.set_many(fresh, timeout=_KEPT)
        return cls({keys[key]: layers for key, layers in {**known, **fresh}.items()})

    def own(self, client: gateway.Client, gone: Collection[str]) -> int:
        """Bytes of the layers that only the images *gone*, by id, have; those that the engine tells no size of not."""
        kept = {name for image, names in self.of_image.items() if image not in gone for name in names}
        sizes: dict[str, int] = {}
        for image in gone:
            names = self.of_image.get(image, ())
            if set(names) - kept - sizes.keys():
                sizes |= layer_sizes(client, image)
        own = {name for image in gone for name in self.of_image.get(image, ())} - kept
        return sum(sizes.get(name, 0) for name in own)


def layer_sizes(client: gateway.Client, image: str) -> dict[str, int]:
    """The size of each layer of an image that its history tells, by the names of `layers.chain`."""
    detail = client.image(image)
    by_diff_id = {step.diff_id: step.size for step in steps(detail, client.history(image)) if step.diff_id}
    return {
        name: by_diff_id[layer]
        for name, layer in zip(chain(detail.layers), detail.layers, strict=True)
        if layer in by_diff_id
    }
