"""Who a container's process is: names from the container's own passwd and group files (passwd(5), group(5))."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from engine.errors import InvalidParameter
from engine.kernel import paths

_LIMIT = 4 * 1024 * 1024
_MOST = 0x7FFFFFFF
_DIGITS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A process's numbers, and the home directory that its environment tells."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def resolve(root: int, user: str, *, group_add: Iterable[str] = ()) -> Identity:
    """The identity that *user* means (`name`, `uid`, `name:group`, `uid:gid`) in the tree whose descriptor is *root*.

    Numbers need no entry in the files, names do: `InvalidParameter` in Docker's words. Supplementary groups come from
    the group file where *user* names no group. Digits are a number always, whatever an image calls its users: a name
    `1000` with the number 0 gives nobody root.
    """
    passwd = list(_lines(root, "/etc/passwd", 7))
    group = list(_lines(root, "/etc/group", 4))
    name, _, group_name = user.partition(":")
    uid, gid, home, login = 0, 0, "", ""
    if not name or _is_number(name):
        uid = _number(name or "0", "user")
        entry = next((line for line in passwd if int(line[2]) == uid), None)
    else:
        entry = next((line for line in passwd if line[0] == name), None)
        if entry is None:
            raise InvalidParameter(f"unable to find user {name[:100]}: no matching entries in passwd file")
    if entry is not None:
        uid, gid, home, login = _number(entry[2], "user"), _number(entry[3] or "0", "group"), entry[5], entry[0]
    groups: list[int] = []
    if group_name:
        gid = _group(group, group_name)
    else:
        groups = [_number(line[2], "group") for line in group if login and login in line[3].split(",")]
    groups += [_group(group, added) for added in group_add]
    return Identity(uid=uid, gid=gid, groups=tuple(dict.fromkeys((gid, *groups))), home=home or "/")


def _group(entries: list[list[str]], name: str) -> int:
    if _is_number(name):
        return _number(name, "group")
    for line in entries:
        if line[0] == name:
            return _number(line[2], "group")
    raise InvalidParameter(f"unable to find group {name[:100]}: no matching entries in group file")


def _lines(root: int, path: str, fields: int) -> Iterator[list[str]]:
    """The lines of a colon-separated file with numbers where they belong, filled up to *fields* with nothing."""
    for line in paths.read_in_root(root, path, limit=_LIMIT).decode("utf-8", "replace").split("\n"):
        parts = line.split(":")
        parts += [""] * (fields - len(parts))
        if (
            parts[0]
            and _is_number(parts[2])
            and len(parts[2]) <= _DIGITS
            and (fields < 7 or _is_number(parts[3] or "0"))
        ):
            yield parts


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _number(text: str, noun: str) -> int:
    if len(text) > _DIGITS or int(text) > _MOST:
        raise InvalidParameter(f"{noun} id {text[:30]} is too large: at most {_MOST}")
    return int(text)
