"""Volumes below the API: filled whole or not at all, kept while anybody has them, removed for good."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.database import Database
from engine.errors import Conflict, EngineFault, InvalidParameter, VolumeNotFound
from engine.events import Event, EventBus
from engine.kernel import mounts, syscalls
from engine.volumes.service import VolumeService
from tests.conftest import needs_root


@pytest.fixture
def events() -> EventBus:
    return EventBus()


@pytest.fixture
def volumes(tmp_path: Path, events: EventBus) -> Iterator[VolumeService]:
    needs_root()
    with Database(tmp_path / "db") as database:
        service = VolumeService(database=database, events=events, root=tmp_path / "volumes")
        yield service
        service.uses = dict
        for volume in service.list():
            service.remove(volume.name)
    assert list((tmp_path / "volumes").iterdir()) == []


@pytest.fixture
def image(tmp_path: Path) -> Iterator[int]:
    """The root of an image with a directory /data in it."""
    root = tmp_path / "image"
    (root / "data/sub").mkdir(parents=True)
    (root / "data/file").write_text("from the image")
    (root / "data/file").chmod(0o640)
    os.chown(root / "data/file", 33, 34)
    os.link(root / "data/file", root / "data/sub/again")
    (root / "data/link").symlink_to("/etc/passwd")
    os.mkfifo(root / "data/pipe")
    os.setxattr(root / "data/file", "user.kept", b"yes")
    (root / "data").chmod(0o1777)
    descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def test_an_empty_volume_takes_everything(volumes: VolumeService, image: int) -> None:
    place = volumes.create(name="data").mountpoint
    volumes.mount("data", user="c1")
    volumes.populate("data", root=image, path="/data")
    found = (place / "file").stat()
    assert (found.st_mode & 0o7777, found.st_uid, found.st_gid) == (0o640, 33, 34)
    assert (place / "sub/again").stat().st_ino == found.st_ino
    assert (place / "link").readlink() == Path("/etc/passwd")
    assert (place / "pipe").is_fifo()
    assert os.getxattr(place / "file", "user.kept") == b"yes"
    assert place.stat().st_mode & 0o7777 == 0o1777
    (place / "file").unlink()
    volumes.populate("data", root=image, path="/data")
    assert not (place / "file").exists()  # it was not empty any more


def test_filling_is_whole_or_nothing(
    volumes: VolumeService, image: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = volumes.create(name="data").mountpoint

    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device", "x")

    with monkeypatch.context() as patched:
        patched.setattr("engine.kernel.copying.copy_content", no_room)
        with pytest.raises(EngineFault, match="No space left on device"):
            volumes.populate("data", root=image, path="/data")
    assert list(place.iterdir()) == []
    assert [entry.name for entry in place.parent.iterdir()] == ["_data"]
    (place.parent / "_filling").mkdir()  # as a daemon that was killed leaves it
    volumes.populate("data", root=image, path="/data")
    assert (place / "file").exists()


def test_a_link_in_the_image_leads_nowhere_else(volumes: VolumeService, image: int, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("x")
    (tmp_path / "image/way").symlink_to(tmp_path / "outside")
    place = volumes.create(name="data").mountpoint
    volumes.populate("data", root=image, path="/way")
    assert list(place.iterdir()) == []


def test_one_with_a_device_is_mounted_for_its_users_alone(volumes: VolumeService) -> None:
    place = volumes.create(name="quick", options={"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}).mountpoint

    def mounted() -> bool:
        return any(mount.target == str(place) for mount in mounts.mount_table())

    volumes.mount("quick", user="a")
    volumes.mount("quick", user="b")
    (place / "f").write_text("x")
    volumes.unmount("quick", user="a")
    volumes.unmount("quick", user="a")
    assert mounted()
    assert (place / "f").exists()
    volumes.reconcile(running={"b"})
    assert mounted()
    volumes.reconcile(running=())
    assert not mounted()


@pytest.mark.parametrize(
    ("options", "call"),
    [
        (
            {"type": "nfs", "device": ":/export/media", "o": "addr=localhost,nfsvers=4,ro"},
            (":/export/media", "nfs", syscalls.MS_RDONLY, "addr=127.0.0.1,nfsvers=4"),
        ),
        (
            {"type": "cifs", "device": "//localhost/media", "o": "addr=localhost,username=u,password=hush,pass=hush"},
            ("//localhost/media", "cifs", 0, "addr=127.0.0.1,username=u,password=hush,pass=hush"),
        ),
    ],
    ids=["nfs", "cifs"],
)
def test_shares_of_others_are_mounted_as_the_kernel_wants_it(
    volumes: VolumeService,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, str],
    call: tuple[str, str, int, str],
) -> None:
    """Host names become addresses. Whatever comes of it (no such file system, nobody there), nothing stays mounted."""
    place = volumes.create(name="share", options=options).mountpoint
    calls = []
    real = syscalls.mount

    def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
        calls.append((source, kind, flags, data))
        assert target == str(place)
        real(source, target, kind, flags, data)

    monkeypatch.setattr(syscalls, "mount", mount)
    with pytest.raises(
        EngineFault, match=rf"failed to mount local volume: mount {call[0]} \(type {call[1]}"
    ) as refused:
        volumes.mount("share", user="a")
    assert calls == [call]
    assert "hush" not in str(refused.value)
    if call[1] not in Path("/proc/filesystems").read_text().split():
        assert f"this host's kernel has no file systems of the kind {call[1]}" in str(refused.value)
    assert not any(mount.target == str(place) for mount in mounts.mount_table())
    volumes.remove("share")


@pytest.mark.parametrize("host", ["x" * 70, "a b", ""])
def test_a_share_of_a_host_that_cannot_be(volumes: VolumeService, host: str) -> None:
    volumes.create(name="share", options={"type": "nfs", "device": ":/x", "o": f"addr={host}"})
    with pytest.raises(InvalidParameter, match=f"error resolving the volume's host '{host}"):
        volumes.mount("share", user="a")
    volumes.remove("share")


def test_a_bound_directory_survives_the_removal(volumes: VolumeService, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "f").write_text("x")
    volumes.create(name="bound", options={"type": "none", "device": str(kept), "o": "bind"})
    volumes.mount("bound", user="a")
    volumes.remove("bound")
    assert (kept / "f").read_text() == "x"


def test_what_is_used_stays(volumes: VolumeService, events: EventBus) -> None:
    heard: list[Event] = []
    with events.subscribed(heard.append):
        volumes.create(name="data")
        volumes.mount("data", user="c1", destination="/d", read_only=True)
        volumes.uses = lambda: {"data": ["c1"]}
        with pytest.raises(Conflict, match=r"volume is in use - \[c1\]"):
            volumes.remove("data", force=True)
        volumes.remove("data", given_up_by="c1")
    assert [event.action for event in heard] == ["create", "mount", "destroy"]
    assert heard[1].attributes["destination"] == "/d"
    assert heard[1].attributes["read/write"] == "false"


def test_a_removal_that_was_cut_off_is_finished(volumes: VolumeService, tmp_path: Path) -> None:
    left = tmp_path / "volumes/.removing-0123"
    (left / "_data").mkdir(parents=True)
    volumes.create(name="stays")
    volumes.reconcile(running=())
    assert [entry.name for entry in (tmp_path / "volumes").iterdir()] == ["stays"]


@pytest.mark.parametrize("path", ["/abs", "../up", "a/../../b", "nosuch", "out"])
def test_a_part_lies_in_the_volume(volumes: VolumeService, path: str) -> None:
    place = volumes.create(name="data").mountpoint
    (place / "out").symlink_to("/etc")  # in the volume's own root, where there is none
    with pytest.raises(InvalidParameter):
        volumes.subpath("data", path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": "1m"}, "invalid option"),
        ({"type": "tmpfs"}, 'missing required option: "device"'),
        ({"device": "/x"}, 'missing required option: "type"'),
        ({"type": "tmpfs", "device": "t\0"}, "NUL"),
    ],
)
def test_bad_options(volumes: VolumeService, options: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidParameter, match=words):
        volumes.create(name="data", options=options)
    with pytest.raises(VolumeNotFound):
        volumes.get("data")


def test_one_that_fills_does_not_hold_up_another(volumes: VolumeService, image: int) -> None:
    volumes.create(name="slow")
    volumes.create(name="other")
    with volumes._busy("slow"):
        done = threading.Event()
        thread = threading.Thread(target=lambda: (volumes.mount("other", user="c"), done.set()))
        thread.start()
        assert done.wait(5)
        thread.join()
