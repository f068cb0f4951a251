"""The values of RUN's `--mount` (Docker's reference of Dockerfiles, "RUN --mount")."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from engine.build.dockerfile.errors import Mistake
from engine.build.dockerfile.words import did_you_mean
from engine.types import parse_bool


class MountKind(StrEnum):
    BIND = "bind"
    CACHE = "cache"
    TMPFS = "tmpfs"
    SECRET = "secret"  # noqa: S105 - the name of a kind
    SSH = "ssh"


class Sharing(StrEnum):
    """Who may write to a cache at once: everybody, nobody else, or each build in one of its own."""

    SHARED = "shared"
    LOCKED = "locked"
    PRIVATE = "private"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMount:
    """One `--mount`."""

    kind: MountKind = MountKind.BIND
    from_: str = ""
    """A stage's name or number, an image, or empty for the context (bind) or an empty directory (cache)."""
    source: str = ""
    target: str = ""
    """Empty for a secret or an agent's socket in its usual place."""
    read_only: bool = True
    id: str = ""
    """Of a cache, a secret or an agent; empty: the target's path, the target's last part, `default`."""
    sharing: Sharing = Sharing.SHARED
    size: int = 0
    """Bytes of a tmpfs, 0 for no limit."""
    required: bool = False
    """Whether the build fails without the secret or the agent."""
    env: str | None = None
    """The environment variable that holds the secret."""
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


_KEYS: Final = (
    "type", "from", "source", "src", "target", "dst", "destination", "readonly", "ro", "readwrite", "rw", "id",
    "sharing", "required", "size", "mode", "uid", "gid", "env",
)  # fmt: skip
_SAME: Final = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly", "rw": "readwrite"}
_ALONE: Final = frozenset({"readonly", "readwrite", "required"})
"""Keys that may stand without a value."""
_WITH_OWNER: Final = frozenset({MountKind.CACHE, MountKind.SECRET, MountKind.SSH})
_WRITABLE: Final = frozenset({MountKind.CACHE, MountKind.TMPFS})
_SIZE: Final = re.compile(r"(\d{1,15}(?:\.\d{1,6})?) ?([kmgtp]?)(?:i?b)?", re.IGNORECASE | re.ASCII)
_UNITS: Final = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50}
_MOST_ID: Final = 1 << 32


def parse_mount(text: str, expand: Callable[[str], str] = str) -> RunMount:
    """The mount that *text* asks for, `type=cache,target=/root/.cache`; *expand* puts in the values of variables.

    `Mistake` names the key that is wrong.
    """
    pairs = [_pair(field, text, expand) for field in _fields(text)]
    values = dict(pairs)
    kind = _choice(MountKind, "mount type", values.get("type", "bind"))
    _check(kind, values)
    read_only = kind not in _WRITABLE
    for key, value in pairs:
        if key in ("readonly", "readwrite"):
            read_only = _truth(key, value) == (key == "readonly")
    return RunMount(
        kind=kind,
        from_=values.get("from", ""),
        source=values.get("source", ""),
        target=values.get("target", ""),
        read_only=read_only,
        id=values.get("id", ""),
        sharing=_choice(Sharing, "sharing value", values["sharing"]) if values.get("sharing") else Sharing.SHARED,
        size=_size(values["size"]) if "size" in values else 0,
        required=_truth("required", values["required"]) if "required" in values else False,
        env=values.get("env"),
        mode=_number("mode", values, base=8),
        uid=_number("uid", values, base=10),
        gid=_number("gid", values, base=10),
    )


def mount_origin(text: str) -> str:
    """The stage or image that a mount is taken from, empty for none. Variables are not allowed there."""
    return next((value for key, _, value in map(_cut, _fields(text)) if key == "from"), "")


def check_mount(text: str) -> None:
    """`Mistake` for what is wrong in any case; all of it, where there are no variables in *text*."""
    if "$" not in text:
        parse_mount(text)
    for field in _fields(text):
        _pair(field, text, str)


def _cut(field: str) -> tuple[str, str, str]:
    key, equals, value = field.partition("=")
    return key.lower(), equals, value


def _fields(text: str) -> list[str]:
    """The fields of one line of comma-separated values, in which quotes protect commas."""
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise Mistake(f"failed to parse csv mounts: {error}", token=text[:60]) from error
    return rows[0] if rows else []


def _pair(field: str, text: str, expand: Callable[[str], str]) -> tuple[str, str]:
    written, equals, value = field.partition("=")
    key = written.lower()
    if key not in _KEYS:
        raise Mistake(did_you_mean(f"unexpected key '{key[:60]}' in '{field[:100]}'", key, _KEYS), token=written[:60])
    name = _SAME.get(key, key)
    if not equals and name not in _ALONE:
        raise Mistake(f"invalid field '{field[:100]}' must be a key=value pair", token=field[:60])
    if name == "from" and "$" in value[:-1]:
        raise Mistake(
            "'from' doesn't support variable expansion, define alias stage instead", token=text[text.find("$") :][:60]
        )
    return name, expand(value) if equals else "true"


def _check(kind: MountKind, values: dict[str, str]) -> None:
    """What does not go together."""
    if "required" in values and kind not in (MountKind.SECRET, MountKind.SSH):
        raise Mistake(f"unexpected key 'required' for mount type '{kind}'", token="required")  # noqa: S106 - text
    if "size" in values and kind is not MountKind.TMPFS:
        raise Mistake(f"unexpected key 'size' for mount type '{kind}'", token="size")  # noqa: S106
    for key in ("mode", "uid", "gid"):
        if key in values and kind not in _WITH_OWNER:
            raise Mistake(f'{key} not allowed for "{kind}" type mounts', token=f"{key}=")
    if values.get("sharing") and kind is not MountKind.CACHE:
        raise Mistake(f"invalid cache sharing set for {kind} mount", token="sharing")  # noqa: S106
    if kind is MountKind.SECRET:
        if values.get("from"):
            raise Mistake("secret mount should not have a from", token="from=")  # noqa: S106
        if not any(values.get(key) for key in ("source", "target", "id")):
            raise Mistake("invalid secret mount. one of source, target required")
        if values.get("source") and values.get("id"):
            raise Mistake("both source and id can't be set", token="source=")  # noqa: S106
    elif kind in (MountKind.BIND, MountKind.CACHE, MountKind.TMPFS) and not values.get("target"):
        raise Mistake(f"the {kind} mount has no target: add target=/path")


_Kind = TypeVar("_Kind", MountKind, Sharing)


def _choice(kinds: type[_Kind], what: str, value: str) -> _Kind:
    for kind in kinds:
        if kind == value.lower():
            return kind
    raise Mistake(did_you_mean(f'unsupported {what} "{value[:60]}"', value, tuple(kinds)), token=value[:60])


def _truth(key: str, value: str) -> bool:
    if (said := parse_bool(value)) is None:
        raise Mistake(f"invalid value for {key}: {value[:60]}", token=value[:60])
    return said


def _size(value: str) -> int:
    match = _SIZE.fullmatch(value)
    if match is None:
        raise Mistake(f"invalid value for size: {value[:60]}", token=value[:60])
    return int(float(match[1]) * (1 << _UNITS[match[2].lower()]))


def _number(key: str, values: dict[str, str], *, base: int) -> int | None:
    value = values.get(key)
    if value is None:
        return None
    try:
        number = int(value, base) if value.isascii() and value.isdigit() and len(value) <= 12 else -1
    except ValueError:
        number = -1
    if not 0 <= number < _MOST_ID:
        raise Mistake(f"invalid value {value[:60]} for {key}", token=value[:60])
    return number
