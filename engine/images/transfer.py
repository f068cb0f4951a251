"""One layer on its way in: registry → sha256 → content store, and beside it → decompress → diffID → layer directory.

Two threads share the work, with a short queue between them: one waits for the network, hashes and writes the blob, the
other decompresses and feeds the unpacker. Hashing, inflating and writing all release the interpreter's lock.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Final

from engine.content.store import ContentStore
from engine.errors import Cancelled, EngineError, StorageFull
from engine.images.decompress import decompressed
from engine.images.model import LayerPhase
from engine.images.progress import ProgressBoard
from engine.registry.client import RegistryClient
from engine.registry.media import Compression, Descriptor, layer_compression
from engine.snapshots.layers import LayerStore
from engine.types import Digest

_QUEUE_LENGTH: Final = 12
"""Chunks between the two threads: 6 MiB."""

_POLL: Final = 0.1
"""Seconds after which a waiting writer looks whether it is still wanted."""


class LayerTransfer:
    """Fetches a layer and unpacks it; all or nothing."""

    def __init__(
        self, *, client: RegistryClient, content: ContentStore, layers: LayerStore, board: ProgressBoard
    ) -> None:
        self._client = client
        self._content = content
        self._layers = layers
        self._board = board

    def run(self, layer: Descriptor, diff_id: Digest, *, check: Callable[[], None]) -> None:
        """Bring *layer* in as *diff_id*. *check* is called often and may raise to give up."""
        compression = layer_compression(layer)
        feed = _Feed(check)
        download = threading.Thread(target=self._download, args=(layer, feed), name=f"pull {layer.digest.short}")
        download.start()
        try:
            with self._layers.unpack(expected=diff_id) as sink:
                for chunk in decompressed(feed, compression, limits=self._layers.limits):
                    sink.write(chunk)
                    self._board.layer(layer.digest, LayerPhase.EXTRACTING, feed.taken, layer.size)
                feed.finish()
                sink.commit()
        except (Cancelled, StorageFull):
            raise
        except (EngineError, OSError):
            # Damage in the stream is often a blob that is not what its digest says: that is the better word for it.
            feed.finish()
            raise
        finally:
            feed.abandon()
            download.join()
        self._board.layer(layer.digest, LayerPhase.COMPLETE)

    def _download(self, layer: Descriptor, feed: _Feed) -> None:
        try:
            with self._content.writer(expected=layer.digest, size=layer.size) as blob:
                for chunk in self._chunks(layer):
                    blob.write(chunk)
                    feed.put(chunk)
                    self._board.layer(layer.digest, LayerPhase.DOWNLOADING, blob.written, layer.size)
                self._board.layer(layer.digest, LayerPhase.VERIFYING)
                blob.commit()
            self._board.layer(layer.digest, LayerPhase.DOWNLOADED)
            feed.put(None)
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits for the bytes
            feed.fail(error)

    def _chunks(self, layer: Descriptor) -> Iterator[bytes]:
        """The bytes of the blob: from the store where it is whole, else from the registry."""
        if self._content.has(layer.digest):
            with self._content.open(layer.digest) as file:
                while chunk := file.read(512 * 1024):
                    yield chunk
        else:
            yield from self._client.blob(layer)


def unpack_stored(content: ContentStore, layers: LayerStore, blob: Digest, diff_id: Digest) -> None:
    """Make the layer *diff_id* anew from its blob in the content store."""
    with content.open(blob) as file, layers.unpack(expected=diff_id) as sink:
        for chunk in decompressed(file, Compression.NONE, limits=layers.limits):
            sink.write(chunk)
        sink.commit()


class _Feed:
    """The bytes between the two threads. Their end comes after the blob has been verified and stored, or an error."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._queue: queue.Queue[bytes | BaseException | None] = queue.Queue(_QUEUE_LENGTH)
        self._check = check
        self._abandoned = threading.Event()
        self._over = False
        self.taken = 0
        """Bytes that the reader has had."""

    def put(self, item: bytes | None) -> None:
        """Hand on bytes, in the end `None`. `Cancelled` when nobody reads any more."""
        while True:
            if self._abandoned.is_set():
                raise Cancelled("the layer is wanted no more")
            self._check()
            if self._offered(item):
                return

    def fail(self, error: BaseException) -> None:
        """Hand on *error*, unless nobody reads any more."""
        while not self._abandoned.is_set() and not self._offered(error):
            pass

    def read(self, _size: int = -1, /) -> bytes:
        """The next chunk, whatever its length; empty at the end. Raises the error that the writer met."""
        self._check()
        if self._over:
            return b""
        item = self._queue.get()
        if isinstance(item, bytes):
            self.taken += len(item)
            return item
        self._over = True
        if item is not None:
            raise item
        return b""

    def finish(self) -> None:
        """Read to the end and forget: afterwards the blob is verified and in the store."""
        while self.read():
            pass

    def abandon(self) -> None:
        """Let the writer stop."""
        self._abandoned.set()

    def _offered(self, item: bytes | BaseException | None) -> bool:
        try:
            self._queue.put(item, timeout=_POLL)
        except queue.Full:
            return False
        return True
