"""Archives that mean harm: whatever they say, nothing outside of their layer changes and nothing half made stays."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.errors import InvalidParameter
from engine.snapshots.layers import LayerStore, LayerUnpacker, UnpackLimits
from engine.types import Digest
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

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="unpacks layers as root")

LIMITS = UnpackLimits(entries=200, bytes=1_000_000)
OPAQUE = "trusted.overlay.opaque"
EVIL = b"evil"


@dataclass(frozen=True)
class Place:
    """A store, and beside it what an archive would like to reach."""

    store: LayerStore
    root: Path
    outside: Path

    def unpack(self, data: bytes) -> Path:
        diff_id = Digest.of(data)
        with self.store.unpack(expected=diff_id) as sink:
            sink.write(data)
            sink.commit()
        return self.store.diff(diff_id)

    def refused(self, data: bytes, reason: str) -> None:
        with pytest.raises(InvalidParameter, match=reason):
            self.unpack(data)
        assert sorted(entry.name for entry in self.root.iterdir()) == ["l"], "nothing half made stays"

    def way_out(self) -> bytes:
        """The file outside as a path that climbs from any layer."""
        return b"../" * 30 + os.fsencode(self.outside).lstrip(b"/")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (outside / "secret").chmod(0o600)
    (outside / "sub").mkdir()
    root = tmp_path / "layers"
    before = picture(outside)
    yield Place(LayerStore(root, limits=LIMITS), root, outside)
    assert picture(outside) == before, "what is outside has changed"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["layers", "outside"]
    assert not [entry.name for entry in root.iterdir() if entry.name.startswith("tmp-")]


def picture(directory: Path) -> dict[str, object]:
    """All that could be changed about a tree."""
    found: dict[str, object] = {}
    for path in [directory, *directory.rglob("*")]:
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        facts = (status.st_mode, status.st_uid, status.st_gid, status.st_nlink, status.st_mtime_ns, status.st_ctime_ns)
        found[str(path)] = (*facts, tuple(os.listxattr(path, follow_symlinks=False)), content)
    return found


# Names


def test_names_that_climb(place: Place) -> None:
    place.refused(archive(member(place.way_out() + b"/secret", content=EVIL)), r"'\.\.'")


def test_names_that_climb_in_pax(place: Place) -> None:
    place.refused(archive(pax({"path": place.way_out() + b"/secret"}), member(b"x", content=EVIL)), r"'\.\.'")


def test_names_that_climb_in_a_gnu_long_name(place: Place) -> None:
    place.refused(archive(long_name(place.way_out() + b"/secret"), member(b"x", content=EVIL)), r"'\.\.'")


def test_names_that_climb_and_come_back(place: Place) -> None:
    place.refused(archive(directory(b"a"), member(b"a/../b", content=EVIL)), r"'\.\.'")


def test_directories_that_climb(place: Place) -> None:
    place.refused(archive(directory(place.way_out() + b"/sub", mode=0o777)), r"'\.\.'")


def test_absolute_names_are_inside(place: Place) -> None:
    target = os.fsencode(place.outside / "secret")
    diff = place.unpack(archive(pax({"path": target}), member(b"x", content=EVIL)))
    assert Path(f"{diff}{place.outside}/secret").read_bytes() == EVIL


def test_names_that_are_not_text(place: Place) -> None:
    diff = place.unpack(archive(member(b"caf\xe9", content=b"x"), member(b"new\nline\x1b[31m", content=b"y")))
    assert {os.fsencode(path.name) for path in diff.iterdir()} == {b"caf\xe9", b"new\nline\x1b[31m"}


def test_refusals_do_not_repeat_control_characters(place: Place) -> None:
    with pytest.raises(InvalidParameter) as caught:
        place.unpack(archive(member(b"\x1b[31mred\n/../x")))
    assert str(caught.value).isprintable()


def test_a_component_that_is_too_long(place: Place) -> None:
    place.refused(archive(long_name(b"n" * 300), member(b"x")), "File name too long")


def test_a_name_that_is_too_long(place: Place) -> None:
    place.refused(archive(pax({"path": b"d/" * 4000}), member(b"x")), "bytes")


def test_two_thousand_directories_deep(place: Place) -> None:
    diff = place.unpack(archive(pax({"path": b"d/" * 1500 + b"x"}), member(b"x")))
    assert (diff / "/".join(["d"] * 1500) / "x").exists()
    place.store.remove(Digest(f"sha256:{diff.parent.name}"))
    assert sorted(entry.name for entry in place.root.iterdir()) == ["l"]


def test_deeper_than_any_path(place: Place) -> None:
    """Through a link the tree goes on below PATH_MAX; it must still be possible to delete it."""
    half = b"d/" * 1000
    data = archive(
        pax({"path": half}), directory(b"x"), symlink(b"l", half), pax({"path": b"l/" + half}), directory(b"x"),
        pax({"linkpath": b"l/" + half}), symlink(b"m", b""), pax({"path": b"m/" + half + b"x"}), member(b"x"),
    )  # fmt: skip
    diff = place.unpack(data)
    place.store.remove(Digest(f"sha256:{diff.parent.name}"))
    assert sorted(entry.name for entry in place.root.iterdir()) == ["l"]


def test_empty_names_and_the_root_itself(place: Place) -> None:
    data = archive(
        member(b"", content=EVIL), member(b"/", content=EVIL), directory(b".", mode=0o711), symlink(b"./", b"/")
    )
    diff = place.unpack(data)
    assert list(diff.iterdir()) == []
    assert stat.S_IMODE(diff.stat().st_mode) == 0o711


# Symbolic links


@pytest.mark.parametrize("climb", [False, True])
def test_writing_through_a_link(place: Place, climb: bool) -> None:
    target = place.way_out() if climb else os.fsencode(place.outside)
    place.refused(
        archive(pax({"linkpath": target}), symlink(b"l", b""), member(b"l/secret", content=EVIL)), "in the way"
    )


def test_writing_over_a_link_replaces_it(place: Place) -> None:
    target = os.fsencode(place.outside / "secret")
    diff = place.unpack(archive(pax({"linkpath": target}), symlink(b"l", b""), member(b"l", content=EVIL)))
    assert not (diff / "l").is_symlink()
    assert (diff / "l").read_bytes() == EVIL


def test_a_directory_over_a_link_replaces_it(place: Place) -> None:
    target = os.fsencode(place.outside)
    diff = place.unpack(archive(pax({"linkpath": target}), symlink(b"l", b""), directory(b"l", mode=0o777)))
    assert not (diff / "l").is_symlink()
    assert (diff / "l").is_dir()


def test_a_directory_replaced_by_a_link_before_its_mode_is_set(place: Place) -> None:
    data = archive(
        directory(b"d", mode=0o777), pax({"linkpath": os.fsencode(place.outside)}), symlink(b"d", b""), member(b"x")
    )
    assert (place.unpack(data) / "d").is_symlink()


def test_a_parent_replaced_by_a_link(place: Place) -> None:
    link = pax({"linkpath": os.fsencode(place.outside)}) + symlink(b"d", b"")
    data = archive(member(b"d/sub/x"), link, member(b"d/secret", content=EVIL))
    place.refused(data, "in the way")


def test_links_inside_the_layer_are_followed(place: Place) -> None:
    diff = place.unpack(archive(directory(b"usr/lib"), symlink(b"lib", b"/usr/lib"), member(b"lib/x", content=b"x")))
    assert (diff / "usr/lib/x").read_bytes() == b"x"
    assert (diff / "lib").readlink() == Path("/usr/lib")


def test_links_in_a_circle(place: Place) -> None:
    place.refused(archive(symlink(b"a", b"b"), symlink(b"b", b"a"), member(b"a/x", content=EVIL)), "symbolic links")


@pytest.mark.parametrize("target", [b"/proc/self/root", b"/proc/self/fd/0", b"/proc/1/root"])
def test_links_to_proc_lead_nowhere(place: Place, target: bytes) -> None:
    place.refused(archive(symlink(b"l", target), member(b"l/tmp/x", content=EVIL)), "in the way")


# Hard links


@pytest.mark.parametrize("target", [b"/etc/passwd", b"etc/passwd", b"nothing"])
def test_hard_links_to_what_is_not_there(place: Place, target: bytes) -> None:
    place.refused(archive(hard_link(b"l", target)), "not in this layer")


def test_hard_links_that_climb(place: Place) -> None:
    place.refused(archive(pax({"linkpath": place.way_out() + b"/secret"}), hard_link(b"l", b"")), "hard link")


def test_hard_links_through_a_link(place: Place) -> None:
    data = archive(pax({"linkpath": os.fsencode(place.outside)}), symlink(b"s", b""), hard_link(b"l", b"s/secret"))
    place.refused(data, "not in this layer")


def test_hard_links_to_a_link_do_not_follow_it(place: Place) -> None:
    link = pax({"linkpath": os.fsencode(place.outside / "secret")}) + symlink(b"s", b"")
    diff = place.unpack(archive(link, hard_link(b"l", b"s"), member(b"x")))
    assert (diff / "l").is_symlink()
    assert (diff / "l").lstat().st_ino == (diff / "s").lstat().st_ino


def test_writing_over_a_hard_link_leaves_the_other_name_alone(place: Place) -> None:
    diff = place.unpack(archive(member(b"a", content=b"good"), hard_link(b"b", b"a"), member(b"b", content=EVIL)))
    assert (diff / "a").read_bytes() == b"good"


def test_hard_links_to_directories(place: Place) -> None:
    place.refused(archive(directory(b"d"), hard_link(b"l", b"d")), "directory")


def test_a_hard_link_to_itself_keeps_the_file(place: Place) -> None:
    assert (place.unpack(archive(member(b"a", content=b"good"), hard_link(b"a", b"./a"))) / "a").read_bytes() == b"good"


# Devices, and what the helper may do with them


def test_devices_and_fifos(place: Place) -> None:
    diff = place.unpack(
        archive(
            member(b"null", kind=b"3", device=(1, 3), mode=0o666),
            member(b"disk", kind=b"4", device=(254, 0), mode=0o600),
            member(b"fifo", kind=b"6", mode=0o622, owner=(5, 6)),
        )
    )
    null, disk, fifo = (diff / name for name in ("null", "disk", "fifo"))
    assert (stat.S_ISCHR(null.lstat().st_mode), null.lstat().st_rdev) == (True, os.makedev(1, 3))
    assert (stat.S_ISBLK(disk.lstat().st_mode), disk.lstat().st_rdev) == (True, os.makedev(254, 0))
    assert (fifo.is_fifo(), fifo.lstat().st_uid, stat.S_IMODE(fifo.lstat().st_mode)) == (True, 5, 0o622)


def test_writing_over_a_fifo_does_not_wait_for_a_reader(place: Place) -> None:
    diff = place.unpack(archive(member(b"f", kind=b"6"), member(b"f", content=b"x")))
    assert (diff / "f").read_bytes() == b"x"


def test_writing_over_a_device_replaces_it(place: Place) -> None:
    diff = place.unpack(archive(member(b"d", kind=b"3", device=(1, 3)), member(b"d", content=b"x")))
    assert (diff / "d").read_bytes() == b"x"


# Replacing


def test_the_last_entry_of_a_name_counts(place: Place) -> None:
    diff = place.unpack(archive(member(b"a", content=b"first"), member(b"a", content=b"last", mode=0o600)))
    assert ((diff / "a").read_bytes(), stat.S_IMODE((diff / "a").stat().st_mode)) == (b"last", 0o600)


def test_a_file_over_a_directory(place: Place) -> None:
    data = archive(directory(b"d"), member(b"d/sub/x"), member(b"d", content=b"x"), member(b"after"))
    assert (place.unpack(data) / "d").read_bytes() == b"x"


def test_a_directory_over_a_file(place: Place) -> None:
    assert (place.unpack(archive(member(b"d"), directory(b"d"), member(b"d/x"))) / "d/x").exists()


def test_below_a_file(place: Place) -> None:
    place.refused(archive(member(b"f"), member(b"f/x")), "no directory")


def test_below_a_directory_that_became_a_file(place: Place) -> None:
    place.refused(archive(member(b"d/x"), member(b"d"), member(b"d/y")), "no directory")


# Whiteouts


@pytest.mark.parametrize("name", [b".wh.", b".wh..", b".wh...", b"d/.wh..."])
def test_whiteouts_of_nothing_and_of_parents(place: Place, name: bytes) -> None:
    place.refused(archive(directory(b"d"), member(name)), "whiteout")


def test_whiteouts_through_a_link(place: Place) -> None:
    data = archive(pax({"linkpath": os.fsencode(place.outside)}), symlink(b"s", b""), member(b"s/.wh.secret"))
    place.refused(data, "in the way")


def test_opaque_marks_through_a_link(place: Place) -> None:
    data = archive(pax({"linkpath": os.fsencode(place.outside)}), symlink(b"s", b""), member(b"s/.wh..wh..opq"))
    place.refused(data, "in the way")


def test_an_opaque_directory_replaced_by_a_link_to_outside(place: Place) -> None:
    """The engine marks opaque directories after the helper: it must not follow what is there by then."""
    data = archive(
        member(b"d/.wh..wh..opq"), pax({"linkpath": place.way_out() + b"/sub"}), symlink(b"d", b""), member(b"x")
    )
    assert (place.unpack(data) / "d").is_symlink()


def test_an_opaque_root(place: Place) -> None:
    diff = place.unpack(archive(member(b".wh..wh..opq"), member(b"x")))
    assert os.getxattr(diff, OPAQUE) == b"y"


def test_aufs_marks_mean_nothing(place: Place) -> None:
    assert list(place.unpack(archive(directory(b".wh..wh.plnk"), member(b".wh..wh.aufs"))).iterdir()) == []


# Attributes


def test_overlay_attributes_of_the_archive_are_left_out(place: Place) -> None:
    """`trusted.overlay.redirect` would let a layer show a directory of another one."""
    records = {"SCHILY.xattr.trusted.overlay.redirect": b"/etc", "SCHILY.xattr.trusted.overlay.opaque": b"y"}
    diff = place.unpack(archive(pax(records), directory(b"d"), pax(records), member(b"f")))
    assert os.listxattr(diff / "d") == os.listxattr(diff / "f") == []


def test_attributes_that_are_too_large(place: Place) -> None:
    place.refused(archive(pax({"SCHILY.xattr.user.big": b"x" * 100_000}), member(b"f")), "too large")


def test_attributes_without_a_name(place: Place) -> None:
    place.refused(archive(pax({"SCHILY.xattr.user.": b"x"}), member(b"f")), "not valid")


def test_setuid_is_kept_in_the_layer_and_the_layer_out_of_reach(place: Place) -> None:
    diff = place.unpack(archive(member(b"su", mode=0o6755, owner=(0, 0)), member(b"other", mode=0o4755, owner=(5, 5))))
    assert stat.S_IMODE((diff / "su").stat().st_mode) == 0o6755
    assert stat.S_IMODE((diff / "other").stat().st_mode) == 0o4755
    assert stat.S_IMODE(place.root.stat().st_mode) == 0o700


# Too much, and broken


def test_too_many_entries(place: Place) -> None:
    place.refused(archive(*[member(b"%d" % i) for i in range(LIMITS.entries + 1)]), "entries that are allowed")


@pytest.mark.parametrize(
    ("member", "reason"), [(member(b"again"), "entries that are allowed"), (pax({"uid": b"1"}), "extended headers")]
)
def test_archives_without_end(place: Place, member: bytes, reason: str) -> None:
    with place.store.unpack(expected=Digest.of(b"")) as sink, pytest.raises(InvalidParameter, match=reason):
        write_for_ever(sink, member * 1000)


def write_for_ever(sink: LayerUnpacker, data: bytes) -> None:
    while True:
        sink.write(data)


def test_too_many_bytes(place: Place) -> None:
    place.refused(archive(member(b"a", content=bytes(LIMITS.bytes + 1))), "bytes that are allowed")


def test_a_size_far_beyond_the_limit_is_refused_before_it_is_written(place: Place) -> None:
    place.refused(member(b"a", size=base256(1 << 50, 12)), "bytes that are allowed")


VERSION_1 = {"GNU.sparse.major": b"1", "GNU.sparse.minor": b"0", "GNU.sparse.realsize": b"9"}


def sparse(size: int, pieces: bytes) -> dict[str, bytes]:
    return {"GNU.sparse.size": b"%d" % size, "GNU.sparse.map": pieces}


def gnu_sparse(*, goes_on: bool) -> bytes:
    """A header of GNU's own kind of sparse files, whose map goes on in further blocks."""
    header = bytearray(member(b"a", kind=b"S", magic=b"ustar  \0"))
    header[482] = goes_on
    header[483:495] = b"00000000011\0"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


BROKEN: list[tuple[str, Callable[[], bytes], str]] = [
    ("negative size", lambda: archive(member(b"a", size=base256(-512, 12))), "negative"),
    ("checksum", lambda: archive(member(b"a", checksum=7)), "checksum"),
    ("truncated file", lambda: member(b"a", content=b"x" * 9000)[:4000], "middle of a file"),
    ("truncated header", lambda: member(b"a") + member(b"b")[:100], "middle of a header"),
    ("large pax header", lambda: archive(pax({"comment": b"x" * 2_000_000}), member(b"a")), "extended headers"),
    ("sparse of a stranger", lambda: archive(member(b"a", kind=b"S")), "not supported"),
    ("sparse without a map", lambda: archive(pax({"GNU.sparse.realsize": b"9"}), member(b"a")), "no map"),
    ("sparse of no size", lambda: archive(pax({"GNU.sparse.map": b"0,1"}), member(b"a", content=b"x")), "no size"),
    ("sparse link", lambda: archive(pax(sparse(9, b"0,1")), member(b"a", kind=b"2", link=b"b")), "that is no file"),
    ("sparse, odd", lambda: archive(pax(sparse(9, b"0")), member(b"a", content=b"x")), "without a length"),
    ("sparse, negative", lambda: archive(pax(sparse(9, b"-1,1")), member(b"a", content=b"x")), "no number"),
    ("sparse, beyond", lambda: archive(pax(sparse(9, b"9,1")), member(b"a", content=b"x")), "a piece of 1 bytes at 9"),
    ("sparse, twice", lambda: archive(pax(sparse(9, b"0,2,1,2")), member(b"a", content=b"xxxx")), "after 2 of 9"),
    ("sparse, too little", lambda: archive(pax(sparse(9, b"0,5")), member(b"a", content=b"x")), "are not the 1 bytes"),
    ("sparse, too much", lambda: archive(pax(sparse(9, b"0,1")), member(b"a", content=b"xx")), "are not the 2 bytes"),
    ("sparse, too large", lambda: archive(pax(sparse(1 << 50, b"0,1")), member(b"a", content=b"x")), "bytes that are"),
    ("sparse, by turns", lambda: archive(pax({"GNU.sparse.numbytes": b"1"}), member(b"a", content=b"x")), "by turns"),
    ("sparse, cut map", lambda: archive(pax(VERSION_1), member(b"a", content=b"2\n0\n")), "longer than the file"),
    ("sparse, no map", lambda: archive(pax(VERSION_1), member(b"a", content=b"x" * 512)), "longer than the file"),
    ("sparse, huge map", lambda: archive(pax(VERSION_1), member(b"a", content=b"99999\n" * 500_000)), "map of more"),
    ("sparse, endless header", lambda: gnu_sparse(goes_on=True) + b"1" * 3_000_000, "a map of more than"),
    ("sparse, cut header", lambda: gnu_sparse(goes_on=True), "in the middle of a sparse file's map"),
    ("NUL in a name", lambda: archive(pax({"path": b"a\0/../b"}), member(b"a")), "NUL"),
    ("owner out of range", lambda: archive(pax({"uid": b"4294967295"}), member(b"a")), "more than"),
    ("no tar at all", lambda: b"<html>not found</html>" * 100, "octal|checksum"),
]


@pytest.mark.parametrize(("data", "reason"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_broken_archives(place: Place, data: Callable[[], bytes], reason: str) -> None:
    place.refused(data(), reason)


def test_the_store_works_on_after_all_that(place: Place) -> None:
    place.refused(archive(member(b"../x")), r"'\.\.'")
    assert (place.unpack(archive(member(b"x", content=b"good"))) / "x").read_bytes() == b"good"
