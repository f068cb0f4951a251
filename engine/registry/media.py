"""Manifests and indexes: media types, parsing into values, the choice of a platform.

Sources: OCI image-spec (manifest.md, image-index.md, descriptor.md) and Docker's "Image Manifest V 2, Schema 2".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from engine.errors import InvalidParameter, ManifestUnknown
from engine.registry.platforms import host_platform, normalised, runnable
from engine.types import Digest, Platform

DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
OCI_CONFIG: Final = "application/vnd.oci.image.config.v1+json"

ACCEPTED: Final = (DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX)
"""What a request for a manifest accepts."""

MANIFEST_LIMIT: Final = 4 * 1024 * 1024
"""Bytes of the largest manifest, index or config that is read (distribution-spec: registries should take 4 MiB)."""

_LAYER_COUNT_LIMIT: Final = 500
_SIZE_LIMIT: Final = 1 << 62

_SCHEMA_1: Final = (
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)
_VAGUE: Final = ("", "application/json", "text/plain", "text/html", "application/octet-stream")


class Compression(Enum):
    """How a layer's blob is packed."""

    NONE = "tar"
    GZIP = "gzip"
    ZSTD = "zstd"
    BZIP2 = "bzip2"
    """This and the next never by a media type, but people upload archives so."""
    XZ = "xz"


_LAYERS: Final = {
    "application/vnd.docker.image.rootfs.diff.tar": Compression.NONE,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": Compression.GZIP,
    "application/vnd.docker.image.rootfs.diff.tar.zstd": Compression.ZSTD,
    "application/vnd.oci.image.layer.v1.tar": Compression.NONE,
    "application/vnd.oci.image.layer.v1.tar+gzip": Compression.GZIP,
    "application/vnd.oci.image.layer.v1.tar+zstd": Compression.ZSTD,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """What a document says of a blob (descriptor.md); `size` in bytes."""

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """An image for one platform; the lowest layer first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Images for several platforms (an OCI index, a Docker manifest list)."""

    entries: tuple[Descriptor, ...]


def parse_document(data: bytes, content_type: str) -> Manifest | Index:
    """The manifest or index that *data* holds; `content_type` is the registry's header.

    `InvalidParameter` when it is neither. A document that could be read as both is refused: two readers could then see
    two images under one digest (CVE-2021-41190).
    """
    document = _mapping(_json(data), "the manifest")
    declared = content_type.partition(";")[0].strip().lower()
    inner = document.get("mediaType", "")
    media_type = inner if declared in _VAGUE and isinstance(inner, str) else declared
    if document.get("schemaVersion") == 1 or media_type in _SCHEMA_1:
        raise InvalidParameter(
            "this is an image of Docker's manifest version 2, schema 1, which is no longer supported: "
            "push it again with a current client, as OCI or as schema 2"
        )
    if inner and inner != media_type:
        raise InvalidParameter(f"manifest says it is {inner!r}, the registry says {declared!r}: refused")
    if "manifests" in document and ("layers" in document or "config" in document):
        raise InvalidParameter("manifest is an image and an index at once: refused")
    if not media_type or media_type in _VAGUE:
        media_type = OCI_INDEX if "manifests" in document else OCI_MANIFEST
    if media_type in (DOCKER_LIST, OCI_INDEX):
        return Index(entries=tuple(_entry(each) for each in _list(document, "manifests")))
    if media_type in (DOCKER_MANIFEST, OCI_MANIFEST):
        return _manifest(document)
    raise InvalidParameter(f"unsupported manifest media type {media_type[:100]!r}")


def layer_compression(layer: Descriptor) -> Compression:
    """How the blob of *layer* is packed; `InvalidParameter` when this engine cannot or will not read it."""
    if "foreign" in layer.media_type or "nondistributable" in layer.media_type:
        raise InvalidParameter(
            f"layer {layer.digest.short} is a foreign layer ({layer.media_type}), kept outside of the registry: refused"
        )
    try:
        return _LAYERS[layer.media_type]
    except KeyError:
        raise InvalidParameter(f"unsupported media type {layer.media_type[:100]}") from None


def choose(index: Index, wanted: Platform | None) -> Descriptor:
    """The entry of *index* that runs best on *wanted*, this host by default; `ManifestUnknown` when none does."""
    target = normalised(wanted) if wanted else host_platform()
    images = [entry for entry in index.entries if entry.media_type in ACCEPTED and entry.platform]
    for candidate in runnable(target):
        for entry in images:
            if entry.platform and normalised(entry.platform) == candidate:
                return entry
    nested = [entry for entry in index.entries if entry.media_type in (DOCKER_LIST, OCI_INDEX) and not entry.platform]
    if nested:
        return nested[0]
    raise ManifestUnknown(f"no matching manifest for {target} in the manifest list entries")


def _manifest(document: Mapping[str, Any]) -> Manifest:
    config = _descriptor(document.get("config"), "config")
    if config.media_type not in (DOCKER_CONFIG, OCI_CONFIG):
        raise InvalidParameter(f"unsupported media type {config.media_type[:100]}: this is no container image")
    if config.size > MANIFEST_LIMIT:
        raise InvalidParameter(f"image config has {config.size} bytes, more than the {MANIFEST_LIMIT} allowed")
    layers = _list(document, "layers")
    if len(layers) > _LAYER_COUNT_LIMIT:
        raise InvalidParameter(f"image has {len(layers)} layers, more than the {_LAYER_COUNT_LIMIT} allowed")
    return Manifest(config=config, layers=tuple(_descriptor(each, "layer") for each in layers))


def _entry(value: object) -> Descriptor:
    entry = _descriptor(value, "manifest list entry")
    platform = _mapping(value, "manifest list entry").get("platform")
    if not isinstance(platform, dict):
        return entry
    os_name, architecture, variant = (str(platform.get(key) or "")[:64] for key in ("os", "architecture", "variant"))
    return Descriptor(
        media_type=entry.media_type,
        digest=entry.digest,
        size=entry.size,
        platform=Platform(os=os_name, architecture=architecture, variant=variant),
    )


def _descriptor(value: object, what: str) -> Descriptor:
    fields = _mapping(value, what)
    media_type, digest, size = fields.get("mediaType"), fields.get("digest"), fields.get("size")
    if not isinstance(media_type, str) or not isinstance(digest, str):
        raise InvalidParameter(f"malformed manifest: a {what} lacks its media type or digest")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < _SIZE_LIMIT:
        raise InvalidParameter(f"malformed manifest: a {what} has the size {str(size)[:40]}")
    return Descriptor(media_type=media_type, digest=Digest.parse(digest), size=size)


def _json(data: bytes) -> object:
    if len(data) > MANIFEST_LIMIT:
        raise InvalidParameter(f"manifest has more than the {MANIFEST_LIMIT} bytes allowed")
    try:
        document: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidParameter(f"malformed manifest: {error}") from error
    return document


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InvalidParameter(f"malformed manifest: {what} is no JSON object")
    return value


def _list(document: Mapping[str, Any], key: str) -> list[object]:
    value = document.get(key)
    if not isinstance(value, list):
        raise InvalidParameter(f"malformed manifest: {key!r} is no list")
    return value
