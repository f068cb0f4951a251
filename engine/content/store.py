"""Blobs by digest: manifests, configs, compressed layers (OCI image-layout, "blobs").

    <root>/blobs/sha256/<64 digits>   a blob, whole and verified; read-only, never rewritten
    <root>/tmp/…                      what is being written, or waits in a spool for somebody to say what it is

A blob is written to `tmp`, checked against its digest and size on the way, fsynced and renamed; so a name under `blobs`
is a promise. The same blob may be written twice at once: the second rename replaces equal bytes.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from engine.errors import DigestMismatch, EngineFault, InvalidParameter, NotFound, StorageFull
from engine.kernel.disk import sync_directory
from engine.types import Digest

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class BlobWriter:
    """A blob on its way into the store; see `ContentStore.writer`."""

    def __init__(
        self,
        file: BinaryIO,
        *,
        expected: Digest | None,
        size: int | None,
        place: Callable[[Digest], None],
    ) -> None:
        self._file = file
        self._place = place
        self._expected = expected
        self._size = size
        self._hash = hashlib.sha256()
        self.written = 0
        """Bytes so far."""

    def write(self, data: bytes) -> None:
        """Append *data*; `DigestMismatch` beyond the promised size, `StorageFull` when it does not fit."""
        self.written += len(data)
        if self._size is not None and self.written > self._size:
            raise DigestMismatch(f"{self._name} is longer than the {self._size} bytes promised")
        self._hash.update(data)
        with _storage(self._name):
            _write_all(self._file, data)

    @property
    def digest(self) -> Digest:
        """The digest of what has been written so far: for holding the blob before its `commit`."""
        return Digest("sha256:" + self._hash.hexdigest())

    def commit(self) -> Digest:
        """Check size and digest, make the bytes durable and give the blob its name. Call it once, last."""
        digest = self.digest
        if self._size is not None and self.written != self._size:
            raise DigestMismatch(f"{self._name} has {self.written} of the {self._size} bytes promised")
        if self._expected is not None and digest != self._expected:
            raise DigestMismatch(f"blob verification failed: expected {self._expected}, got {digest}")
        with _storage(self._name):
            os.fchmod(self._file.fileno(), 0o400)
            os.fsync(self._file.fileno())
            self._place(digest)
        return digest

    @property
    def _name(self) -> str:
        return f"blob {self._expected}" if self._expected else "blob"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpooledFile:
    """A file of an upload that waits on the disk; it is neither a blob nor durable yet."""

    path: Path
    digest: Digest
    size: int

    def open(self) -> BinaryIO:
        """The file for reading, unbuffered."""
        return self.path.open("rb", buffering=0)

    def read(self, *, limit: int) -> bytes:
        """The whole of a small file; `InvalidParameter` when it has more than *limit* bytes."""
        if self.size > limit:
            raise InvalidParameter(f"a document of {self.size} bytes, more than the {limit} allowed")
        return self.path.read_bytes()


class Spool:
    """Files of an upload by arrival; see `ContentStore.spool`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._count = 0

    def add(self, chunks: Iterable[bytes]) -> SpooledFile:
        """Write *chunks* to the disk and tell their digest; `StorageFull` when they do not fit."""
        self._count += 1
        path = self._directory / str(self._count)
        digest, size = hashlib.sha256(), 0
        with path.open("xb", buffering=0) as file:
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                with _storage("an uploaded file"):
                    _write_all(file, chunk)
        return SpooledFile(path=path, digest=Digest("sha256:" + digest.hexdigest()), size=size)


class ContentStore:
    """The blobs below *root*, which is created where it is missing."""

    def __init__(self, root: Path) -> None:
        self._blobs = root / "blobs" / "sha256"
        self._temporary = root / "tmp"
        for directory in (self._blobs, self._temporary):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, digest: Digest) -> Path:
        """Where the blob is or would be."""
        return self._blobs / digest.hex

    def has(self, digest: Digest) -> bool:
        return self.path(digest).is_file()

    def size(self, digest: Digest) -> int:
        """Bytes of a blob; `NotFound` when it is not there."""
        with _present(digest):
            return self.path(digest).stat().st_size

    def open(self, digest: Digest) -> BinaryIO:
        """The blob for reading, unbuffered; `NotFound` when it is not there."""
        with _present(digest):
            return self.path(digest).open("rb", buffering=0)

    def read(self, digest: Digest, *, limit: int) -> bytes:
        """The whole of a small blob, verified; `InvalidParameter` when it has more than *limit* bytes, `DigestMismatch`
        when it has rotted on the disk."""
        with _present(digest), self.path(digest).open("rb") as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise InvalidParameter(f"blob {digest} has more than {limit} bytes")
        if (found := Digest.of(data)) != digest:
            raise DigestMismatch(f"blob {digest} is damaged: its {len(data)} bytes on the disk have the digest {found}")
        return data

    @contextmanager
    def writer(self, *, expected: Digest | None = None, size: int | None = None) -> Iterator[BlobWriter]:
        """A writer whose blob is in the store once its `commit` has returned, and leaves no trace otherwise.

        `expected` and `size` (bytes) are checked where they are given. Errors of the disk are `StorageFull` or
        `EngineFault`.
        """
        with _storage("blob"):
            descriptor, name = tempfile.mkstemp(dir=self._temporary)
        temporary = Path(name)

        def place(digest: Digest) -> None:
            temporary.rename(self.path(digest))
            sync_directory(self._blobs)

        try:
            with open(descriptor, "wb", buffering=0) as file:  # noqa: PTH123 - a descriptor, not a path
                yield BlobWriter(file, expected=expected, size=size, place=place)
        finally:
            temporary.unlink(missing_ok=True)

    @contextmanager
    def spool(self) -> Iterator[Spool]:
        """A place for the files of an upload whose digests are not known before; all that `take` left goes with it."""
        with _storage("a spool"):
            directory = Path(tempfile.mkdtemp(dir=self._temporary))
        try:
            yield Spool(directory)
        finally:
            shutil.rmtree(directory)

    def take(self, file: SpooledFile) -> None:
        """Make a spooled file a blob, under the digest that was found while it was written."""
        with _storage(f"blob {file.digest}"):
            with file.open() as opened:
                os.fchmod(opened.fileno(), 0o400)
                os.fsync(opened.fileno())
            # A link, so that the same file may be taken twice and still be read under its own name.
            staged = file.path.with_suffix(".taken")
            staged.hardlink_to(file.path)
            staged.rename(self.path(file.digest))
            staged.unlink(missing_ok=True)
            sync_directory(self._blobs)

    def put(self, data: bytes, *, expected: Digest | None = None) -> Digest:
        """Store the small blob *data*, also in the place of one that has rotted, and return its digest."""
        digest = Digest.of(data)
        if expected in (None, digest) and self._is(digest, data):
            return digest
        with self.writer(expected=expected, size=len(data)) as writer:
            writer.write(data)
            return writer.commit()

    def _is(self, digest: Digest, data: bytes) -> bool:
        try:
            with self.path(digest).open("rb") as file:
                return file.read(len(data) + 1) == data
        except FileNotFoundError:
            return False

    def remove(self, digest: Digest) -> None:
        """Remove a blob; it is no error when it is not there."""
        self.path(digest).unlink(missing_ok=True)

    def digests(self) -> set[Digest]:
        """Every blob in the store."""
        return {Digest.parse(f"sha256:{entry.name}") for entry in os.scandir(self._blobs) if len(entry.name) == 64}

    def sweep(self) -> None:
        """Remove what writers of an earlier life left behind. Call it when nothing is being written."""
        for leftover in self._temporary.iterdir():
            if leftover.is_dir():
                shutil.rmtree(leftover)
            else:
                leftover.unlink()


@contextmanager
def _present(digest: Digest) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"blob {digest} is not in the store") from error


@contextmanager
def _storage(what: str) -> Iterator[None]:
    """Turn errors of the disk into the engine's."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in _FULL:
            raise StorageFull(f"cannot write {what}: {reason}; free some space on the engine's disk") from error
        raise EngineFault(f"cannot write {what}: {reason}") from error


def _write_all(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
