"""Archives that come from strangers, in any of the compressions that Docker takes: streamed, bounded, never trusted."""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from engine.errors import InvalidParameter
from engine.images.decompress import STEP, Source, decompressed
from engine.registry.media import Compression

_BZIP2: Final = b"BZh"
_XZ: Final = b"\xfd7zXZ\x00"
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
MEMORY: Final = 256 * 1024**2
"""Bytes that an xz stream may ask for."""
SNIFFED: Final = 1024**2
"""Bytes that tell whether something is an archive: bzip2 packs 900,000 at a time."""
_BLOCK: Final = 512


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /, max_length: int = -1) -> bytes: ...


def unpacked(source: Source, *, what: str) -> Iterator[bytes]:
    """The bytes of *source* without their compression: gzip, bzip2, xz, zstd or none, as the first bytes tell.

    `InvalidParameter` says that *what* is damaged, or refuses what would become too large.
    """
    start = source.read(len(_XZ))
    while len(start) < len(_XZ) and (more := source.read(len(_XZ) - len(start))):
        start += more
    rewound = _Rewound(start, source)
    try:
        if start.startswith(_BZIP2):
            yield from _stream(rewound, bz2.BZ2Decompressor)
        elif start.startswith(_XZ):
            yield from _stream(rewound, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY))
        else:
            yield from decompressed(rewound, Compression.NONE)
    except InvalidParameter as error:
        raise InvalidParameter(f"{what}: {str(error).removeprefix('layer is ').removeprefix('layer ')}") from error
    except (OSError, EOFError, lzma.LZMAError) as error:
        if isinstance(error, ConnectionError):
            raise
        raise InvalidParameter(f"{what}: its compressed data is damaged: {error}") from error


def is_archive(start: bytes) -> bool:
    """Whether a file that begins with *start* (`SNIFFED` bytes, or all that it has) is taken for a tar archive.

    A compressed one is looked into: Docker unpacks only what holds a tar.
    """
    if start.startswith((_GZIP, _BZIP2, _XZ, _ZSTD)):
        try:
            start = next(unpacked(_Prefix(start), what=""), b"")
        except InvalidParameter:
            return False
    return _is_tar(start)


def _is_tar(start: bytes) -> bool:
    """Whether a header stands at the beginning; one from before POSIX is known by its checksum alone."""
    if len(start) < _BLOCK:
        return False
    told = start[148:156].strip(b" \0")
    found = sum(start[:_BLOCK]) - sum(start[148:156]) + 8 * ord(" ")
    return bool(told) and not told.strip(b"01234567") and int(told, 8) == found


def _stream(source: Source, make: Callable[[], _Decompressor]) -> Iterator[bytes]:
    data = source.read(STEP)
    while data:
        member = make()
        while not member.eof:
            if chunk := member.decompress(data, STEP):
                yield chunk
            data = b""
            if member.needs_input and not member.eof:
                data = source.read(STEP)
                if not data:
                    raise EOFError("it ends too early")
        data = member.unused_data or source.read(STEP)


class _Rewound:
    def __init__(self, start: bytes, rest: Source) -> None:
        self._start = start
        self._rest = rest

    def read(self, size: int = -1, /) -> bytes:
        start, self._start = self._start, b""
        return start or self._rest.read(size)


class _Prefix:
    """The beginning of a file, which looks like one that ends too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, _size: int = -1, /) -> bytes:
        data, self._data = self._data, b""
        return data
