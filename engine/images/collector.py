"""Keeps blobs and layers while somebody needs them and removes them when nobody does.

Somebody is an image's row, or a pull that is under way: it *holds* what it will need before it looks whether that is
there already, so nothing vanishes between the look and the row.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.content.store import ContentStore
from engine.errors import NotFound
from engine.images.records import ImageRecords
from engine.snapshots.layers import LayerStore
from engine.snapshots.trash import discard
from engine.types import Digest


class Collector:
    """The one place that removes blobs and layers."""

    def __init__(self, records: ImageRecords, content: ContentStore, layers: LayerStore) -> None:
        self._records = records
        self._content = content
        self._layers = layers
        self._lock = threading.RLock()
        self._held: Counter[Digest] = Counter()
        self._ended = 0
        self._depth = 0
        self._doomed: list[Path] = []
        """Layers that have lost their names: deleting a large one takes seconds, and is done without the lock."""

    @contextmanager
    def holding(self, digests: Collection[Digest]) -> Iterator[None]:
        """Keep *digests* (of blobs and of layers) while the block runs; then remove those that no image took."""
        self.hold(digests)
        try:
            yield
        finally:
            self.release(digests)

    def hold(self, digests: Iterable[Digest]) -> None:
        """Keep *digests* until they are released, as often as they are held."""
        with self._lock:
            self._held.update(digests)

    def release(self, digests: Collection[Digest]) -> None:
        """Give up holds; what no image took and nobody else holds is removed."""
        with self.quiet():
            self._held.subtract(digests)
            self._held += Counter()  # drops what is held no longer
            self._ended += 1
            self.collect(digests)

    @property
    def ended(self) -> int:
        """How many holds have ended: when it has changed, somebody may have come to use what he held."""
        with self._lock:
            return self._ended

    def held(self, digest: Digest) -> bool:
        with self._lock:
            return self._held[digest] > 0

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Nothing is collected by others, and nothing newly held, while the block runs."""
        doomed: list[Path] = []
        try:
            with self._lock:
                self._depth += 1
                try:
                    yield
                finally:
                    self._depth -= 1
                    if not self._depth:
                        doomed, self._doomed = self._doomed, doomed
        finally:
            for directory in doomed:
                discard(directory)

    def collect(self, candidates: Collection[Digest]) -> int:
        """Remove those of *candidates* that no image has and nobody holds; the bytes that this frees."""
        freed = 0
        with self.quiet():
            loose = {digest for digest in candidates if not self._held[digest]}
            if not loose:
                return 0
            for digest in loose - self._records.needed_blobs():
                with suppress(NotFound):
                    freed += self._content.size(digest)
                self._content.remove(digest)
            for diff_id in loose - self._records.needed_layers():
                if self._layers.has(diff_id):
                    freed += self._layers.size(diff_id)
                    if (doomed := self._layers.take_away(diff_id)) is not None:
                        self._doomed.append(doomed)
        return freed


class DigestLocks:
    """A lock per digest, so that two pulls of one layer fetch it once."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[Digest, tuple[threading.Lock, int]] = {}

    @contextmanager
    def locked(self, digest: Digest, *, check: Callable[[], None]) -> Iterator[None]:
        """Hold the lock of *digest*; while waiting for it, *check* is called often and may raise to give up."""
        with self._guard:
            lock, users = self._locks.get(digest, (threading.Lock(), 0))
            self._locks[digest] = lock, users + 1
        try:
            while not lock.acquire(timeout=0.1):
                check()
            try:
                yield
            finally:
                lock.release()
        finally:
            with self._guard:
                lock, users = self._locks[digest]
                if users > 1:
                    self._locks[digest] = lock, users - 1
                else:
                    del self._locks[digest]
