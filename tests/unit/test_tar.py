"""The tar reader: what GNU, pax and ustar write is read as they do, and what cannot be is refused with a reason."""

from __future__ import annotations

import contextlib
import io
import os
import random
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.snapshots.tar import DIRECTORY, FILE, LARGEST_EXTENSION, SYMLINK, Entry, TarError, TarReader
from tests.fixtures.raw_tar import (
    archive,
    base256,
    directory,
    hard_link,
    long_name,
    member,
    pax,
    symlink,
)


def read(data: bytes) -> list[tuple[Entry, bytes]]:
    reader = TarReader(io.BytesIO(data))
    return [(entry, b"".join(reader.copy())) for entry in reader]


def entries(data: bytes) -> list[Entry]:
    return [entry for entry, _ in read(data)]


def test_a_plain_archive() -> None:
    found = read(archive(directory(b"etc"), member(b"etc/x", content=b"hello", mode=0o4755, owner=(7, 8))))
    (first, _), (second, content) = found
    assert (first.name, first.kind, first.mode) == (b"etc", DIRECTORY, 0o755)
    assert (second.name, second.kind, second.mode, second.uid, second.gid) == (b"etc/x", FILE, 0o4755, 7, 8)
    assert (content, second.size, second.mtime) == (b"hello", 5, 1_600_000_000_000_000_000)


def test_content_that_nobody_reads_is_skipped() -> None:
    reader = TarReader(io.BytesIO(archive(member(b"a", content=b"a" * 5000), member(b"b"))))
    assert [entry.name for entry in reader] == [b"a", b"b"]


@pytest.mark.parametrize("append", [False, True], ids=["splice", "copy"])  # nothing is spliced into O_APPEND
def test_what_is_large_goes_past_from_a_pipe(tmp_path: Path, append: bool) -> None:
    large, small = random.Random(3).randbytes(3_000_001), b"small"
    data = archive(member(b"a", content=large), member(b"b", content=small), member(b"c", content=large[:400_000]))
    found = copied(data, tmp_path, append=append)
    assert found == {b"a": large, b"b": small, b"c": large[:400_000]}


def test_what_is_large_ends_too_early(tmp_path: Path) -> None:
    with pytest.raises(TarError, match="in the middle of a file"):
        copied(archive(member(b"a", content=bytes(3_000_000)))[:2_000_000], tmp_path)


def copied(data: bytes, directory: Path, *, append: bool = False) -> dict[bytes, bytes]:
    """The files of an archive that comes through a pipe, as the helper has them."""
    found = {}
    source, pipe = os.pipe()

    def feed() -> None:
        with os.fdopen(pipe, "wb") as writer, contextlib.suppress(BrokenPipeError):
            writer.write(data)

    with ThreadPoolExecutor(1) as pool, os.fdopen(source, "rb", buffering=65536) as stream:
        fed = pool.submit(feed)
        reader = TarReader(stream, pipe=source)
        for entry in reader:
            path = directory / entry.name.decode()
            with path.open("ab" if append else "wb") as file:
                reader.copy_to(file.fileno())
            found[entry.name] = path.read_bytes()
        fed.result()
    return found


def test_a_ustar_prefix_is_part_of_the_name() -> None:
    assert entries(archive(member(b"name", prefix=b"some/where")))[0].name == b"some/where/name"


def test_what_looks_like_a_prefix_in_a_gnu_header_is_not() -> None:
    assert entries(archive(member(b"name", prefix=b"12345", magic=b"ustar  \0")))[0].name == b"name"


def test_long_names_of_gnu() -> None:
    name, target = b"n" * 300, b"t" * 400
    found = entries(archive(long_name(name), long_name(target, kind=b"K"), symlink(b"cut", b"cut"), member(b"next")))
    assert (found[0].name, found[0].link, found[0].kind) == (name, target, SYMLINK)
    assert found[1].name == b"next"


def test_pax_records_win_and_last_for_one_entry() -> None:
    records = {
        "path": b"long/" * 50 + b"x",
        "uid": b"3000000",
        "mtime": b"12.345678901",
        "SCHILY.xattr.user.a": b"\0\xff",
    }
    first, second = entries(archive(pax(records), member(b"cut", owner=(1, 1)), member(b"next", owner=(1, 1))))
    assert (first.name, first.uid, first.gid) == (b"long/" * 50 + b"x", 3_000_000, 1)
    assert (first.mtime, first.xattrs) == (12_345_678_901, {b"user.a": b"\0\xff"})
    assert (second.name, second.uid, second.xattrs) == (b"next", 1, {})


def test_global_records_last_and_an_empty_record_takes_them_back() -> None:
    data = archive(pax({"gid": b"99"}, kind=b"g"), member(b"a"), pax({"gid": b""}), member(b"b"), member(b"c"))
    assert [entry.gid for entry in entries(data)] == [99, 0, 99]


def test_times_before_1970() -> None:
    (entry,) = entries(archive(pax({"mtime": b"-1.5"}), member(b"a")))
    assert entry.mtime == -1_500_000_000


def test_sizes_in_base_256() -> None:
    found = read(archive(member(b"a", content=b"abc", size=base256(3, 12)), member(b"b")))
    assert [(entry.name, content) for entry, content in found] == [(b"a", b"abc"), (b"b", b"")]


def test_hard_links_have_no_content_whatever_their_size_says() -> None:
    # As GNU tar, Go and Python: a reader that skipped 1024 bytes here would not see `hidden`.
    data = archive(member(b"link", kind=b"1", link=b"a", size=1024), member(b"hidden"), member(b"x"))
    assert [entry.name for entry in entries(data)] == [b"link", b"hidden", b"x"]
    with tarfile.open(fileobj=io.BytesIO(data)) as peer:
        assert peer.getnames() == ["link", "hidden", "x"]


def test_names_are_bytes() -> None:
    assert entries(archive(member(b"caf\xe9\xff")))[0].name == b"caf\xe9\xff"


def test_an_archive_may_end_without_zero_blocks() -> None:
    assert len(entries(member(b"a", content=b"abc"))) == 1
    assert entries(b"") == []


def test_what_follows_the_end_is_read_and_ignored() -> None:
    stream = io.BytesIO(archive(member(b"a")) + member(b"late") * 3)
    assert [entry.name for entry in TarReader(stream)] == [b"a"]
    assert stream.read() == b""


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (archive(member(b"a", size=base256(-1024, 12))), "negative"),
        (archive(member(b"a", size=b"-0000001000\0")), "no octal number"),
        (archive(member(b"a", size=base256(1 << 80, 12))), "more than"),
        (archive(member(b"a", size=b"99999999999\0")), "no octal number"),
        (archive(member(b"a", size=b"00000001_00\0")), "no octal number"),
        (archive(member(b"a", checksum=1234)), "checksum"),
        (member(b"a", content=b"x" * 600)[:900], "middle of a file"),
        (member(b"a", content=b"x" * 600)[:1112], "padding"),
        (member(b"a")[:300], "middle of a header"),
        (pax({"path": b"x"}), "after an extended header"),
        (pax({"path": b"x"})[:600], "middle of an extended header"),
        (archive(pax({"path": b"x" * LARGEST_EXTENSION}), member(b"a")), "extended headers"),
        (archive(*[pax({"uid": b"1"})] * 2100, member(b"a")), "extended headers"),
        (archive(*[pax({f"k{i}": b"x" * 90_000}, kind=b"g") + member(b"a") for i in range(13)]), "global"),
        (archive(member(b"x", kind=b"x", content=b"99 path=x\n"), member(b"a")), "longer than its header"),
        (archive(member(b"x", kind=b"x", content=b"path=x\n"), member(b"a")), "length"),
        (archive(member(b"x", kind=b"x", content=b"7 path\n"), member(b"a")), "without a key"),
        (archive(pax({"SCHILY.xattr.user.\0a": b"x"}), member(b"a")), "NUL"),
        (archive(pax({"path": b"a\0b"}), member(b"a")), "NUL"),
        (archive(pax({"linkpath": b"a\0b"}), symlink(b"a", b"b")), "NUL"),
        (archive(pax({"path": b"x" * 5000}), member(b"a")), "5000 bytes"),
        (archive(pax({"size": b"-5"}), member(b"a")), "no number"),
        (archive(pax({"uid": b"4294967295"}), member(b"a")), "more than"),
        (archive(pax({"mtime": b"9" * 18}), member(b"a")), "time"),
        (archive(pax({"mtime": b"nan"}), member(b"a")), "no number"),
        (archive(member(b"a", kind=b"3", device=(5000, 1))), "more than"),
        (archive(member(b"a", kind=b"S")), "not supported"),
        (archive(pax({"GNU.sparse.major": b"1"}), member(b"a")), "sparse file with no size"),
        (archive(member(b"a", kind=b"Z")), "not supported"),
    ],
)
def test_what_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(TarError, match=reason):
        read(data)


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=2048), at=st.integers(0, 1500))
def test_damage_is_refused_or_read_but_never_breaks_the_reader(data: bytes, at: int) -> None:
    whole = archive(pax({"path": b"x"}), member(b"a", content=b"abc"), hard_link(b"b", b"a"))
    damaged = whole[:at] + data + whole[at + len(data) :]
    with contextlib.suppress(TarError):
        for entry, content in read(damaged):
            assert len(content) == entry.size
