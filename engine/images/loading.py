"""Images from an archive: Docker's (`manifest.json`) or an OCI layout (`index.json`), or both in one.

Docker's list decides which images there are and what they are called, where the archive has one; the layout then only
adds the images' own manifests, so that a later push has the digest of the first. Sources: Docker image-spec v1.2,
"Combined Image JSON + Filesystem Changeset Format"; OCI image-spec, image-layout.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, replace
from threading import Event
from typing import Any, Final

from engine.content.store import SpooledFile
from engine.errors import Cancelled, DigestMismatch, EngineError, InvalidParameter
from engine.images.archive import Archive
from engine.images.config import ParsedConfig, parse_config
from engine.images.ingest import ingest
from engine.images.model import Loaded, LoadPhase
from engine.images.progress import ProgressBoard
from engine.images.stores import ImageStores
from engine.registry.media import MANIFEST_LIMIT, Descriptor, Index, Manifest, choose, parse_document
from engine.registry.reference import Reference
from engine.types import Digest, printable

PARALLEL_LAYERS: Final = 2
"""Layers that are unpacked at once; each keeps a helper and a decompressor busy."""

_IMAGE_LIMIT: Final = 1000
_INDEX_DEPTH: Final = 3
_MANIFEST: Final = "manifest.json"
_INDEX: Final = "index.json"
_NAME: Final = "io.containerd.image.name"
_REF_NAME: Final = "org.opencontainers.image.ref.name"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """An image in the archive."""

    config: SpooledFile
    parsed: ParsedConfig
    layers: tuple[SpooledFile, ...]
    """Lowest first, one for each diffID."""
    names: tuple[Reference, ...] = ()
    manifest: SpooledFile | None = None
    """Its own manifest, where the archive has it."""
    blobs: frozenset[Digest] = frozenset()
    """The layers' blobs that this manifest names."""


def load(archive: Archive, stores: ImageStores, *, board: ProgressBoard, check: Callable[[], None]) -> Iterator[Loaded]:
    """Bring every image of *archive* in, each whole or not at all, and tell of each name that it brought."""
    for found in _images(archive):
        yield from _load_one(found, stores, board=board, check=check)


def _load_one(
    found: _Found, stores: ImageStores, *, board: ProgressBoard, check: Callable[[], None]
) -> Sequence[Loaded]:
    image_id, diff_ids = found.config.digest, found.parsed.diff_ids
    with ExitStack() as hold:
        hold.enter_context(stores.collector.holding({image_id, *diff_ids}))
        unique = dict(zip(diff_ids, found.layers, strict=True))
        blobs = _ingest_all(unique, found.blobs, stores, hold=hold, board=board, check=check)
        kept = {image_id, *(blob for blob in blobs.values() if blob is not None)}
        stores.content.take(found.config)
        if found.manifest is not None:
            hold.enter_context(stores.collector.holding({found.manifest.digest}))
            stores.content.take(found.manifest)
            kept.add(found.manifest.digest)
        check()
        with stores.database.transaction():
            before = {name: stores.records.resolve(name) for name in found.names}
            stores.records.add(
                image_id,
                size=sum(stores.layers.size(diff_id) for diff_id in unique),
                layers=[(diff_id, blobs[diff_id]) for diff_id in diff_ids],
                blobs=kept,
            )
            for name in found.names:
                stores.records.refer(name, image_id)
    if not found.names:
        return [Loaded(image=image_id)]
    return [
        Loaded(
            image=image_id,
            name=name.familiar,
            instead_of=before[name] if before[name] != image_id else None,
        )
        for name in found.names
    ]


def _ingest_all(
    layers: Mapping[Digest, SpooledFile],
    wanted: frozenset[Digest],
    stores: ImageStores,
    *,
    hold: ExitStack,
    board: ProgressBoard,
    check: Callable[[], None],
) -> dict[Digest, Digest | None]:
    """The blob of each layer, after all have been unpacked."""
    failed = Event()

    def stop() -> None:
        check()
        if failed.is_set():
            raise Cancelled("another layer of the image failed")

    def one(number: int, diff_id: Digest, file: SpooledFile) -> Digest | None:
        known = stores.layers.has(diff_id)

        def progress(read: int) -> None:
            if not known:
                board.layer(diff_id, LoadPhase.LOADING, read, file.size)

        try:
            return ingest(stores, file, diff_id, keep=file.digest in wanted, hold=hold, progress=progress, check=stop)
        except DigestMismatch as error:
            failed.set()
            raise DigestMismatch(f"invalid diffID for layer {number}: {error}") from error
        except BaseException:
            failed.set()
            raise

    with ThreadPoolExecutor(PARALLEL_LAYERS, thread_name_prefix="load") as pool:
        tasks = {
            diff_id: pool.submit(one, number, diff_id, file) for number, (diff_id, file) in enumerate(layers.items())
        }
        wait(tasks.values(), return_when=FIRST_EXCEPTION)
        pool.shutdown(cancel_futures=failed.is_set())
        failures = [error for task in tasks.values() if not task.cancelled() and (error := task.exception())]
        if failures:
            raise next((error for error in failures if not isinstance(error, Cancelled)), failures[0])
        return {diff_id: task.result() for diff_id, task in tasks.items()}


def _images(archive: Archive) -> Sequence[_Found]:
    if _MANIFEST in archive:
        found = [_docker_image(archive, entry) for entry in _entries(archive.document(_MANIFEST), _MANIFEST)]
        if _INDEX not in archive:
            return found
        manifests = _manifests(archive)
        return [
            replace(each, manifest=own[0], blobs=_layer_blobs(own[1]))
            if (own := manifests.get(each.config.digest))
            else each
            for each in found
        ]
    if _INDEX in archive:
        return _layout_images(archive)
    raise InvalidParameter(
        f"this is no archive of images: it has neither {_MANIFEST} (docker save) nor {_INDEX} (an OCI layout); "
        "a file system is imported, not loaded"
    )


def _docker_image(archive: Archive, entry: Mapping[str, Any]) -> _Found:
    name, layers, tags = entry.get("Config"), entry.get("Layers") or [], entry.get("RepoTags") or []
    if not isinstance(name, str) or not _are_texts(layers) or not _are_texts(tags):
        raise InvalidParameter(f"malformed {_MANIFEST}: an image needs Config, RepoTags and Layers")
    config = archive.file(name)
    parsed = _config(config)
    if len(layers) != len(parsed.diff_ids):
        raise InvalidParameter(
            f"invalid manifest, layers length mismatch: expected {len(parsed.diff_ids)}, got {len(layers)}"
        )
    return _Found(
        config=config,
        parsed=parsed,
        layers=tuple(archive.file(layer) for layer in layers),
        names=tuple(dict.fromkeys(_tag(text) for text in tags)),
    )


def _layout_images(archive: Archive) -> list[_Found]:
    """The images that the layout's index names; the same image under several names is one."""
    images: dict[Digest, _Found] = {}
    for entry in _entries(_field(archive.document(_INDEX), "manifests"), _INDEX):
        file, manifest = _resolve(archive, _descriptor(entry))
        config = _blob(archive, manifest.config)
        parsed = _config(config)
        if len(manifest.layers) != len(parsed.diff_ids):
            raise InvalidParameter(
                f"invalid manifest, layers length mismatch: expected {len(parsed.diff_ids)}, got {len(manifest.layers)}"
            )
        known = images.get(config.digest)
        images[config.digest] = _Found(
            config=config,
            parsed=parsed,
            layers=tuple(_blob(archive, layer) for layer in manifest.layers),
            names=tuple(dict.fromkeys([*(known.names if known else ()), *_annotated_names(entry)])),
            manifest=file,
            blobs=_layer_blobs(manifest),
        )
    return list(images.values())


def _layer_blobs(manifest: Manifest) -> frozenset[Digest]:
    return frozenset(layer.digest for layer in manifest.layers)


def _manifests(archive: Archive) -> dict[Digest, tuple[SpooledFile, Manifest]]:
    """The manifests that the layout has, by the config that each names. One that cannot be used is none."""
    found: dict[Digest, tuple[SpooledFile, Manifest]] = {}
    for entry in _entries(_field(archive.document(_INDEX), "manifests"), _INDEX):
        try:
            file, manifest = _resolve(archive, _descriptor(entry))
        except EngineError:
            continue
        found[manifest.config.digest] = file, manifest
    return found


def _resolve(archive: Archive, descriptor: Descriptor) -> tuple[SpooledFile, Manifest]:
    """The manifest that *descriptor* leads to, through indexes by this host's platform."""
    for _ in range(_INDEX_DEPTH):
        file = _blob(archive, descriptor)
        document = parse_document(file.read(limit=MANIFEST_LIMIT), descriptor.media_type)
        if not isinstance(document, Index):
            return file, document
        # An archive of one platform's image may keep the index of all.
        here = tuple(entry for entry in document.entries if f"blobs/sha256/{entry.digest.hex}" in archive)
        descriptor = choose(replace(document, entries=here), None)
    raise InvalidParameter("archive has an index of indexes without end")


def _blob(archive: Archive, descriptor: Descriptor) -> SpooledFile:
    """The blob of a layout, verified against its descriptor."""
    file = archive.file(f"blobs/sha256/{descriptor.digest.hex}")
    if file.digest != descriptor.digest or file.size != descriptor.size:
        raise DigestMismatch(
            f"archive's blob {descriptor.digest} of {descriptor.size} bytes is {file.digest} of {file.size}"
        )
    return file


def _config(file: SpooledFile) -> ParsedConfig:
    parsed = parse_config(file.read(limit=MANIFEST_LIMIT))
    if parsed.platform.os not in ("", "linux"):
        system = printable(parsed.platform.os, 40)
        raise InvalidParameter(f'cannot load {system} image: operating system "{system}" is not supported here')
    return parsed


def _descriptor(entry: Mapping[str, Any]) -> Descriptor:
    media_type, digest, size = entry.get("mediaType"), entry.get("digest"), entry.get("size")
    if not isinstance(media_type, str) or not isinstance(digest, str) or type(size) is not int:
        raise InvalidParameter(f"malformed {_INDEX}: a descriptor lacks its media type, digest or size")
    return Descriptor(media_type=media_type, digest=Digest.parse(digest), size=size)


def _annotated_names(entry: Mapping[str, Any]) -> list[Reference]:
    annotations = entry.get("annotations")
    if not isinstance(annotations, dict):
        return []
    if isinstance(name := annotations.get(_NAME), str):
        return [_tag(name)]
    name = annotations.get(_REF_NAME)
    # Alone, a tag names no repository.
    return [_tag(name)] if isinstance(name, str) and (":" in name or "/" in name) else []


def _tag(text: str) -> Reference:
    reference = Reference.parse(text)
    if reference.digest is not None:
        raise InvalidParameter(f"archive names an image {text[:200]!r}: expected a name with a tag")
    return reference


def _entries(value: object, where: str) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise InvalidParameter(f"malformed {where}: expected a list of images")
    if len(value) > _IMAGE_LIMIT:
        raise InvalidParameter(f"archive has {len(value)} images, more than the {_IMAGE_LIMIT} allowed")
    return value


def _field(document: object, name: str) -> object:
    if not isinstance(document, dict):
        raise InvalidParameter(f"malformed {_INDEX}: expected an object")
    return document.get(name)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)
