"""Snapshots with real overlay mounts: what a container sees, what it leaves behind, and what is put right at start."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from engine.errors import Conflict, EngineFault, InvalidParameter, NotFound
from engine.kernel import mounts
from engine.snapshots.layers import LayerStore
from engine.snapshots.store import SnapshotStore
from engine.types import Digest, new_id
from tests.fixtures.raw_tar import archive, directory, member, symlink

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts file systems")

BASE = archive(
    directory(b"etc"),
    member(b"etc/passwd", content=b"root"),
    directory(b"usr/lib"),
    member(b"usr/lib/a", content=b"base"),
    member(b"usr/lib/b", content=b"base"),
    directory(b"opt"),
    member(b"opt/old", content=b"old"),
    directory(b"again"),
    member(b"again/old"),
)
TOP = archive(
    member(b"usr/lib/.wh.a"),
    member(b"usr/lib/b", content=b"top"),
    directory(b"opt"),
    member(b"opt/.wh..wh..opq"),
    member(b"opt/new", content=b"new"),
    member(b".wh.again"),
    directory(b"again"),
    member(b"again/new"),
)


class Host:
    """Both stores below one directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.layers = LayerStore(root / "layers")
        self.snapshots = SnapshotStore(root / "snapshots", self.layers)

    def layer(self, data: bytes) -> Digest:
        diff_id = Digest.of(data)
        if not self.layers.has(diff_id):
            with self.layers.unpack(expected=diff_id) as sink:
                sink.write(data)
                sink.commit()
        return diff_id

    def snapshot(self, *layers: bytes) -> str:
        snapshot = new_id()
        self.snapshots.prepare(snapshot, [self.layer(data) for data in layers])
        return snapshot

    def restarted(self) -> Host:
        """The same directories, as the next daemon finds them."""
        return Host(self.root)

    def mounts(self) -> list[str]:
        return mounts.mounts_below(self.root)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    yield from clean_host(tmp_path / "host")


def clean_host(root: Path) -> Iterator[Host]:
    yield Host(root)
    for target in mounts.mounts_below(root):
        mounts.unmount(Path(target))


def written(host: Host, snapshot: str) -> list[str]:
    """What lies in the writable layer."""
    upper = host.snapshots.upper(snapshot)
    return sorted(str(path.relative_to(upper)) for path in upper.rglob("*"))


def gone(path: Path) -> None:
    end = time.monotonic() + 30
    while path.exists():
        assert time.monotonic() < end, f"{path} is still there"
        time.sleep(0.01)


def test_layers_lie_in_order_and_hide_what_they_removed(host: Host) -> None:
    merged = host.snapshots.mount(host.snapshot(BASE, TOP))
    assert (merged / "etc/passwd").read_bytes() == b"root"
    assert not (merged / "usr/lib/a").exists()
    assert (merged / "usr/lib/b").read_bytes() == b"top"
    assert [entry.name for entry in (merged / "opt").iterdir()] == ["new"]
    assert [entry.name for entry in (merged / "again").iterdir()] == ["new"]


def test_an_image_may_have_a_layer_twice(host: Host) -> None:
    merged = host.snapshots.mount(host.snapshot(BASE, TOP, BASE))
    assert (merged / "usr/lib/a").read_text() == "base"
    assert (merged / "usr/lib/b").read_text() == "base"
    assert sorted(path.name for path in (merged / "opt").iterdir()) == ["new", "old"]
    assert sorted(path.name for path in (merged / "again").iterdir()) == ["new", "old"]


def test_what_is_written_stays_and_is_nobody_elses(host: Host) -> None:
    one, two = host.snapshot(BASE), host.snapshot(BASE)
    (host.snapshots.mount(one) / "etc/passwd").write_bytes(b"mine")
    assert (host.snapshots.mount(two) / "etc/passwd").read_bytes() == b"root"
    assert (host.layers.diff(Digest.of(BASE)) / "etc/passwd").read_bytes() == b"root"
    assert written(host, one) == ["etc", "etc/passwd"]
    host.snapshots.unmount(one)
    host.snapshots.unmount(one)
    assert host.snapshots.mounted(one) is None
    assert (host.snapshots.mount(one) / "etc/passwd").read_bytes() == b"mine"


def test_places_to_mount_on_are_there_and_no_change_of_the_container(host: Host) -> None:
    snapshot = host.snapshot(BASE)
    merged = host.snapshots.mount(snapshot)
    for name in ("dev", "dev/pts", "dev/shm", "proc", "sys", "etc"):
        assert stat.S_IMODE((merged / name).lstat().st_mode) == 0o755
        assert stat.S_ISDIR((merged / name).lstat().st_mode)
    for name in ("dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf", ".dockerenv"):
        assert (merged / name).is_file()
        assert (merged / name).stat().st_size == 0
    assert (merged / "etc/mtab").readlink() == Path("/proc/mounts")
    assert written(host, snapshot) == []


def test_an_image_of_nothing_can_be_mounted(host: Host) -> None:
    assert (host.snapshots.mount(host.snapshot()) / "proc").is_dir()


@pytest.mark.parametrize("name", [b"dev", b"proc", b"sys", b"dev/pts", b"dev/shm", b"dev/console", b"dev/shm/x"])
@pytest.mark.parametrize("kind", ["link", "file", "fifo"])
def test_an_image_cannot_lead_the_kernels_places_astray(host: Host, name: bytes, kind: str) -> None:
    evil = {"link": symlink(name, b"/etc"), "file": member(name), "fifo": member(name, kind=b"6")}[kind]
    merged = host.snapshots.mount(host.snapshot(BASE, archive(evil)))
    for place in ("dev", "dev/pts", "dev/shm", "proc", "sys"):
        assert stat.S_ISDIR((merged / place).lstat().st_mode), place
    assert stat.S_ISREG((merged / "dev/console").lstat().st_mode)


def test_a_removed_directory_of_the_kernel_comes_back(host: Host) -> None:
    merged = host.snapshots.mount(
        host.snapshot(archive(directory(b"proc"), directory(b"etc")), archive(member(b".wh.proc")))
    )
    assert (merged / "proc").is_dir()


def test_etc_as_a_link_is_the_images_own(host: Host) -> None:
    merged = host.snapshots.mount(
        host.snapshot(archive(directory(b"system"), member(b"system/x"), symlink(b"etc", b"system")))
    )
    assert (merged / "etc").readlink() == Path("system")
    assert (merged / "proc").is_dir()


@pytest.mark.parametrize(
    "top",
    [
        symlink(b"etc/hosts", b"/run/hosts"),
        symlink(b"etc/resolv.conf", b"../run/resolv.conf"),
        directory(b"etc", mode=0o700),
        member(b"etc/mtab", content=b"mine"),
    ],
    ids=["hosts", "resolv.conf", "mode", "mtab"],
)
def test_a_strange_etc_is_the_images_own(host: Host, top: bytes) -> None:
    merged = host.snapshots.mount(host.snapshot(BASE, archive(top)))
    diff = host.layers.diff(Digest.of(archive(top)))
    for path in diff.rglob("*"):
        assert (merged / path.relative_to(diff)).lstat().st_mode == path.lstat().st_mode
    assert (merged / "etc/passwd").read_bytes() == b"root"
    assert stat.S_IMODE((merged / "etc").stat().st_mode) == stat.S_IMODE((diff / "etc").stat().st_mode)


def test_many_layers_below_a_long_path(tmp_path: Path) -> None:
    for host in clean_host(tmp_path / ("long" * 25) / ("path" * 25) / "x"):
        layers = [
            archive(member(b"f%d" % i, content=b"%d" % i), member(b"same", content=b"%d" % i)) for i in range(125)
        ]
        merged = host.snapshots.mount(host.snapshot(*layers))
        assert (merged / "same").read_bytes() == b"124"
        assert all((merged / f"f{i}").read_bytes() == b"%d" % i for i in range(125))


def test_too_many_layers_are_refused_before_anything_is_made(host: Host) -> None:
    with pytest.raises(InvalidParameter, match="layers"):
        host.snapshots.prepare(new_id(), [host.layer(BASE)] * 127)
    assert host.snapshots.ids() == set()


@pytest.mark.parametrize("name", ["a,b", "a:b", "a\\b", "a b", "a\nb", "é", "lowerdir=x"])
def test_a_root_with_any_name(tmp_path: Path, name: str) -> None:
    for host in clean_host(tmp_path / name):
        snapshot = host.snapshot(BASE)
        (host.snapshots.mount(snapshot) / "x").touch()
        assert written(host, snapshot) == ["x"]
        assert host.mounts() == [str(host.root / "snapshots" / snapshot / "merged")]
        host.snapshots.unmount(snapshot)
        assert host.mounts() == []


def test_ids(host: Host) -> None:
    snapshot = host.snapshot(BASE)
    assert host.snapshots.ids() == {snapshot}
    with pytest.raises(Conflict):
        host.snapshots.prepare(snapshot, [host.layer(BASE)])
    with pytest.raises(NotFound):
        host.snapshots.mount(new_id())
    with pytest.raises(NotFound):
        host.snapshots.usage(new_id())
    for strange in ("", "..", "../" + "a" * 61, "init"):
        with pytest.raises(InvalidParameter):
            host.snapshots.upper(strange)


def test_a_missing_layer_makes_nothing(host: Host) -> None:
    with pytest.raises(EngineFault, match="missing"):
        host.snapshots.prepare(new_id(), [Digest.of(b"nothing")])
    assert host.snapshots.ids() == set()


def test_a_visit_of_a_stopped_container(host: Host) -> None:
    snapshot = host.snapshot(BASE)
    with host.snapshots.opened(snapshot) as merged:
        assert (merged / "etc/passwd").exists()
        with host.snapshots.opened(snapshot) as again:
            assert again == merged
        assert (merged / "etc/passwd").exists(), "the inner visit has taken the mount of the outer one"
    assert host.mounts() == []


def test_a_container_that_starts_during_a_visit_keeps_its_mount(host: Host) -> None:
    snapshot = host.snapshot(BASE)
    with host.snapshots.opened(snapshot):
        host.snapshots.mount(snapshot)
    assert host.snapshots.mounted(snapshot)


def test_a_container_that_stops_during_a_visit_leaves_the_visitor_its_mount(host: Host) -> None:
    snapshot = host.snapshot(BASE)
    host.snapshots.mount(snapshot)
    with host.snapshots.opened(snapshot) as merged:
        host.snapshots.unmount(snapshot)
        assert (merged / "etc/passwd").exists()
    assert host.mounts() == []


def test_a_visit_after_a_restart_leaves_a_running_container_alone(host: Host) -> None:
    snapshot = host.snapshot(BASE)
    host.snapshots.mount(snapshot)
    after = host.restarted()
    after.snapshots.reconcile(known={snapshot}, running={snapshot})
    with after.snapshots.opened(snapshot):
        pass
    assert after.snapshots.mounted(snapshot)


def test_removing_during_a_visit(host: Host) -> None:
    snapshot = host.snapshot(BASE)
    with host.snapshots.opened(snapshot):
        host.snapshots.remove(snapshot)
    assert host.mounts() == []
    assert host.snapshots.ids() == set()


def test_usage_counts_what_the_container_wrote(host: Host) -> None:
    snapshot = host.snapshot(BASE)
    merged = host.snapshots.mount(snapshot)
    assert host.snapshots.usage(snapshot) == 0
    (merged / "a").write_bytes(bytes(1000))
    os.link(merged / "a", merged / "b")
    (merged / "d").mkdir()
    (merged / "d/c").write_bytes(bytes(10))
    (merged / "l").symlink_to("a")
    os.mkfifo(merged / "f")
    (merged / "etc/passwd").unlink()
    assert host.snapshots.usage(snapshot) == 1010


def dig(directory: Path, levels: int) -> None:
    """Make directories in each other, deeper than any path."""
    current = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=current)
        following = os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=current)
        os.close(current)
        current = following
    os.close(os.open("bottom", os.O_WRONLY | os.O_CREAT, dir_fd=current))
    os.close(current)


def test_a_container_that_dug_deep_is_measured_and_removed(host: Host) -> None:
    snapshot = host.snapshot(BASE)
    dig(host.snapshots.mount(snapshot), 5000)
    assert host.snapshots.usage(snapshot) == 0
    host.snapshots.remove(snapshot)
    for trash in (host.root / "snapshots").glob("trash-*"):
        gone(trash)
    assert host.snapshots.ids() == set()


def test_links_in_the_writable_layer_are_never_followed(host: Host, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/x").write_bytes(bytes(5000))
    snapshot = host.snapshot(BASE)
    merged = host.snapshots.mount(snapshot)
    (merged / "l").symlink_to(tmp_path / "outside")
    assert host.snapshots.usage(snapshot) == 0
    host.snapshots.remove(snapshot)
    for trash in (host.root / "snapshots").glob("trash-*"):
        gone(trash)
    assert (tmp_path / "outside/x").exists()


def test_removing_while_a_file_is_open(host: Host) -> None:
    snapshot = host.snapshot(BASE)
    with (host.snapshots.mount(snapshot) / "etc/passwd").open("r+b") as file:
        host.snapshots.remove(snapshot)
        assert host.mounts() == []
        assert file.read() == b"root"
    host.snapshots.remove(snapshot)
    for trash in (host.root / "snapshots").glob("trash-*"):
        gone(trash)


def test_reconcile(host: Host) -> None:
    running, stopped, unknown = (host.snapshot(BASE) for _ in range(3))
    merged: Mapping[str, Path] = {name: host.snapshots.mount(name) for name in (running, stopped, unknown)}
    (merged[running] / "x").touch()
    device = (merged[running] / "x").stat().st_dev
    (host.root / "snapshots/trash-left" / "d").mkdir(parents=True)
    after = host.restarted()
    after.snapshots.reconcile(known={running, stopped, new_id()}, running={running})
    assert after.mounts() == [str(merged[running])]
    assert (merged[running] / "x").stat().st_dev == device, "it is the same mount as before"
    assert after.snapshots.ids() == {running, stopped}
    assert not (host.root / "snapshots/trash-left").exists()


def test_sweeping_layers_keeps_what_snapshots_need(host: Host) -> None:
    snapshot = host.snapshot(BASE)
    host.layers.sweep()
    assert (host.snapshots.mount(snapshot) / "proc").is_dir()


def test_the_hosts_users_cannot_reach_containers_files(host: Host) -> None:
    for name in ("layers", "snapshots"):
        assert stat.S_IMODE((host.root / name).stat().st_mode) == 0o700
