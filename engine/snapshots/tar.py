"""A streaming reader of tar archives: ustar, GNU and pax (POSIX.1-2017 pax, "pax Interchange Format").

Python's `tarfile` is not used: it has been led out of its destination and into endless loops more than once. This
reader opens nothing; it tells what the archive says, within limits, and refuses what it cannot know. It imports
hardly anything, because the unpack helper must start fast.
"""

from __future__ import annotations

import errno
import os

from engine.snapshots import sparse

TYPE_CHECKING = False  # see engine.kernel.syscalls
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

BLOCK = 512
LARGEST_EXTENSION = 1024 * 1024
"""Bytes of the pax headers and GNU long names of one entry, and of the pax headers for all: far above any true ones."""
LONGEST_NAME = 4096

FILE, HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
_SPARSE = b"S"
_FILES = frozenset({b"0", b"\0", b"7"})
_KNOWN = frozenset({FILE, HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO})
_EXTENSIONS = frozenset({b"x", b"g", b"L", b"K"})
_LARGEST_ID = (1 << 32) - 2
"""The one above it means "leave it" to chown(2)."""
_LARGEST_MAJOR, _LARGEST_MINOR = (1 << 12) - 1, (1 << 20) - 1
_LATEST = (1 << 63) - 1
_XATTR = b"SCHILY.xattr."
_ZEROS = bytes(1024 * 1024)
_LARGE = 256 * 1024
"""Bytes of a file from which on it is worth two system calls more not to copy it through this process."""


class TarError(Exception):
    """The archive is broken or asks for something that is refused; the text says what and where."""


class Entry:
    """One member. Names are bytes as in the archive, without slashes at the end; *mtime* is in nanoseconds.

    A *sparse* file has fewer bytes in the archive than its *size*; the rest are zeros.
    """

    __slots__ = ("gid", "kind", "link", "major", "minor", "mode", "mtime", "name", "size", "sparse", "uid", "xattrs")

    def __init__(
        self,
        *,
        name: bytes,
        kind: bytes,
        mode: int = 0,
        uid: int = 0,
        gid: int = 0,
        size: int = 0,
        mtime: int = 0,
        link: bytes = b"",
        major: int = 0,
        minor: int = 0,
        xattrs: dict[bytes, bytes] | None = None,
        sparse: bool = False,
    ) -> None:
        self.name = name
        self.kind = kind
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.size = size
        self.mtime = mtime
        self.link = link
        self.major = major
        self.minor = minor
        self.xattrs = xattrs or {}
        self.sparse = sparse


class TarReader:
    """Reads *stream* once, front to back. After each entry its content must be read with `copy` or it is skipped."""

    def __init__(self, stream: BinaryIO, *, pipe: int | None = None) -> None:
        """*pipe* is what *stream*, a `BufferedReader`, reads: what is large need not come into this process."""
        self._stream = stream
        self._pipe = pipe
        self._left = 0
        """Bytes of the current entry that are still to come."""
        self._pieces: sparse.Pieces | None = None
        """Where they belong, if it is a sparse file."""
        self._size = 0
        self._padding = 0
        self._global: dict[bytes, bytes] = {}

    def __iter__(self) -> Iterator[Entry]:
        while True:
            self._skip()
            header = self._stream.read(BLOCK)
            if not header or not header.strip(b"\0"):
                # Two zero blocks end an archive; some end it with one, or with the end of the stream.
                self._drain()
                return
            if len(header) < BLOCK:
                raise TarError("the archive ends in the middle of a header")
            yield self._entry(header, {})

    def copy(self, size: int = 1024 * 1024) -> Iterator[bytes]:
        """The content of the current entry, in pieces of at most *size* bytes."""
        if self._pieces is None:
            yield from self._stored(self._left, size)
            return
        at = 0
        for offset, length in [*self._pieces, (self._size, 0)]:
            for begin in range(at, offset, len(_ZEROS)):
                yield _ZEROS[: offset - begin]
            yield from self._stored(length, size)
            at = offset + length

    def _stored(self, amount: int, size: int) -> Iterator[bytes]:
        """The next *amount* bytes of the current entry as the archive has them."""
        while amount:
            data = self._stream.read(min(size, amount))
            if not data:
                raise TarError("the archive ends in the middle of a file")
            amount -= len(data)
            self._left -= len(data)
            yield data

    def copy_to(self, descriptor: int) -> None:
        """Write the content of the current entry to a file."""
        if self._pipe is not None and self._pieces is None and self._left >= _LARGE:
            self._splice_to(self._pipe, descriptor)
        for data in self.copy():
            _write(descriptor, data)

    def _splice_to(self, pipe: int, descriptor: int) -> None:
        """splice(2), after what has been read ahead; what it cannot do is left to `copy`."""
        ahead = self._stream.peek()[: self._left]  # type: ignore[attr-defined] # of a BufferedReader
        _write(descriptor, self._stream.read(len(ahead)))
        self._left -= len(ahead)
        while self._left:
            try:
                moved = os.splice(pipe, descriptor, self._left)
            except OSError as error:
                if error.errno == errno.EINVAL:
                    return  # not on this file system
                raise
            if not moved:
                raise TarError("the archive ends in the middle of a file")
            self._left -= moved

    def _entry(self, header: bytes, local: dict[bytes, bytes]) -> Entry:
        long_name = long_link = None
        room = LARGEST_EXTENSION
        while True:
            kind = header[156:157]
            size = self._content(header)
            if kind not in _EXTENSIONS:
                break
            data = self._extension(size, room)
            # Empty ones count too, so that an endless row of them has an end.
            room -= BLOCK + size
            if kind == b"x":
                local.update(_pax_records(data))
            elif kind == b"g":
                self._global.update(_pax_records(data))
                if sum(len(key) + len(value) for key, value in self._global.items()) > LARGEST_EXTENSION:
                    raise TarError(f"more than {LARGEST_EXTENSION} bytes of global extended headers")
            elif kind == b"L":
                long_name = _string(data)
            else:
                long_link = _string(data)
            header = self._stream.read(BLOCK)
            if len(header) < BLOCK:
                raise TarError("the archive ends after an extended header")
        pax = {**self._global, **local} if local or self._global else {}
        if pax:
            # An empty record takes back a global one; only attributes may truly be empty.
            pax = {key: value for key, value in pax.items() if value or key.startswith(_XATTR)}
        return self._build(header, kind, size, pax, long_name, long_link)

    def _build(
        self,
        header: bytes,
        kind: bytes,
        size: int,
        pax: dict[bytes, bytes],
        long_name: bytes | None,
        long_link: bytes | None,
    ) -> Entry:
        ustar = header[257:262] == b"ustar"
        name = _string(header[0:100])
        if ustar and header[263:265] == b"00" and header[345] != 0:
            name = _string(header[345:500]) + b"/" + name
        name = pax.get(b"path", long_name if long_name is not None else name)
        name = pax.get(sparse.NAME, name)
        if kind in _FILES:
            # Before POSIX a name that ends in a slash was how a directory was told.
            kind = DIRECTORY if kind != b"0" and name.endswith(b"/") else FILE
        old = kind == _SPARSE and header[257:265] == b"ustar  \0"
        if old:
            kind = FILE
        if kind not in _KNOWN:
            raise TarError(f"{_show(name)}: entries of type {kind!r} are not supported")
        if len(name) > LONGEST_NAME or b"\0" in name:
            raise TarError(f"{_show(name)}: a name of {len(name)} bytes, or with a NUL in it")
        link = pax.get(b"linkpath", long_link if long_link is not None else _string(header[157:257]))
        if len(link) > LONGEST_NAME or b"\0" in link:
            raise TarError(f"{_show(name)}: the target of its link has {len(link)} bytes, or a NUL in it")
        if b"size" in pax:
            size = _decimal(pax[b"size"], name)
        if kind != FILE:
            # Only files have content. A size on another type, hard links too, is ignored by GNU tar, Go and Python
            # alike; a reader that disagreed would see other files in the same archive than a scanner does.
            size = 0
        self._left, self._padding, self._pieces = size, -size % BLOCK, None
        if old or sparse.is_sparse(pax):
            if kind != FILE:
                raise TarError(f"{_show(name)}: a sparse file that is no file")
            size = self._map(header if old else None, pax, name)
        device = kind in (CHARACTER, BLOCK_DEVICE)
        return Entry(
            name=name.rstrip(b"/") or name[:1],
            kind=kind,
            mode=_number(header[100:108], name) & 0o7777,
            uid=_decimal(pax[b"uid"], name, _LARGEST_ID)
            if b"uid" in pax
            else _number(header[108:116], name, _LARGEST_ID),
            gid=_decimal(pax[b"gid"], name, _LARGEST_ID)
            if b"gid" in pax
            else _number(header[116:124], name, _LARGEST_ID),
            size=size,
            mtime=_time(pax[b"mtime"], name) if b"mtime" in pax else _seconds(header[136:148], name),
            link=link,
            major=_number(header[329:337], name, _LARGEST_MAJOR) if device else 0,
            minor=_number(header[337:345], name, _LARGEST_MINOR) if device else 0,
            xattrs={key[len(_XATTR) :]: value for key, value in pax.items() if key.startswith(_XATTR)} if pax else {},
            sparse=self._pieces is not None,
        )

    def _map(self, header: bytes | None, pax: dict[bytes, bytes], name: bytes) -> int:
        """Take in the map of a sparse file; its size with the zeros."""

        def further() -> bytes:
            block = self._stream.read(BLOCK)
            if len(block) < BLOCK:
                raise TarError("the archive ends in the middle of a sparse file's map")
            return block

        def begins() -> bytes:
            if self._left < BLOCK:
                raise sparse.SparseError("a map that is longer than the file")
            self._left -= BLOCK
            return further()

        try:
            if header is not None:
                size, pieces = sparse.of_header(header, lambda field: _number(field, name), further)
            else:
                size, pieces = sparse.of_records(pax, begins)
            sparse.check(pieces, size=size, stored=self._left)
        except sparse.SparseError as error:
            raise TarError(f"{_show(name)}: a sparse file with {error}") from error
        self._size, self._pieces = size, pieces
        return size

    def _content(self, header: bytes) -> int:
        """Check the header's sum and return the size that it tells."""
        name = _string(header[0:100])
        told = _number(header[148:156], name)
        found = sum(header) - sum(header[148:156]) + 256
        if told != found:
            raise TarError(f"{_show(name)}: the header's checksum is {found}, not {told} as it says")
        return _number(header[124:136], name)

    def _extension(self, size: int, room: int) -> bytes:
        if size > room:
            raise TarError(f"extended headers of {size} bytes and more; at most {LARGEST_EXTENSION} are accepted")
        padded = size + -size % BLOCK
        data = self._stream.read(padded)
        if len(data) < padded:
            raise TarError("the archive ends in the middle of an extended header")
        return data[:size]

    def _skip(self) -> None:
        for _ in self._stored(self._left, 1024 * 1024):
            pass
        if self._padding:
            if len(self._stream.read(self._padding)) < self._padding:
                raise TarError("the archive ends in the padding of a file")
            self._padding = 0

    def _drain(self) -> None:
        """Read what follows the end, so that whoever writes the stream is not cut off."""
        while self._stream.read(1024 * 1024):
            pass


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _pax_records(data: bytes) -> dict[bytes, bytes]:
    """`LENGTH key=value\\n` records."""
    records = {}
    pieces: list[bytes] = []
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        digits = data[at:space]
        if space < 0 or not digits.isdigit():
            raise TarError("a pax header that does not begin with its length")
        end = at + int(digits)
        if end > len(data) or end <= space or data[end - 1 : end] != b"\n":
            raise TarError("a pax record that is longer than its header")
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or not key or b"\0" in key:
            raise TarError("a pax record without a key, or with a NUL in it")
        if key in sparse.PARTS:
            if key != sparse.PARTS[len(pieces) % 2]:
                raise TarError("the records of a sparse file's pieces do not come by turns")
            pieces.append(value)
        else:
            records[key] = value
        at = end
    if pieces:
        records[sparse.MAP] = b",".join(pieces)
    return records


def _string(data: bytes) -> bytes:
    return data.split(b"\0", 1)[0]


def _number(data: bytes, name: bytes, most: int = _LATEST) -> int:
    """An octal number, or GNU's base 256, of at most *most*; negative ones are refused."""
    if data[0] & 0x80:
        value = int.from_bytes(bytes([data[0] & 0x7F]) + data[1:], "big")
        if data[0] & 0x40:
            raise TarError(f"{_show(name)}: a negative number")
    else:
        text = data.strip(b" \0")
        try:
            # Digits alone: Python would take signs and underscores as well.
            value = int(text, 8) if text.isdigit() else 0 if not text else -1
        except ValueError:
            value = -1
        if value < 0:
            raise TarError(f"{_show(name)}: {text[:20]!r} is no octal number")
    if value > most:
        raise TarError(f"{_show(name)}: {value} is more than the {most} that is possible there")
    return value


def _decimal(data: bytes, name: bytes, most: int = _LATEST) -> int:
    if not data.isdigit() or len(data) > 19 or int(data) > most:
        raise TarError(f"{_show(name)}: {data[:20]!r} is no number, or more than the {most} that is possible there")
    return int(data)


def _seconds(data: bytes, name: bytes) -> int:
    """A header's time in nanoseconds; GNU tar writes one before 1970 as a negative number in base 256."""
    value = int.from_bytes(data, "big", signed=True) if data[0] == 0xFF else _number(data, name)
    return _nanoseconds(value, 0, name)


def _time(data: bytes, name: bytes) -> int:
    """Seconds with a fraction, perhaps negative, as nanoseconds (pax, "mtime")."""
    sign = -1 if data.startswith(b"-") else 1
    seconds, _, fraction = data.removeprefix(b"-").partition(b".")
    return _nanoseconds(sign * _decimal(seconds, name), sign * _decimal(fraction[:9].ljust(9, b"0"), name), name)


def _nanoseconds(seconds: int, fraction: int, name: bytes) -> int:
    value = seconds * 1_000_000_000 + fraction
    if abs(value) > _LATEST:
        raise TarError(f"{_show(name)}: a time {seconds} seconds from 1970")
    return value


def _show(name: bytes) -> str:
    return ascii(name[:200].decode("utf-8", "backslashreplace"))
