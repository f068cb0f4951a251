"""Makes images here: of a container, its parent's layers and one more; of a build's step, layers that are there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from engine.content.store import ContentStore
from engine.database import Database
from engine.images.collector import Collector
from engine.images.model import Image
from engine.images.records import ImageRecords
from engine.registry.media import MANIFEST_LIMIT
from engine.registry.reference import Reference
from engine.snapshots.layers import LayerStore
from engine.types import Digest, now, rfc3339

_NOTHING: Final = Digest.of(bytes(1024))
"""The diffID of a tar without a file."""


class Assembler:
    """Puts images together in the stores."""

    def __init__(
        self,
        *,
        database: Database,
        records: ImageRecords,
        content: ContentStore,
        layers: LayerStore,
        collector: Collector,
    ) -> None:
        self._database = database
        self._records = records
        self._content = content
        self._layers = layers
        self._collector = collector

    def add_layer(
        self,
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
        with self._layers.unpack() as unpacker:
            for chunk in layer:
                unpacker.write(chunk)
            diff_id = unpacker.verify()
            with self._collector.holding({diff_id}):
                layers = self._records.layers(parent.id)
                if diff_id == _NOTHING:
                    # As Docker's: what changed no file is a line of the history alone.
                    history = {**history, "empty_layer": True}
                else:
                    unpacker.commit()
                    # No compressed copy of it: `manifests.package` makes that when somebody wants it.
                    layers.append((diff_id, None))
                created = rfc3339(now())
                document = json.loads(self._content.read(parent.id, limit=MANIFEST_LIMIT))
                document |= {
                    "created": created,
                    "author": author,
                    "comment": history.get("comment", ""),
                    **origin,
                    "config": dict(config),
                    "history": [*(document.get("history") or []), {"created": created, **history}],
                    "rootfs": {"type": "layers", "diff_ids": [str(each) for each, _ in layers]},
                }
                references = [] if reference is None else [reference]
                return self._add(document, layers, parent=parent.id, references=references)

    def add_image(
        self,
        document: Mapping[str, Any],
        *,
        parent: Digest | None,
        references: Sequence[Reference] = (),
        also: Callable[[Digest], None] | None = None,
    ) -> Digest:
        """The id of a new image whose config is *document*, and whose layers are there and held by the caller.

        *also* writes what belongs to the image's rows, in the same transaction.
        """
        blobs = dict(self._records.layers(parent)) if parent else {}
        diff_ids = [Digest(text) for text in document["rootfs"]["diff_ids"]]
        layers = [(diff_id, blobs.get(diff_id)) for diff_id in diff_ids]
        return self._add(document, layers, parent=parent, references=references, also=also)

    def _add(
        self,
        document: Mapping[str, Any],
        layers: Sequence[tuple[Digest, Digest | None]],
        *,
        parent: Digest | None,
        references: Sequence[Reference],
        also: Callable[[Digest], None] | None = None,
    ) -> Digest:
        data = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogateescape")
        image_id = Digest.of(data)
        with self._collector.holding({image_id}):
            self._content.put(data, expected=image_id)
            with self._database.transaction():
                self._records.add(
                    image_id,
                    size=sum(self._layers.size(each) for each in {diff_id for diff_id, _ in layers}),
                    layers=layers,
                    blobs={image_id, *(each for _, each in layers if each is not None)},
                    parent=parent,
                )
                for reference in references:
                    self._records.name(reference, image_id)
                if also is not None:
                    also(image_id)
        return image_id
