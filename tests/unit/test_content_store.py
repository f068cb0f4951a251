from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from engine.content.store import ContentStore
from engine.errors import DigestMismatch, InvalidParameter, NotFound, StorageFull
from engine.types import Digest

DATA = b"some bytes of a blob"


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path)


def files_below(path: Path) -> list[str]:
    return sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())


def write(store: ContentStore, chunks: list, *, expected: Digest | None = None, size: int | None = None) -> None:
    with store.writer(expected=expected, size=size) as writer:
        for chunk in chunks:
            writer.write(chunk)
        writer.commit()


def test_a_blob_is_there_once_it_is_committed(store: ContentStore, tmp_path: Path) -> None:
    digest = Digest.of(DATA)
    with store.writer(expected=digest, size=len(DATA)) as writer:
        writer.write(DATA[:5])
        assert not store.has(digest)
        writer.write(DATA[5:])
        assert writer.commit() == digest
        assert store.has(digest)
    assert store.read(digest, limit=100) == DATA
    assert store.size(digest) == len(DATA)
    with store.open(digest) as file:
        assert file.read() == DATA
    assert files_below(tmp_path) == [f"blobs/sha256/{digest.hex}"]
    assert stat.S_IMODE(store.path(digest).stat().st_mode) == 0o400
    assert store.digests() == {digest}


@pytest.mark.parametrize(
    ("expected", "size", "data"),
    [
        (Digest.of(b"other"), None, DATA),
        (Digest.of(DATA), len(DATA) + 1, DATA),
        (Digest.of(DATA), len(DATA) - 1, DATA),
        (None, 3, b""),
    ],
)
def test_wrong_content_leaves_nothing(
    store: ContentStore, tmp_path: Path, expected: Digest | None, size: int | None, data: bytes
) -> None:
    with pytest.raises(DigestMismatch):
        write(store, [data], expected=expected, size=size)
    assert files_below(tmp_path) == []
    assert store.put(DATA) == Digest.of(DATA)


def test_what_is_not_committed_leaves_nothing(store: ContentStore, tmp_path: Path) -> None:
    with store.writer() as writer:
        writer.write(DATA)
    with pytest.raises(TypeError):
        write(store, [DATA, None])
    assert files_below(tmp_path) == []


def test_two_writers_of_one_blob_do_not_meet(store: ContentStore) -> None:
    with store.writer() as one, store.writer() as two:
        one.write(DATA)
        two.write(DATA)
        assert one.commit() == two.commit()
    assert store.read(Digest.of(DATA), limit=100) == DATA


def test_put_checks_what_it_was_promised(store: ContentStore) -> None:
    assert store.put(DATA) == store.put(DATA) == Digest.of(DATA)
    with pytest.raises(DigestMismatch):
        store.put(DATA, expected=Digest.of(b"other"))


def test_what_is_missing_is_not_found(store: ContentStore) -> None:
    absent = Digest.of(b"absent")
    for call in (store.open, store.size, lambda digest: store.read(digest, limit=1)):
        with pytest.raises(NotFound, match="is not in the store"):
            call(absent)
    store.remove(absent)


def test_reading_is_limited(store: ContentStore) -> None:
    digest = store.put(DATA)
    assert store.read(digest, limit=len(DATA)) == DATA
    with pytest.raises(InvalidParameter):
        store.read(digest, limit=len(DATA) - 1)


def test_sweep_removes_what_a_crash_left(store: ContentStore, tmp_path: Path) -> None:
    digest = store.put(DATA)
    (tmp_path / "tmp" / "left").write_bytes(b"half")
    ContentStore(tmp_path).sweep()
    assert files_below(tmp_path) == [f"blobs/sha256/{digest.hex}"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small tmpfs")
def test_a_full_disk_is_told_as_such_and_leaves_nothing(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "havre-test", tmp_path], check=True)
    try:
        store = ContentStore(tmp_path)
        with pytest.raises(StorageFull, match="No space left on device"):
            write(store, [bytes(100_000)] * 10)
        assert files_below(tmp_path) == []
        assert store.has(store.put(DATA))
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_spool_keeps_what_is_taken_and_nothing_else(tmp_path: Path) -> None:
    store = ContentStore(tmp_path)
    with store.spool() as spool:
        wanted, other = spool.add([b"one", b"two"]), spool.add([b"other"])
        assert (wanted.digest, wanted.size) == (Digest.of(b"onetwo"), 6)
        assert not store.has(wanted.digest)
        store.take(wanted)
        store.take(wanted)
        assert wanted.read(limit=6) == other.path.with_name("1").read_bytes() == b"onetwo"
        with pytest.raises(InvalidParameter, match="more than the 5 allowed"):
            wanted.read(limit=5)
    assert store.digests() == {wanted.digest}
    assert not list((tmp_path / "tmp").iterdir())


def test_a_spool_that_a_killed_engine_left_is_swept(tmp_path: Path) -> None:
    leftover = tmp_path / "tmp/tmpabc"
    leftover.mkdir(parents=True)
    (leftover / "1").write_bytes(b"x")
    ContentStore(tmp_path).sweep()
    assert not list((tmp_path / "tmp").iterdir())
