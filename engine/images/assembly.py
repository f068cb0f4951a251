"""Makes images here: of a container, its parent's layers and one more; of a build's step, layers that are there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from engine.errors import InvalidParameter
from engine.images.model import Image
from engine.images.stores import ImageStores
from engine.registry.media import MANIFEST_LIMIT
from engine.registry.reference import Reference
from engine.types import Digest, now, rfc3339

_NOTHING: Final = Digest.of(bytes(1024))
"""The diffID of a tar without a file."""


def add_layer(
    stores: ImageStores,
    parent: Image,
    layer: Iterator[bytes],
    *,
    config: Mapping[str, Any],
    history: Mapping[str, Any],
    author: str,
    origin: Mapping[str, Any],
    reference: Reference | None,
) -> Digest:
    """The id of a new image: *parent* (held by the caller), the tar *layer* on top, and *config*.

    *history* is the new line of its history, *origin* what the config tells of where it comes from: `container`,
    `container_config`. With *reference* it gets that name. When it fails nothing stays.
    """
    with stores.layers.unpack() as unpacker:
        for chunk in layer:
            unpacker.write(chunk)
        diff_id = unpacker.verify()
        with stores.collector.holding({diff_id}):
            layers = stores.records.layers(parent.id)
            if diff_id == _NOTHING:
                # As Docker's: what changed no file is a line of the history alone.
                history = {**history, "empty_layer": True}
            else:
                unpacker.commit()
                # No compressed copy of it: `manifests.package` makes that when somebody wants it.
                layers.append((diff_id, None))
            created = rfc3339(now())
            document = json.loads(stores.content.read(parent.id, limit=MANIFEST_LIMIT))
            document |= {
                "created": created,
                "author": author,
                "comment": history.get("comment", ""),
                **origin,
                "config": dict(config),
                "history": [*(document.get("history") or []), {"created": created, **history}],
                "rootfs": {"type": "layers", "diff_ids": [str(each) for each, _ in layers]},
            }
            return add_document(stores, document, layers, parent=parent.id, reference=reference)


def add_image(
    stores: ImageStores,
    document: Mapping[str, Any],
    *,
    parent: Digest | None,
    also: Callable[[Digest], None] | None = None,
) -> Digest:
    """The id of a new image whose config is *document*, and whose layers are there and held by the caller.

    *also* writes what belongs to the image's rows, in the same transaction.
    """
    blobs = dict(stores.records.layers(parent)) if parent else {}
    diff_ids = [Digest(text) for text in document["rootfs"]["diff_ids"]]
    layers = [(diff_id, blobs.get(diff_id)) for diff_id in diff_ids]
    return add_document(stores, document, layers, parent=parent, also=also)


def add_document(
    stores: ImageStores,
    document: Mapping[str, Any],
    layers: Sequence[tuple[Digest, Digest | None]],
    *,
    parent: Digest | None = None,
    reference: Reference | None = None,
    also: Callable[[Digest], None] | None = None,
) -> Digest:
    """Add the image whose config is *document*; its *layers*, diffID and blob each, are held by the caller.

    *also* writes what belongs to the image's rows, in the same transaction. `InvalidParameter` for a config that is too
    large to be read again.
    """
    data = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogateescape")
    if len(data) > MANIFEST_LIMIT:
        raise InvalidParameter(f"the image's config would have {len(data)} bytes, more than {MANIFEST_LIMIT}")
    image_id = Digest.of(data)
    with stores.collector.holding({image_id}):
        stores.content.put(data, expected=image_id)
        with stores.database.transaction():
            stores.records.add(
                image_id,
                size=sum(stores.layers.size(each) for each in {diff_id for diff_id, _ in layers}),
                layers=layers,
                blobs={image_id, *(each for _, each in layers if each is not None)},
                parent=parent,
            )
            if reference is not None:
                stores.records.name(reference, image_id)
            if also is not None:
                also(image_id)
    return image_id
