"""Unpacking of compressed layers as a stream, in bounded memory and with bounded output.

The input is whatever a registry sends: nothing here trusts its sizes, and every step of work is bounded by `STEP`.
"""

from __future__ import annotations

import bz2
import io
import lzma
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import zstandard
from isal import igzip_lib

from engine.errors import InvalidParameter
from engine.images.zstd_frames import FrameWatch
from engine.registry.media import Compression
from engine.snapshots.helper import UnpackLimits

STEP: Final = 1024 * 1024
"""The most bytes that a decompressor makes at a time."""

_RATIO_FREE: Final = 1024**3
"""Bytes that are unpacked before the ratio counts: a file of zeros is no bomb."""

_HEADERS: Final = 4 * 1024**3
"""What headers and padding may add to the bytes of files."""
_WINDOW_LIMIT: Final = 128 * 1024**2
_XZ_MEMORY: Final = 192 * 1024**2
_MAGIC: Final = {
    b"\x1f\x8b": Compression.GZIP,
    b"\x28\xb5\x2f\xfd": Compression.ZSTD,
    b"BZh": Compression.BZIP2,
    b"\xfd7zX": Compression.XZ,
}
LONGEST_MAGIC: Final = max(map(len, _MAGIC))


class Source(Protocol):
    """Compressed bytes: up to *size* of them, or a whole chunk; an empty answer at the end. Errors pass through."""

    def read(self, size: int = -1, /) -> bytes: ...


def decompressed(
    source: Source,
    compression: Compression,
    *,
    limits: UnpackLimits = UnpackLimits(),  # noqa: B008 - a frozen value
) -> Iterator[bytes]:
    """The uncompressed bytes of *source* in chunks of at most `STEP`.

    The media type is a claim: the first bytes decide, as in Docker. `InvalidParameter` when the stream is damaged,
    incomplete or a decompression bomb.
    """
    counted = _Counted(source)
    start = b""
    while len(start) < LONGEST_MAGIC and (data := counted.read(LONGEST_MAGIC)):
        start += data
    actual = sniff(start, compression)
    chunks = _READERS[actual](Rewound(start, counted))
    produced = 0
    for chunk in chunks:
        produced += len(chunk)
        if produced > limits.bytes + _HEADERS:
            raise InvalidParameter(f"archive unpacks to more than the {limits.bytes} bytes allowed")
        if produced > _RATIO_FREE + limits.ratio * counted.total:
            raise InvalidParameter(f"archive unpacks to more than {limits.ratio} times its size: refused")
        yield chunk


def sniff(start: bytes, declared: Compression) -> Compression:
    """How a stream that begins with *start* is packed; a tar has no magic there, so else it is what was declared."""
    for magic, actual in _MAGIC.items():
        if start.startswith(magic):
            return actual
    if declared is not Compression.NONE and start:
        raise InvalidParameter(f"layer is not {declared.value}, as its media type says")
    return Compression.NONE


class _Counted:
    """A source that knows how much has been read from it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.total = 0

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        self.total += len(data)
        return data


class Rewound:
    """A source whose first bytes have been read already."""

    def __init__(self, start: bytes, rest: Source) -> None:
        self._start = start
        self._rest = rest

    def read(self, size: int = -1, /) -> bytes:
        if self._start:
            start, self._start = self._start, b""
            return start
        return self._rest.read(size)


def _plain(source: Source) -> Iterator[bytes]:
    while data := source.read(STEP):
        yield data


def _gunzip(source: Source) -> Iterator[bytes]:
    """Every member of a gzip file (RFC 1952, 2.2), one after another; zero bytes may follow the last."""
    data = source.read(STEP)
    while True:
        member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        while not member.eof:
            try:
                chunk = member.decompress(data, STEP)
            except (igzip_lib.error, ValueError) as error:  # type: ignore[misc] # its stub says "instance"
                raise InvalidParameter(f"layer's gzip stream is damaged: {error}") from error
            if chunk:
                yield chunk
            data = b""
            if member.needs_input and not member.eof:
                data = source.read(STEP)
                if not data:
                    raise InvalidParameter("layer's gzip stream ends too early")
        data = bytes(member.unused_data)
        while not data.strip(b"\0"):
            data = source.read(STEP)
            if not data:
                return
        data = data.lstrip(b"\0")


def _unzstd(source: Source) -> Iterator[bytes]:
    """Every frame of a zstd file (RFC 8878)."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW_LIMIT)
    readable = _Readable(source)
    with decompressor.stream_reader(readable, read_size=STEP, read_across_frames=True, closefd=False) as reader:
        while True:
            try:
                chunk = reader.read(STEP)
            except zstandard.ZstdError as error:
                raise InvalidParameter(f"layer's zstd stream is damaged: {error}") from error
            if not chunk:
                if not readable.frames.whole:
                    raise InvalidParameter("layer's zstd stream ends too early")
                return
            yield chunk


def _streamed(
    source: Source, new: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor], name: str
) -> Iterator[bytes]:
    """Every stream of a bzip2 or xz file, one after another."""
    data = source.read(STEP)
    while True:
        stream = new()
        while not stream.eof:
            if not data and stream.needs_input and not (data := source.read(STEP)):
                raise InvalidParameter(f"archive's {name} stream ends too early")
            try:
                chunk = stream.decompress(data, STEP)
            except (OSError, EOFError, ValueError, lzma.LZMAError) as error:
                raise InvalidParameter(f"archive's {name} stream is damaged: {error}") from error
            data = b""
            if chunk:
                yield chunk
        data = stream.unused_data.lstrip(b"\0")
        while not data:
            data = source.read(STEP)
            if not data:
                return
            data = data.lstrip(b"\0")


def _unbzip2(source: Source) -> Iterator[bytes]:
    return _streamed(source, bz2.BZ2Decompressor, "bzip2")


def _unxz(source: Source) -> Iterator[bytes]:
    return _streamed(source, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY), "xz")


_READERS: Final = {
    Compression.NONE: _plain,
    Compression.GZIP: _gunzip,
    Compression.ZSTD: _unzstd,
    Compression.BZIP2: _unbzip2,
    Compression.XZ: _unxz,
}


class _Readable(io.BytesIO):
    """What zstandard asks of its source: a file object, of which it calls `read`."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source = source
        self.frames = FrameWatch()

    def read(self, size: int | None = -1, /) -> bytes:
        data = self._source.read(-1 if size is None else size)
        self.frames.see(data)
        return data
