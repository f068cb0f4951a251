"""What the unpack helper writes is what GNU tar writes from the same archive, down to the last attribute."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import subprocess
from pathlib import Path

import pytest

from engine.snapshots.layers import LayerStore
from engine.types import Digest
from tests.conftest import scratch_directory
from tests.fixtures.raw_tar import archive, directory, member

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="unpacks layers as root")

OPAQUE = "trusted.overlay.opaque"
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
"""cap_net_raw, permitted and effective (include/uapi/linux/capability.h, vfs_cap_data)."""


def rich_tree(root: Path, *, longest: int) -> None:
    """One of everything that a layer may hold."""
    root.mkdir()
    for place in ("plain", "sticky", "empty", "deep/" + "d" * 60 + "/" + "e" * 60, "locked"):
        (root / place).mkdir(parents=True)
    (root / "plain/file").write_bytes(os.urandom(100_001))
    (root / "plain/nothing").touch()
    (root / "plain/large").write_bytes(os.urandom(3 * 1024 * 1024 + 7))
    (root / "plain/su").write_bytes(b"#!")
    os.chown(root / "plain/su", 1000, 1001)
    (root / "plain/su").chmod(0o6711)
    (root / "plain/ping").write_bytes(b"ping")
    os.chown(root / "plain/ping", 7, 7)
    os.link(root / "plain/file", root / "deep/other-name")
    (root / "plain/link").symlink_to("../sticky")
    (root / "plain/dangling").symlink_to("/nowhere/" + "x" * (longest - 9))
    os.lchown(root / "plain/link", 12, 13)
    os.mkfifo(root / "plain/fifo", 0o640)
    os.mknod(root / "plain/zero", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    os.mknod(root / "plain/loop", 0o660 | stat.S_IFBLK, os.makedev(7, 300))
    (root / "deep" / ("d" * 60) / ("e" * 60) / ("f" * (90 if longest > 99 else 30))).write_bytes(b"deep")
    Path(os.fsdecode(os.fsencode(root) + b"/plain/caf\xe9")).write_bytes(b"latin")
    (root / "plain/grüße\n").write_bytes(b"utf-8")
    (root / "sticky").chmod(0o1777)
    (root / "locked").chmod(0o000)
    os.chown(root / "locked", 3, 4)
    for number, path in enumerate(sorted(root.rglob("*"))):
        os.utime(path, ns=(0, 1_500_000_000_123_456_789 + number * 1_000_000_007), follow_symlinks=False)
    os.utime(root / "plain/nothing", ns=(0, -86_400_000_000_000))


def add_attributes(root: Path) -> None:
    os.setxattr(root / "plain/ping", "security.capability", CAPABILITY)
    os.setxattr(root / "plain/file", "user.note", b"\0\n=\xff")
    os.setxattr(root / "empty", "user.of-a-directory", b"d")
    os.setxattr(root / "plain/nothing", "user.empty", b"")


def tree(root: Path) -> dict[bytes, object]:
    """All facts of every file below *root*, and of itself."""
    found: dict[bytes, object] = {}
    first_name: dict[int, bytes] = {}
    for path in [root, *sorted(root.rglob("*"))]:
        status = path.lstat()
        name = os.fsencode(path.relative_to(root))
        kind = stat.S_IFMT(status.st_mode)
        content: object = None
        if kind == stat.S_IFREG:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        elif kind == stat.S_IFLNK:
            content = os.fsencode(path.readlink())
        elif kind in (stat.S_IFCHR, stat.S_IFBLK):
            content = status.st_rdev
        twin = first_name.setdefault(status.st_ino, name) if kind != stat.S_IFDIR else None
        attributes = {
            key: os.getxattr(path, key, follow_symlinks=False) for key in os.listxattr(path, follow_symlinks=False)
        }
        found[name] = (oct(status.st_mode), status.st_uid, status.st_gid, status.st_mtime_ns, twin, content, attributes)
    return found


def unpack(store: LayerStore, data: bytes) -> Path:
    diff_id = Digest.of(data)
    with store.unpack(expected=diff_id) as sink:
        for at in range(0, len(data), 1_000_003):
            sink.write(data[at : at + 1_000_003])
        sink.commit()
    return store.diff(diff_id)


def assert_same(data: bytes, tmp_path: Path) -> None:
    peer = tmp_path / "peer"
    peer.mkdir()
    peer.chmod(0o755)
    subprocess.run(
        ["tar", "-x", "-C", peer, "--xattrs", "--xattrs-include=*", "--numeric-owner", "-p", "--same-owner"],
        input=data,
        check=True,
    )
    ours, theirs = tree(unpack(LayerStore(tmp_path / "layers"), data)), tree(peer)
    assert ours.keys() == theirs.keys()
    assert {name: facts for name, facts in ours.items() if facts != theirs[name]} == {}


@pytest.mark.parametrize(
    ("options", "longest"),
    [
        (["--format=posix", "--xattrs", "--xattrs-include=*"], 1000),
        (["--format=gnu"], 1000),
        (["--format=ustar"], 90),
    ],
    ids=["posix", "gnu", "ustar"],
)
def test_a_rich_tree(tmp_path: Path, options: list[str], longest: int) -> None:
    source = tmp_path / "source"
    rich_tree(source, longest=longest)
    if "posix" in options[0]:
        add_attributes(source)
    else:
        os.utime(source / "plain/nothing", ns=(0, 0))  # ustar has no room for times before 1970
    data = subprocess.run(["tar", "-c", *options, "-C", source, "."], check=True, stdout=subprocess.PIPE).stdout
    assert_same(data, tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        ["--format=gnu"],
        *(["--format=posix", f"--sparse-version={version}"] for version in ("0.0", "0.1", "1.0")),
    ],
    ids=lambda options: options[-1].rpartition("=")[2],
)
def test_sparse_files(tmp_path: Path, options: list[str]) -> None:
    """The content is the same, and what was a hole is one again."""
    source = tmp_path / "source"
    source.mkdir(mode=0o755)
    with (source / "disk").open("wb") as file:
        for number in range(60):  # more pieces than a header has room for
            file.seek(number * 300_000)
            file.write(os.urandom(5000))
        file.truncate(50_000_000)
    (source / "empty").touch()
    os.truncate(source / "empty", 30_000_000)
    (source / ("long-" * 30)).write_bytes(b"x")
    os.truncate(source / ("long-" * 30), 2_000_000)
    (source / "plain").write_bytes(bytes(1000) + b"x")
    command = ["tar", "-c", "--sparse", "--hole-detection=seek", *options, "-C", source, "."]
    data = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    assert len(data) < 2_000_000
    assert_same(data, tmp_path)
    layer = unpack(LayerStore(tmp_path / "again"), data)
    assert (layer / "empty").stat().st_blocks == 0
    assert (layer / "disk").stat().st_blocks * 512 < 5_000_000


def test_debian(image_cache: Path) -> None:
    blobs = [path for path in image_cache.rglob("data") if path.stat().st_size > 20_000_000]
    assert blobs, "the cache has no large layer"
    with scratch_directory() as directory:
        assert_same(gzip.decompress(blobs[0].read_bytes()), directory)


def test_directories_that_the_archive_forgot(tmp_path: Path) -> None:
    diff = unpack(LayerStore(tmp_path), archive(member(b"a/b/c", content=b"x", owner=(5, 5))))
    for place in (diff / "a", diff / "a/b"):
        found = place.stat()
        assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o755, 0, 0)


def test_a_directory_described_after_its_files_gets_its_own_mode_and_time(tmp_path: Path) -> None:
    diff = unpack(LayerStore(tmp_path), archive(member(b"d/x", content=b"x"), directory(b"d", mode=0o500)))
    assert stat.S_IMODE((diff / "d").stat().st_mode) == 0o500
    assert (diff / "d").stat().st_mtime_ns == 1_600_000_000_000_000_000


def test_whiteouts_become_those_of_overlayfs(tmp_path: Path) -> None:
    data = archive(
        member(b".wh.gone"), member(b"new/.wh.gone"), directory(b"all"), member(b"all/.wh..wh..opq"), member(b"all/x"),
        member(b".wh.anew"), directory(b"anew"), member(b"anew/x"), member(b"kept"), member(b".wh.kept"),
    )  # fmt: skip
    diff = unpack(LayerStore(tmp_path), data)
    for path in (diff / "gone", diff / "new/gone"):
        assert (stat.S_ISCHR(path.lstat().st_mode), path.lstat().st_rdev) == (True, 0)
    assert os.getxattr(diff / "all", OPAQUE) == b"y"
    assert os.getxattr(diff / "anew", OPAQUE) == b"y", "removed below, made anew here"
    assert (diff / "kept").is_file(), "a whiteout hides what is below, not what this layer has"
    assert os.listxattr(diff) == os.listxattr(diff / "new") == []


def test_an_empty_layer(tmp_path: Path) -> None:
    store = LayerStore(tmp_path)
    assert list(unpack(store, archive()).iterdir()) == []
    assert store.size(Digest.of(archive())) == 0
