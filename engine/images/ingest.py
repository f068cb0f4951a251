"""A layer from an upload into the stores: unpacked under its diffID, and kept compressed for pushes and saves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Final

from isal import isal_zlib

from engine.content.store import BlobWriter, SpooledFile
from engine.images.decompress import STEP, decompressed, sniff
from engine.images.stores import ImageStores
from engine.registry.media import Compression
from engine.types import Digest

_GZIP: Final = 31
"""zlib's `wbits` for a gzip header and trailer; without a time, so that the same files give the same blob."""
_LEVEL: Final = 1
_KEPT: Final = (Compression.GZIP, Compression.ZSTD)
"""How registries and their clients know compressed layers."""


def ingest(
    stores: ImageStores,
    file: SpooledFile,
    diff_id: Digest,
    *,
    keep: bool,
    hold: ExitStack,
    progress: Callable[[int], None],
    check: Callable[[], None],
) -> Digest | None:
    """Make the spooled *file* the layer *diff_id*, unless that is here, and return its blob.

    The file is kept as it came where a manifest wants it so (*keep*) or it is compressed well; else it is compressed.
    The blob is held by *hold*; *diff_id* is held by the caller. `None` for a layer that is here without a blob.
    *progress* hears how many bytes of the file have been read. `DigestMismatch` when it holds another layer.
    """
    with stores.locks.locked(diff_id, check=check):
        if stores.layers.has(diff_id):
            progress(file.size)
            return kept_blob(stores, diff_id, hold)
        with file.open() as opened:
            start = opened.read(8)
            opened.seek(0)
            compression = sniff(start, Compression.NONE)
            source = decompressed(_Watched(opened.read, progress, check), compression, limits=stores.layers.limits)
            with stores.layers.unpack(expected=diff_id) as layer:
                if keep or compression in _KEPT:
                    for chunk in source:
                        layer.write(chunk)
                    layer.commit()
                    hold.enter_context(stores.collector.holding({file.digest}))
                    stores.content.take(file)
                    return file.digest
                with stores.content.writer() as blob:
                    for chunk in compressed(source, blob):
                        layer.write(chunk)
                    layer.commit()
                    hold.enter_context(stores.collector.holding({blob.digest}))
                    return blob.commit()


def compressed(chunks: Iterator[bytes], blob: BlobWriter) -> Iterator[bytes]:
    """*chunks* as they are, after each has been written to *blob* as gzip; the same bytes give the same blob."""
    packer = isal_zlib.compressobj(_LEVEL, wbits=_GZIP)
    for chunk in chunks:
        if packed := packer.compress(chunk):
            blob.write(packed)
        yield chunk
    blob.write(packer.flush())


def kept_blob(stores: ImageStores, diff_id: Digest, hold: ExitStack) -> Digest | None:
    """A blob of a layer that some image has, held by *hold* before it is looked for."""
    for blob in stores.records.blobs_of_layer(diff_id):
        hold.enter_context(stores.collector.holding({blob}))
        if stores.content.has(blob):
            return blob
    return None


class _Watched:
    """A source that tells how much of it has been read, and gives up when it shall."""

    def __init__(
        self, read: Callable[[int], bytes | None], progress: Callable[[int], None], check: Callable[[], None]
    ) -> None:
        self._read = read
        self._progress = progress
        self._check = check
        self._total = 0

    def read(self, size: int = -1, /) -> bytes:
        self._check()
        data = self._read(STEP if size < 0 else size) or b""
        self._total += len(data)
        self._progress(self._total)
        return data
