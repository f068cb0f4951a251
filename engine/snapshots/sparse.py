"""Maps of sparse files in archives: where in the file the pieces lie that the archive holds (GNU tar, "Storing Sparse
Files"). What lies between them is zeros. All four formats: the header's own, and pax 0.0, 0.1 and 1.0.

Imports nothing, because the unpack helper must start fast.
"""

from __future__ import annotations

TYPE_CHECKING = False  # see engine.kernel.syscalls
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Pieces = list[tuple[int, int]]
    """Offset and length in bytes of each piece, in the order in which they lie in file and archive."""

MAP = b"GNU.sparse.map"
NAME = b"GNU.sparse.name"
_MAJOR, _MINOR = b"GNU.sparse.major", b"GNU.sparse.minor"
_SIZES = (b"GNU.sparse.realsize", b"GNU.sparse.size")
PARTS = (b"GNU.sparse.offset", b"GNU.sparse.numbytes")
"""The records of pax 0.0, which come by turns, once for each piece."""
_LARGEST_MAP = 1024 * 1024
"""Bytes."""
_ENTRY, _BLOCK = 24, 512


class SparseError(Exception):
    """The map is broken; the text says in what way."""


def of_header(header: bytes, number: Callable[[bytes], int], more: Callable[[], bytes]) -> tuple[int, Pieces]:
    """The file's size and pieces by a header of GNU's type `S`; *more* reads the next block of the archive."""
    size = number(header[483:495])
    pieces: Pieces = []
    fields, goes_on = header[386:482], header[482]
    left = _LARGEST_MAP
    while True:
        for at in range(0, len(fields), _ENTRY):
            if not fields[at]:
                break
            pieces.append((number(fields[at : at + 12]), number(fields[at + 12 : at + _ENTRY])))
        if not goes_on:
            return size, pieces
        left -= _BLOCK
        if left < 0:
            raise SparseError(f"a map of more than {_LARGEST_MAP} bytes")
        block = more()
        fields, goes_on = block[:504], block[504]


def is_sparse(pax: Mapping[bytes, bytes]) -> bool:
    """Whether the pax records are of a sparse file."""
    return any(key.startswith(b"GNU.sparse.") for key in pax)


def of_records(pax: Mapping[bytes, bytes], more: Callable[[], bytes]) -> tuple[int, Pieces]:
    """The file's size and pieces by its pax records; *more* reads the next block of its content, which may begin with
    the map."""
    size = next((_amount(pax[key]) for key in _SIZES if key in pax), None)
    if size is None:
        raise SparseError("no size")
    if MAP in pax:
        numbers = [_amount(text) for text in pax[MAP].split(b",")]
    elif (pax.get(_MAJOR), pax.get(_MINOR)) == (b"1", b"0"):
        numbers = _of_content(more)
    else:
        raise SparseError("no map, or one of a kind that nobody knows")
    if len(numbers) % 2:
        raise SparseError("a piece without a length")
    return size, list(zip(numbers[::2], numbers[1::2], strict=True))


def check(pieces: Pieces, *, size: int, stored: int) -> None:
    """`SparseError` unless *pieces* follow each other within *size* and are the *stored* bytes of the archive."""
    at = 0
    for offset, length in pieces:
        if offset < at or offset + length > size:
            raise SparseError(f"a piece of {length} bytes at {offset}, after {at} of {size}")
        at = offset + length
    if sum(length for _, length in pieces) != stored:
        raise SparseError(f"its pieces are not the {stored} bytes that it has in the archive")


def _of_content(more: Callable[[], bytes]) -> list[int]:
    """The numbers of a map of format 1.0: how many pieces, then each one's offset and length, a line each."""
    data, lines, wanted = bytearray(), 0, 1
    while lines < wanted:
        if len(data) >= _LARGEST_MAP:
            raise SparseError(f"a map of more than {_LARGEST_MAP} bytes")
        block = more()
        data += block
        lines += block.count(b"\n")
        if lines and wanted == 1:
            wanted = 1 + 2 * _amount(bytes(data).split(b"\n", 1)[0])
    return [_amount(text) for text in bytes(data).split(b"\n", wanted)[1:wanted]]


def _amount(text: bytes) -> int:
    if not text.isdigit() or len(text) > 18:
        raise SparseError(f"{text[:20]!r} is no number of bytes")
    return int(text)
