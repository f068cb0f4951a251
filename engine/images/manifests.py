"""An image as registries and archives hold it: its manifest, its config and its compressed layers, all in the store.

The very manifest that an image came with is used where all of its blobs are here. Else one is made: Docker's schema 2,
or OCI's where a layer is packed in a way that schema 2 has no word for. The same blobs give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from engine.errors import DigestMismatch, EngineFault, ImageNotFound, InvalidParameter
from engine.images import damage
from engine.images.decompress import sniff
from engine.images.ingest import compressed
from engine.images.stores import ImageStores
from engine.registry import media
from engine.registry.media import Compression, Descriptor, Manifest, parse_document
from engine.snapshots.packing import pack_directory
from engine.types import Digest

_DOCKER_LAYERS: Final = {
    Compression.NONE: "application/vnd.docker.image.rootfs.diff.tar",
    Compression.GZIP: "application/vnd.docker.image.rootfs.diff.tar.gzip",
}
_OCI_LAYERS: Final = {
    Compression.NONE: "application/vnd.oci.image.layer.v1.tar",
    Compression.GZIP: "application/vnd.oci.image.layer.v1.tar+gzip",
    Compression.ZSTD: "application/vnd.oci.image.layer.v1.tar+zstd",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Packaged:
    """An image with everything that a registry wants of it."""

    image: Digest
    media_type: str
    data: bytes
    """The manifest, byte for byte."""
    manifest: Manifest
    diff_ids: tuple[Digest, ...]
    """Of the manifest's layers, in its order."""

    @property
    def digest(self) -> Digest:
        return Digest.of(self.data)


def package(stores: ImageStores, image_id: Digest, *, hold: ExitStack, check: Callable[[], None]) -> Packaged:
    """The image with its manifest; its blobs stay while *hold* is open. A layer without a blob is packed anew."""
    hold.enter_context(stores.collector.holding({image_id}))
    rows = stores.records.layers(image_id)
    if stores.records.get(image_id) is None:
        raise ImageNotFound(image_id)
    diff_ids = tuple(diff_id for diff_id, _ in rows)
    kept = stores.records.blobs(image_id)
    hold.enter_context(stores.collector.holding({*kept, *diff_ids}))
    for digest in sorted(kept - {image_id} - {blob for _, blob in rows if blob}):
        own = _own_manifest(stores, digest, image_id, len(diff_ids))
        if own is not None:
            media_type, data, manifest = own
            return Packaged(image=image_id, media_type=media_type, data=data, manifest=manifest, diff_ids=diff_ids)
    blobs = {diff_id: blob or _repack(stores, diff_id, hold=hold, check=check) for diff_id, blob in rows}
    return _made(stores, image_id, diff_ids, [blobs[diff_id] for diff_id in diff_ids])


def _own_manifest(
    stores: ImageStores, digest: Digest, image_id: Digest, layers: int
) -> tuple[str, bytes, Manifest] | None:
    """The blob *digest*, if it is a manifest of the image whose blobs are all here; `DigestMismatch` when one of these
    has been cut off."""
    if not stores.content.has(digest) or stores.content.size(digest) > media.MANIFEST_LIMIT:
        return None
    try:
        data = stores.content.read(digest, limit=media.MANIFEST_LIMIT)
        manifest = parse_document(data, "")
    except (InvalidParameter, DigestMismatch):
        return None
    if not isinstance(manifest, Manifest) or manifest.config.digest != image_id or len(manifest.layers) != layers:
        return None
    if not all(stores.content.has(layer.digest) for layer in manifest.layers):
        return None
    for layer in manifest.layers:
        if stores.content.size(layer.digest) != layer.size:
            damage.require_whole(stores, layer.digest)
            return None  # it is the manifest that is wrong
    declared = json.loads(data).get("mediaType")
    docker = manifest.config.media_type == media.DOCKER_CONFIG
    return declared or (media.DOCKER_MANIFEST if docker else media.OCI_MANIFEST), data, manifest


def _made(stores: ImageStores, image_id: Digest, diff_ids: tuple[Digest, ...], blobs: list[Digest]) -> Packaged:
    packing = {blob: _compression(stores, blob) for blob in blobs}
    docker = all(each in _DOCKER_LAYERS for each in packing.values())
    words = _DOCKER_LAYERS if docker else _OCI_LAYERS
    config = Descriptor(
        media_type=media.DOCKER_CONFIG if docker else media.OCI_CONFIG,
        digest=image_id,
        size=stores.content.size(image_id),
    )
    layers = tuple(
        Descriptor(media_type=words[packing[blob]], digest=blob, size=stores.content.size(blob)) for blob in blobs
    )
    media_type = media.DOCKER_MANIFEST if docker else media.OCI_MANIFEST
    document = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": _described(config),
        "layers": [_described(layer) for layer in layers],
    }
    return Packaged(
        image=image_id,
        media_type=media_type,
        data=json.dumps(document, indent=3).encode(),
        manifest=Manifest(config=config, layers=layers),
        diff_ids=diff_ids,
    )


def _repack(stores: ImageStores, diff_id: Digest, *, hold: ExitStack, check: Callable[[], None]) -> Digest:
    """Make the blob of a layer of this engine's own making from its files, and note it with the images that use it."""
    with stores.locks.locked(diff_id, check=check):
        known = next(iter(stores.records.blobs_of_layer(diff_id)), None)
        if known is not None:
            hold.enter_context(stores.collector.holding({known}))
            return known
        digest = hashlib.sha256()
        root = os.open(stores.layers.diff(diff_id), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with stores.content.writer() as blob:
                for chunk in compressed(pack_directory(root, layer=True), blob):
                    check()
                    digest.update(chunk)
                if "sha256:" + digest.hexdigest() != diff_id:
                    raise DigestMismatch(
                        f"layer {diff_id.short} has no compressed copy, and its files do not give its digest any more: "
                        "its image cannot be pushed or saved; pull or build it again"
                    )
                hold.enter_context(stores.collector.holding({blob.digest}))
                packed = blob.commit()
        finally:
            os.close(root)
        stores.records.keep_blob(diff_id, packed)
        return packed


def _compression(stores: ImageStores, blob: Digest) -> Compression:
    with stores.content.open(blob) as file:
        compression = sniff(file.read(8), Compression.NONE)
    if compression not in _OCI_LAYERS:
        raise EngineFault(f"blob {blob.short} is packed as {compression.value}, which no registry takes")
    return compression


def _described(descriptor: Descriptor) -> dict[str, object]:
    return {"mediaType": descriptor.media_type, "size": descriptor.size, "digest": descriptor.digest}
