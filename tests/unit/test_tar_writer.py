"""Archives that are written are read back by the engine's reader and by GNU tar alike."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.snapshots.packing import pack_directory, pack_entry
from engine.snapshots.tar import DIRECTORY, FILE, SYMLINK, Entry, TarReader
from engine.snapshots.tar_writer import END, header, padding

NAMES = st.binary(min_size=1, max_size=300).map(lambda name: name.replace(b"\0", b"_").strip(b"/") or b"x")


@given(
    name=NAMES,
    link=NAMES,
    mode=st.integers(0, 0o7777),
    uid=st.integers(0, (1 << 32) - 2),
    gid=st.integers(0, (1 << 32) - 2),
    seconds=st.integers(-(1 << 33), 1 << 33),
    value=st.binary(max_size=200),
)
def test_what_is_written_is_read(
    name: bytes, link: bytes, mode: int, uid: int, gid: int, seconds: int, value: bytes
) -> None:
    entry = Entry(
        name=name,
        kind=SYMLINK,
        mode=mode,
        uid=uid,
        gid=gid,
        mtime=seconds * 10**9,
        link=link,
        xattrs={b"user.a": value},
    )
    found = next(iter(TarReader(io.BytesIO(header(entry) + END))))
    assert {key: getattr(found, key) for key in Entry.__slots__} == {
        key: getattr(entry, key) for key in Entry.__slots__
    }


def test_a_large_file() -> None:
    entry = Entry(name=b"big", kind=FILE, size=1 << 40)
    assert next(iter(TarReader(io.BytesIO(header(entry))))).size == 1 << 40
    assert (padding(0), len(padding(1)), padding(512)) == (b"", 511, b"")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    (root / "sub/deep").mkdir(parents=True)
    (root / "sub/file").write_bytes(b"x" * 700)
    os.link(root / "sub/file", root / "again")
    (root / "link").symlink_to("/etc/passwd")
    (root / ("long" * 60)).write_text("long")
    os.mkfifo(root / "pipe")
    (root / "sub").chmod(0o1711)
    return root


def test_gnu_tar_reads_it(source: Path, tmp_path: Path) -> None:
    descriptor = os.open(source, os.O_RDONLY | os.O_DIRECTORY)
    try:
        data = b"".join(pack_directory(descriptor, name="top"))
    finally:
        os.close(descriptor)
    target = tmp_path / "target"
    target.mkdir()
    subprocess.run(["tar", "--extract", "--preserve-permissions", f"--directory={target}"], input=data, check=True)
    top = target / "top"
    assert (top / "sub/file").read_bytes() == b"x" * 700
    assert (top / "again").stat().st_ino == (top / "sub/file").stat().st_ino
    assert (top / "link").readlink() == Path("/etc/passwd")
    assert (top / ("long" * 60)).read_text() == "long"
    assert (top / "pipe").is_fifo()
    assert (top / "sub").stat().st_mode & 0o7777 == 0o1711
    assert sorted(path.name for path in top.rglob("*")) == sorted(path.name for path in source.rglob("*"))


def test_the_same_files_give_the_same_bytes(source: Path) -> None:
    descriptor = os.open(source, os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert b"".join(pack_directory(descriptor)) == b"".join(pack_directory(descriptor))
        alone = b"".join(pack_entry(descriptor, "link", name="other"))
    finally:
        os.close(descriptor)
    found = next(iter(TarReader(io.BytesIO(alone))))
    assert (found.name, found.kind, found.link) == (b"other", SYMLINK, b"/etc/passwd")


def test_a_directory_that_goes_away(source: Path) -> None:
    descriptor = os.open(source, os.O_RDONLY | os.O_DIRECTORY)
    try:
        chunks = pack_directory(descriptor)
        (source / "sub/deep").rmdir()
        names = [entry.name for entry in TarReader(io.BytesIO(b"".join(chunks)))]
    finally:
        os.close(descriptor)
    assert b"sub/file" in names
    assert DIRECTORY == b"5"
