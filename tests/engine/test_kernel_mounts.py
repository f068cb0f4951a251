"""The kernel wrappers, with real mounts and the paths of a hostile root."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.kernel import mounts, paths, syscalls
from engine.kernel.trees import remove_tree, tree_size

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts file systems")


@pytest.fixture(autouse=True)
def no_mount_left(tmp_path: Path) -> Iterator[None]:
    yield
    left = mounts.mounts_below(tmp_path)
    for target in left:
        mounts.unmount(Path(target))
    assert left == []


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    """The descriptor of a root that is full of traps; what is outside of it must not change."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("secret")
    inside = tmp_path / "root"
    (inside / "etc").mkdir(parents=True)
    (inside / "etc/passwd").write_text("root:x:0:0")
    (inside / "up").symlink_to("../../../../../../../../.." + str(tmp_path / "outside"))
    (inside / "absolute").symlink_to(tmp_path / "outside")
    (inside / "good").symlink_to("/etc")
    (inside / "magic").symlink_to("/proc/self/root")
    (inside / "circle").symlink_to("circle")
    os.mkfifo(inside / "fifo")
    os.mknod(inside / "zero", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    with paths.opened_root(inside) as descriptor:
        yield descriptor
    assert [entry.name for entry in (tmp_path / "outside").iterdir()] == ["secret"]
    assert (tmp_path / "outside/secret").read_text() == "secret"


def test_a_mount_lasts_as_long_as_its_block(tmp_path: Path) -> None:
    with mounts.mounted("tmpfs", tmp_path, "tmpfs", data="size=1m"):
        (found,) = [mount for mount in mounts.mount_table() if mount.target == str(tmp_path)]
        assert (found.kind, found.source, found.root) == ("tmpfs", "tmpfs", "/")
        assert "size=1024k" in found.options
    assert mounts.mounts_below(tmp_path) == []


def test_errors_name_the_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        syscalls.mount("tmpfs", str(tmp_path / "none"), "tmpfs")
    assert caught.value.filename == str(tmp_path / "none")


@pytest.mark.parametrize("name", ["a b", "a\tb", "a\nb", "a\\b", "a\\040b", "grüße", "a#b"])
def test_targets_with_any_name(tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    target.mkdir()
    with mounts.mounted("tmpfs", target, "tmpfs"):
        assert mounts.mounts_below(tmp_path) == [str(target)]


def test_targets_that_are_no_text(tmp_path: Path) -> None:
    target = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xe9"))
    target.mkdir()
    with mounts.mounted("tmpfs", target, "tmpfs"):
        assert mounts.mounts_below(tmp_path) == [str(target)]


def test_mounts_below_go_deepest_first_and_stay_below(tmp_path: Path) -> None:
    for name in ("a", "a-neighbour"):
        (tmp_path / name).mkdir()
    with mounts.mounted("tmpfs", tmp_path / "a", "tmpfs"), mounts.mounted("tmpfs", tmp_path / "a-neighbour", "tmpfs"):
        (tmp_path / "a/b").mkdir()
        with mounts.mounted("tmpfs", tmp_path / "a/b", "tmpfs"):
            assert mounts.mounts_below(tmp_path / "a") == [str(tmp_path / "a/b"), str(tmp_path / "a")]


def test_unmounting_nothing(tmp_path: Path) -> None:
    mounts.unmount(tmp_path)
    mounts.unmount(tmp_path / "none")


def test_unmounting_never_follows_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with mounts.mounted("tmpfs", tmp_path / "real", "tmpfs"):
        mounts.unmount(tmp_path / "link")
        assert mounts.mounts_below(tmp_path) == [str(tmp_path / "real")]


def test_a_read_only_bind(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    mounts.bind(source, target, read_only=True)
    try:
        with pytest.raises(OSError, match="Read-only"):
            (target / "x").touch()
        (source / "x").touch()
        assert (target / "x").exists()
    finally:
        mounts.unmount(target)


# Paths in a root


@pytest.mark.parametrize(
    "path", ["etc/passwd", "/etc/passwd", "//etc/passwd", "good/passwd", "../../etc/passwd", "/../etc/./passwd"]
)
def test_reading_inside(root: int, path: str) -> None:
    assert paths.read_in_root(root, path, limit=100) == b"root:x:0:0"


def test_reading_stops_at_the_limit(root: int) -> None:
    assert paths.read_in_root(root, "etc/passwd", limit=4) == b"root"


@pytest.mark.parametrize(
    "path",
    ["up/secret", "absolute/secret", "magic/etc/passwd", "circle", "fifo", "zero", "etc", "none", "etc/passwd/x"],
)
def test_reading_finds_nothing_outside_and_never_waits(root: int, path: str) -> None:
    assert paths.read_in_root(root, path, limit=100) == b""


def test_making_directories_and_files(root: int, tmp_path: Path) -> None:
    os.close(paths.make_directories(root, "/a/b/c", mode=0o700, uid=5, gid=6))
    os.close(paths.make_directories(root, "a/b/c"))
    found = (tmp_path / "root/a/b").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o700, 5, 6)
    paths.make_file(root, "/good/new/file")
    paths.make_file(root, "/good/new/file")
    assert (tmp_path / "root/etc/new/file").is_file()
    os.close(paths.make_directories(root, "/"))


@pytest.mark.parametrize("path", ["up/x", "absolute/x", "circle/x", "magic/x", "fifo/x", "etc/passwd/x", "a/../x"])
def test_making_nothing_outside(root: int, path: str) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counted, not walked
    with pytest.raises(OSError) as caught:
        os.close(paths.make_directories(root, path))
    assert caught.value.errno in (errno.EEXIST, errno.ENOTDIR, errno.ELOOP, errno.EINVAL)
    with pytest.raises(OSError):
        paths.make_file(root, path + "/file")
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_file_is_not_made_through_a_link(root: int, tmp_path: Path) -> None:
    paths.make_file(root, "up")
    assert (tmp_path / "root/up").is_symlink()


# Trees


def test_removing_a_tree(tmp_path: Path) -> None:
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep/x").touch()
    tree = tmp_path / "tree"
    for number in range(50):
        (tree / f"{number}/same/deep/er").mkdir(parents=True)
        (tree / f"{number}/same/file").touch()
        (tree / f"{number}/same/link").symlink_to(tmp_path / "keep")
    (tree / "0/same").chmod(0)
    remove_tree(tree)
    assert [path.name for path in tmp_path.rglob("*")] == ["keep", "x"]
    with pytest.raises(FileNotFoundError):
        remove_tree(tree)


def test_a_link_is_no_tree(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/x").write_bytes(b"x")
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(NotADirectoryError):
        remove_tree(tmp_path / "link")
    with pytest.raises(NotADirectoryError):
        tree_size(tmp_path / "link")
    assert (tmp_path / "real/x").exists()


def test_a_tree_does_not_lead_into_what_is_mounted_in_it(tmp_path: Path) -> None:
    (tmp_path / "tree/m").mkdir(parents=True)
    (tmp_path / "tree/x").write_bytes(bytes(7))
    with mounts.mounted("tmpfs", tmp_path / "tree/m", "tmpfs"):
        (tmp_path / "tree/m/y").write_bytes(bytes(100))
        assert tree_size(tmp_path / "tree") == 7
