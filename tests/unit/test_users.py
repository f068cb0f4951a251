"""Who a container's process is, by passwd and group files that anybody may have written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.containers.spec.users import Identity, resolve
from engine.errors import InvalidParameter
from engine.kernel import paths

PASSWD = "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1001:A:/home/alice:/bin/sh\nshort:x:7:8\n1000:x:0:0::/root:\n"
GROUP = "root:x:0:\nstaff:x:50:alice,bob\nbare:x:60\nwheel:x:10:bob,root\n4000:x:0:\n"


class Tree:
    """A container's root with these two files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "etc").mkdir()
        self.write(passwd=PASSWD, group=GROUP)

    def write(self, **files: str | bytes) -> None:
        for name, content in files.items():
            (self.root / "etc" / name).write_bytes(content.encode() if isinstance(content, str) else content)

    def who(self, user: str, *added: str) -> Identity:
        with paths.opened_root(self.root) as root:
            return resolve(root, user, group_add=added)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    (tmp_path / "root").mkdir()
    return Tree(tmp_path / "root")


@pytest.mark.parametrize(
    ("user", "uid", "gid", "groups", "home"),
    [
        ("", 0, 0, (0, 10), "/root"),
        ("root", 0, 0, (0, 10), "/root"),
        ("alice", 1000, 1001, (1001, 50), "/home/alice"),
        ("alice:staff", 1000, 50, (50,), "/home/alice"),
        ("alice:4", 1000, 4, (4,), "/home/alice"),
        ("alice:bare", 1000, 60, (60,), "/home/alice"),
        ("short", 7, 8, (8,), "/"),
        ("5000", 5000, 0, (0,), "/"),
        ("5000:6000", 5000, 6000, (6000,), "/"),
        (":staff", 0, 50, (50,), "/root"),
    ],
)
def test_names_and_numbers(tree: Tree, user: str, uid: int, gid: int, groups: tuple[int, ...], home: str) -> None:
    assert tree.who(user) == Identity(uid=uid, gid=gid, groups=groups, home=home)


def test_digits_are_a_number_whatever_the_image_calls_its_users(tree: Tree) -> None:
    """An image with a user named `1000` that has the number 0 must not make root of `--user 1000`."""
    found = tree.who("1000", "4000")
    assert (found.uid, found.gid) == (1000, 1001)
    assert found.groups == (1001, 50, 4000)
    assert tree.who("1000:4000").gid == 4000


def test_nobody_named_means_the_number_zero(tree: Tree) -> None:
    tree.write(passwd="root:x:1000:1000::/tmp:\n")
    assert tree.who("") == Identity(uid=0, gid=0, groups=(0,), home="/")
    assert tree.who("root").uid == 1000


@pytest.mark.parametrize(
    "user", ["eve", "alice:eve", "4294967295", "2147483648", "99999999999999999999", "-1", "\u0661"]
)
def test_who_is_not_there(tree: Tree, user: str) -> None:
    with pytest.raises(InvalidParameter):
        tree.who(user)
    with pytest.raises(InvalidParameter, match="unable to find group"):
        tree.who("", "eve")


def test_no_files_at_all(tree: Tree) -> None:
    for name in ("passwd", "group"):
        (tree.root / "etc" / name).unlink()
    assert tree.who("12:34") == Identity(uid=12, gid=34, groups=(34,), home="/")
    with pytest.raises(InvalidParameter, match="unable to find user root"):
        tree.who("root")


def test_a_link_cannot_lead_to_the_hosts_file(tree: Tree, tmp_path: Path) -> None:
    outside = tmp_path / "passwd"
    outside.write_text("eve:x:1:1::/:\n")
    for target in (outside, Path("../../passwd"), Path("/proc/self/fd/0")):
        (tree.root / "etc/passwd").unlink()
        (tree.root / "etc/passwd").symlink_to(target)
        with pytest.raises(InvalidParameter):
            tree.who("eve")


@pytest.mark.parametrize("kind", ["fifo", "directory"])
def test_what_is_no_file_is_not_read(tree: Tree, kind: str) -> None:
    path = tree.root / "etc/passwd"
    path.unlink()
    os.mkfifo(path) if kind == "fifo" else path.mkdir()
    assert tree.who("5").uid == 5


def test_lines_that_are_no_entries(tree: Tree) -> None:
    tree.write(
        passwd=b"\n::::::\n+\n\xff\xfe:x:9:9::/:\nbad:x:zero:0::/:\nbig:x:" + b"9" * 5000 + b":0::/:\nok:x:5:6::/h:\n",
        group=b"staff:x:\nhuge:x:99999999999:ok\nreal:x:7:ok\n",
    )
    assert tree.who("ok") == Identity(uid=5, gid=6, groups=(6, 7), home="/h")
    for user in ("bad", "big", "+"):
        with pytest.raises(InvalidParameter):
            tree.who(user)


def test_a_huge_file_is_read_in_part(tree: Tree) -> None:
    tree.write(passwd="filler:x:1:1::/:\n" * 500_000 + "late:x:2:2::/:\n")
    with pytest.raises(InvalidParameter):
        tree.who("late")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(passwd=st.binary(max_size=80), group=st.binary(max_size=80), user=st.text(max_size=12))
def test_any_bytes_give_an_identity_or_an_error(tree: Tree, passwd: bytes, group: bytes, user: str) -> None:
    tree.write(passwd=passwd, group=group)
    try:
        found = tree.who(user)
    except InvalidParameter:
        return
    assert 0 <= found.uid < 2**31
    assert all(0 <= number < 2**31 for number in (found.gid, *found.groups))
