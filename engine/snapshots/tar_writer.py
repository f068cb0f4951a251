"""Writes tar archives: ustar headers, with pax records where a value does not fit (POSIX.1-2017, pax).

Times are whole seconds, as in Docker's archives, so that the same files give the same bytes.
"""

from __future__ import annotations

from typing import Final

from engine.snapshots.tar import BLOCK, BLOCK_DEVICE, CHARACTER, DIRECTORY, Entry

END: Final = bytes(2 * BLOCK)
_LARGEST_OCTAL: Final = 8**11 - 1
_LARGEST_ID: Final = 8**7 - 1
_LONGEST: Final = 100


def header(entry: Entry) -> bytes:
    """The blocks that come before the content of *entry*."""
    name = entry.name + (b"/" if entry.kind == DIRECTORY else b"")
    seconds = entry.mtime // 1_000_000_000
    records: dict[bytes, bytes] = {}
    if len(name) > _LONGEST or not name.isascii():
        records[b"path"] = name
    if len(entry.link) > _LONGEST or not entry.link.isascii():
        records[b"linkpath"] = entry.link
    if entry.size > _LARGEST_OCTAL:
        records[b"size"] = b"%d" % entry.size
    if not 0 <= seconds <= _LARGEST_OCTAL:
        records[b"mtime"] = b"%d" % seconds
    for key, value in ((b"uid", entry.uid), (b"gid", entry.gid)):
        if value > _LARGEST_ID:
            records[key] = b"%d" % value
    records |= {b"SCHILY.xattr." + key: value for key, value in sorted(entry.xattrs.items())}
    plain = _block(entry, name, seconds)
    if not records:
        return plain
    data = b"".join(_record(key, value) for key, value in records.items())
    extended = Entry(name=b"PaxHeaders.0/" + name.rstrip(b"/")[-80:], kind=b"x", mode=0o644, size=len(data))
    return _block(extended, extended.name, 0) + data + padding(len(data)) + plain


def padding(size: int) -> bytes:
    """What fills the last block of a content of *size* bytes."""
    return bytes(-size % BLOCK)


def _block(entry: Entry, name: bytes, seconds: int) -> bytes:
    device = entry.kind in (CHARACTER, BLOCK_DEVICE)
    fields = (
        name[:_LONGEST].ljust(_LONGEST, b"\0"),
        b"%07o\0" % entry.mode,
        b"%07o\0" % min(entry.uid, _LARGEST_ID),
        b"%07o\0" % min(entry.gid, _LARGEST_ID),
        b"%011o\0" % min(entry.size, _LARGEST_OCTAL),
        b"%011o\0" % min(max(seconds, 0), _LARGEST_OCTAL),
        b" " * 8,
        entry.kind,
        entry.link[:_LONGEST].ljust(_LONGEST, b"\0"),
        b"ustar\x0000",
        bytes(64),
        b"%07o\0" % (entry.major if device else 0),
        b"%07o\0" % (entry.minor if device else 0),
    )
    block = b"".join(fields).ljust(BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _record(key: bytes, value: bytes) -> bytes:
    """`LENGTH key=value\\n`, where the length counts its own digits."""
    size = len(key) + len(value) + 3
    digits = len(str(size))
    if len(str(size + digits)) > digits:
        digits += 1
    return b"%d %s=%s\n" % (size + digits, key, value)
