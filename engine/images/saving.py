"""Images as an archive: an OCI layout that is Docker's archive as well (`manifest.json`), as newer dockers write it.

The compressed layers go out as they are, so nothing is packed twice, and what is loaded elsewhere keeps its digests.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Final

from engine.errors import InvalidParameter
from engine.images import damage
from engine.images.catalogue import Catalogue
from engine.images.manifests import Packaged, package
from engine.images.stores import ImageStores
from engine.registry.media import MANIFEST_LIMIT, Descriptor
from engine.registry.reference import Reference, names_all
from engine.snapshots.tar import DIRECTORY, FILE, Entry
from engine.snapshots.tar_writer import END, header, padding
from engine.types import Digest, is_id

_CHUNK: Final = 1024 * 1024
_LAYOUT: Final = {"imageLayoutVersion": "1.0.0"}


def chosen(texts: Sequence[str], stores: ImageStores, catalogue: Catalogue) -> dict[Digest, list[Reference]]:
    """The images that *texts* mean, each with the tags that go along: as in Docker, a name without a tag means all of
    its repository's, and an id none."""
    images: dict[Digest, list[Reference]] = {}
    for text in texts:
        several = names_all(text) and not is_id(text)
        record, reference = (None, None) if several else catalogue.find(text)
        if record is not None:
            tags = images.setdefault(record.id, [])
            if reference is not None and reference.digest is None and reference not in tags:
                tags.append(reference)
            continue
        found = stores.records.tags_of(Reference.parse(text))
        if not found:
            images.setdefault(catalogue.get(text).id, [])
        for tag, image_id in found:
            if tag not in (tags := images.setdefault(image_id, [])):
                tags.append(tag)
    if not images:
        raise InvalidParameter("names: name the images to save")
    return images


def packaged(
    images: dict[Digest, list[Reference]], stores: ImageStores, *, hold: ExitStack, check: Callable[[], None]
) -> list[tuple[Packaged, list[Reference]]]:
    """Everything that will be in the archive, kept in the store while *hold* is open."""
    return [(package(stores, image_id, hold=hold, check=check), tags) for image_id, tags in images.items()]


def archive(images: Sequence[tuple[Packaged, list[Reference]]], stores: ImageStores) -> Iterator[bytes]:
    """The archive in chunks of at most 1 MiB and a header; the same images give the same bytes.

    `DigestMismatch` where a blob turns out to have rotted.
    """
    for name in ("blobs", "blobs/sha256"):
        yield header(Entry(name=name.encode(), kind=DIRECTORY, mode=0o755))
    written: set[Digest] = set()
    for image, _ in images:
        for layer in image.manifest.layers:
            if layer.digest not in written:
                written.add(layer.digest)
                yield from _layer(stores, layer)
        documents = {image.image: stores.content.read(image.image, limit=MANIFEST_LIMIT), image.digest: image.data}
        for digest, data in documents.items():
            if digest not in written:
                written.add(digest)
                yield _small(_path(digest), data)
    yield _small("index.json", _json(_index(images)))
    yield _small("manifest.json", _json([_listed(image, tags) for image, tags in images]))
    yield _small("oci-layout", _json(_LAYOUT))
    yield END


def _layer(stores: ImageStores, layer: Descriptor) -> Iterator[bytes]:
    yield header(Entry(name=_path(layer.digest).encode(), kind=FILE, mode=0o644, size=layer.size))
    found = hashlib.sha256()
    with stores.content.open(layer.digest) as file:
        left = layer.size
        while left and (data := file.read(min(_CHUNK, left))):
            found.update(data)
            left -= len(data)
            yield data
    if found.hexdigest() != layer.digest.hex:
        damage.require_whole(stores, layer.digest)
    yield padding(layer.size)


def _small(name: str, data: bytes) -> bytes:
    return header(Entry(name=name.encode(), kind=FILE, mode=0o644, size=len(data))) + data + padding(len(data))


def _index(images: Sequence[tuple[Packaged, list[Reference]]]) -> dict[str, Any]:
    """One entry for each name, as other tools read it; one without a name for an image without tags."""
    entries: list[dict[str, Any]] = []
    for image, tags in images:
        entry = {"mediaType": image.media_type, "digest": image.digest, "size": len(image.data)}
        entries += [
            {
                **entry,
                "annotations": {
                    "io.containerd.image.name": str(tag),
                    "org.opencontainers.image.ref.name": tag.tag,
                },
            }
            for tag in tags
        ] or [entry]
    return {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": entries,
    }


def _listed(image: Packaged, tags: Sequence[Reference]) -> dict[str, Any]:
    return {
        "Config": _path(image.image),
        "RepoTags": [tag.familiar for tag in tags] or None,
        "Layers": [_path(layer.digest) for layer in image.manifest.layers],
    }


def _path(digest: Digest) -> str:
    return f"blobs/sha256/{digest.hex}"


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
