"""An uploaded archive of images: its files on the disk, found by the names that the archive gives them.

Nothing of the archive becomes a name on this host: files are numbered in a spool, and links are followed in a table.
"""

from __future__ import annotations

import io
import json
import posixpath
from collections.abc import Callable, Iterator
from typing import Final

from engine.content.store import Spool, SpooledFile
from engine.errors import InvalidParameter
from engine.registry.media import MANIFEST_LIMIT
from engine.snapshots.tar import DIRECTORY, FILE, HARD_LINK, SYMLINK, TarError, TarReader

ENTRY_LIMIT: Final = 100_000
"""Members of the largest archive. One of 500 images with 100 layers each has 50,000."""

_HOPS: Final = 8
_BUFFER: Final = 1024 * 1024


class Archive:
    """The files and links of an archive that has been read to its end."""

    def __init__(self, files: dict[str, SpooledFile], links: dict[str, str]) -> None:
        self._files = files
        self._links = links

    @classmethod
    def read(cls, chunks: Iterator[bytes], spool: Spool, *, check: Callable[[], None]) -> Archive:
        """Take in the uncompressed tar *chunks*. The last entry of a name counts, as when a tar is unpacked.

        `InvalidParameter` for an archive that is broken, too large, or has names that climb out of it.
        """
        reader = TarReader(io.BufferedReader(_Chunks(chunks), _BUFFER))
        files: dict[str, SpooledFile] = {}
        links: dict[str, str] = {}
        try:
            for number, entry in enumerate(reader, 1):
                check()
                if number > ENTRY_LIMIT:
                    raise InvalidParameter(f"archive has more than the {ENTRY_LIMIT} entries allowed")
                name = _normal(entry.name)
                if entry.sparse:
                    raise InvalidParameter(f"archive has {name[:200]!r} as a sparse file: make it without --sparse")
                if entry.kind == FILE:
                    files[name] = spool.add(reader.copy())
                    links.pop(name, None)
                elif entry.kind in (SYMLINK, HARD_LINK):
                    base = posixpath.dirname(name) if entry.kind == SYMLINK else ""
                    links[name] = _normal(entry.link, base)
                    files.pop(name, None)
                elif entry.kind != DIRECTORY:
                    raise InvalidParameter(f"archive has {name[:200]!r}, which is neither file, directory nor link")
        except TarError as error:
            raise InvalidParameter(f"archive is refused: {error}") from error
        return cls(files, links)

    def __contains__(self, name: str) -> bool:
        return self._target(name) in self._files

    def file(self, name: str) -> SpooledFile:
        """The file that *name* means, links followed; `InvalidParameter` when the archive has none."""
        found = self._files.get(self._target(name))
        if found is None:
            raise InvalidParameter(f"archive is incomplete: it has no file {name[:200]!r}")
        return found

    def document(self, name: str) -> object:
        """The JSON document *name*, of at most `MANIFEST_LIMIT` bytes."""
        try:
            document: object = json.loads(self.file(name).read(limit=MANIFEST_LIMIT))
        except (ValueError, RecursionError) as error:
            raise InvalidParameter(f"archive has a malformed {name[:200]!r}: {error}") from error
        return document

    def _target(self, name: str) -> str:
        name = _normal(name.encode("utf-8", "surrogateescape"))
        for _ in range(_HOPS):
            if name not in self._links:
                break
            name = self._links[name]
        return name


class _Chunks(io.RawIOBase):
    """Chunks of any length as a raw stream."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        super().__init__()
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def _normal(name: bytes, base: str = "") -> str:
    """*name*, as seen from the directory *base*, without dots and slashes that mean nothing."""
    text = posixpath.normpath(posixpath.join(base, name.decode("utf-8", "surrogateescape")))
    if text == ".." or text.startswith(("/", "../")):
        raise InvalidParameter(f"archive has a name that leads out of it: {text[:200]!r}")
    return text
