"""Checks what lies in the stores against its digests and the rows, and puts right what can be (`engine check`).

A blob is hashed. A layer's files are packed and hashed; what is not of this engine's own packing is unpacked again from
its blob, and both trees must give the same archive. Nothing else may use the stores meanwhile.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.errors import EngineError
from engine.images import damage
from engine.images.config import parse_config
from engine.images.decompress import decompressed
from engine.images.stores import ImageStores
from engine.registry.media import MANIFEST_LIMIT, Compression
from engine.snapshots.packing import pack_directory
from engine.types import Digest

_CHUNK: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as it should be."""

    what: str
    """`blob sha256:…`, `layer sha256:…`, `image sha256:…`."""
    problem: str
    repaired: str = ""
    """What was done about it; empty when nothing could be, or should not be."""

    def __str__(self) -> str:
        return f"{self.what}: {self.problem}" + (f"; {self.repaired}" if self.repaired else "")


class Inspection:
    """One check of *stores*. With *repair* it changes them."""

    def __init__(self, stores: ImageStores, *, repair: bool) -> None:
        self._stores = stores
        self._records = stores.records
        self._repair = repair

    def run(self) -> Iterator[Finding]:
        """Every finding, as it is found. Blobs come first: layers are made anew of the good ones only."""
        yield from self._blobs()
        yield from self._images()
        yield from self._layers()
        yield from self._leftovers()

    def _blobs(self) -> Iterator[Finding]:
        configs, _ = self._records.needs()
        for digest in sorted(self._records.needed_blobs()):
            problem = damage.problem(self._stores.content, digest)
            if not problem:
                continue
            if digest in configs:
                yield Finding(
                    what=f"blob {digest}", problem=f"the config of an image {problem}", repaired=self._removed(digest)
                )
                continue
            repaired = ""
            if self._repair:
                damage.forget(self._stores, digest)
                repaired = damage.FORGOTTEN
            yield Finding(what=f"blob {digest}", problem=problem, repaired=repaired)

    def _images(self) -> Iterator[Finding]:
        for record in self._records.all():
            if damage.problem(self._stores.content, record.id):
                continue  # told already
            try:
                parsed = parse_config(self._stores.content.read(record.id, limit=MANIFEST_LIMIT))
            except EngineError as error:
                yield Finding(what=f"image {record.id}", problem=str(error), repaired=self._removed(record.id))
                continue
            if parsed.diff_ids != record.diff_ids:
                problem = "its rows name other layers than its config"
                yield Finding(what=f"image {record.id}", problem=problem, repaired=self._removed(record.id))

    def _layers(self) -> Iterator[Finding]:
        for diff_id in sorted(self._records.needed_layers()):
            problem = self._layer_problem(diff_id)
            if not problem:
                continue
            repaired = self._made_anew(diff_id) if self._repair else ""
            yield Finding(what=f"layer {diff_id}", problem=problem, repaired=repaired)

    def _leftovers(self) -> Iterator[Finding]:
        blobs = self._stores.content.digests() - self._records.needed_blobs()
        layers = self._stores.layers.diff_ids() - self._records.needed_layers()
        if self._repair:
            self._stores.collector.collect(blobs | layers)
        for what, digests in (("blob", blobs), ("layer", layers)):
            for digest in sorted(digests):
                yield Finding(
                    what=f"{what} {digest}", problem="no image needs it", repaired="removed" if self._repair else ""
                )

    def _layer_problem(self, diff_id: Digest) -> str:
        layers = self._stores.layers
        if not layers.has(diff_id):
            return "is missing"
        try:
            if _fingerprint(layers.diff(diff_id), dated=True) == diff_id:
                return ""  # packed by this engine, or as it would
            blob = self._good_blob(diff_id)
            if blob is None:
                return "its files have changed, or cannot be compared: no compressed copy is left"
            with self._stores.content.open(blob) as file, layers.unpack(expected=diff_id) as again:
                for chunk in decompressed(file, Compression.NONE, limits=layers.limits):
                    again.write(chunk)
                again.verify()
                same = _fingerprint(again.files, dated=False) == _fingerprint(layers.diff(diff_id), dated=False)
        except (EngineError, OSError) as error:
            return f"cannot be compared with its compressed copy: {error}"
        return "" if same else "its files have changed"

    def _made_anew(self, diff_id: Digest) -> str:
        layers, blob = self._stores.layers, self._good_blob(diff_id)
        if blob is None:
            if layers.has(diff_id):
                return ""  # changed files are better than none: containers may use them
            for image_id in self._records.images_with_layer(diff_id):
                self._removed(image_id)
            return "the images with it have been removed: pull or build them again"
        with self._stores.content.open(blob) as file, layers.unpack(expected=diff_id) as again:
            for chunk in decompressed(file, Compression.NONE, limits=layers.limits):
                again.write(chunk)
            again.replace() if layers.has(diff_id) else again.commit()
        return "made anew from its compressed copy"

    def _good_blob(self, diff_id: Digest) -> Digest | None:
        content, blobs = self._stores.content, self._records.blobs_of_layer(diff_id)
        return next((blob for blob in blobs if not damage.problem(content, blob)), None)

    def _removed(self, image_id: Digest) -> str:
        if not self._repair:
            return ""
        record = self._records.get(image_id)
        names = ", ".join(each.familiar for each in record.references) if record else ""
        # Its layers stay for containers that have them; without any, the engine's next start removes all of it.
        self._records.retire(image_id)
        return f"the image ({names or 'no name'}) has been removed: pull or build it again"


def _fingerprint(files: Path, *, dated: bool) -> Digest:
    """The digest of the archive that the tree *files* is packed into."""
    digest = hashlib.sha256()
    root = os.open(files, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for chunk in pack_directory(root, layer=True, dated=dated):
            digest.update(chunk)
    finally:
        os.close(root)
    return Digest("sha256:" + digest.hexdigest())
