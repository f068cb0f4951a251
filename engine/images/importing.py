"""An image from the tar of a file system, as `docker export` makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from engine.errors import InvalidParameter
from engine.images.assembly import add_document
from engine.images.decompress import Source, decompressed
from engine.images.ingest import compressed
from engine.images.stores import ImageStores
from engine.registry.media import Compression
from engine.registry.platforms import native_platform, normalised
from engine.registry.reference import Reference
from engine.types import Digest, Platform, now, printable, rfc3339


def import_image(
    source: Source,
    stores: ImageStores,
    *,
    config: Mapping[str, Any],
    message: str,
    platform: Platform | None,
    reference: Reference | None,
    check: Callable[[], None],
) -> Digest:
    """The id of a new image of one layer, the tar *source*, which may be compressed, with *config* as in its JSON.

    When it fails nothing stays.
    """
    target = normalised(platform) if platform else native_platform()
    if target.os != "linux":
        raise InvalidParameter(f'"{printable(target.os, 40)}": operating system is not supported')
    with ExitStack() as hold:
        with stores.layers.unpack() as layer, stores.content.writer() as blob:
            for chunk in compressed(
                _checked(decompressed(source, Compression.NONE, limits=stores.layers.limits), check), blob
            ):
                layer.write(chunk)
            hold.enter_context(stores.collector.holding({layer.digest, blob.digest}))
            diff_id, packed = layer.commit(), blob.commit()
        created = rfc3339(now())
        document = {
            "architecture": target.architecture,
            # The processor's level is no property of the files: only what was asked for is told.
            **({"variant": target.variant} if platform and target.variant else {}),
            "os": target.os,
            "created": created,
            "comment": message,
            "config": dict(config),
            "history": [{"created": created, "comment": message}],
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        }
        return add_document(stores, document, [(diff_id, packed)], reference=reference)


def _checked(chunks: Iterator[bytes], check: Callable[[], None]) -> Iterator[bytes]:
    for chunk in chunks:
        check()
        yield chunk
