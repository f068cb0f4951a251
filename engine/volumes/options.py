"""The options of the local driver: what is mounted where a volume's data are (mount(8) has the words)."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.errors import InvalidParameter
from engine.kernel import syscalls

_KEYS: Final = frozenset({"type", "o", "device"})
_FLAGS: Final = {
    "ro": syscalls.MS_RDONLY,
    "nosuid": syscalls.MS_NOSUID,
    "nodev": syscalls.MS_NODEV,
    "noexec": syscalls.MS_NOEXEC,
    "bind": syscalls.MS_BIND,
    "rbind": syscalls.MS_BIND | syscalls.MS_REC,
}
_NO_FLAGS: Final = frozenset({"", "defaults", "rw", "suid", "dev", "exec", "auto", "async", "_netdev"})


@dataclass(frozen=True, slots=True, kw_only=True)
class MountOptions:
    """What mount(2) wants."""

    kind: str
    source: str
    flags: int
    data: str

    def __str__(self) -> str:
        """For messages: whoever starts a container with the volume reads them, and is not to learn its password."""
        words = (f"{word.partition('=')[0]}=…" if word.startswith("pass") else word for word in self.data.split(","))
        return f"mount {self.source[:200]} (type {self.kind or 'none'}, options {','.join(words)[:200] or 'none'})"


def parse(options: Mapping[str, str]) -> MountOptions | None:
    """The mount that *options* ask for, `None` for a plain directory; `InvalidParameter` in Docker's words."""
    if unknown := options.keys() - _KEYS:
        raise InvalidParameter(f"invalid option: {min(unknown)[:60]!r}: the local driver knows type, o and device")
    if any("\0" in value for value in options.values()):
        raise InvalidParameter("a NUL in the volume's options")
    if not options:
        return None
    kind, device = options.get("type", ""), options.get("device", "")
    flags, data = 0, []
    for word in options.get("o", "").split(","):
        if word in _FLAGS:
            flags |= _FLAGS[word]
        elif word not in _NO_FLAGS:
            data.append(word)
    if not device:
        raise InvalidParameter('missing required option: "device": give device=…, and type=none with o=bind for a path')
    if not kind and not flags & syscalls.MS_BIND:
        raise InvalidParameter('missing required option: "type": give type=…, such as tmpfs, nfs or none')
    return MountOptions(kind="" if kind == "none" else kind, source=device, flags=flags, data=",".join(data))


def resolved(options: MountOptions) -> MountOptions:
    """*options* as the kernel wants them: it knows no host names, so `addr=` of nfs and cifs becomes an address.

    `InvalidParameter` where a name cannot be looked up, or where the directory to be bound is not there.
    """
    if options.flags & syscalls.MS_BIND and not Path(options.source).exists():
        raise InvalidParameter(f"failed to mount local volume: mount {options.source[:200]}: no such file or directory")
    if options.kind not in ("nfs", "nfs4", "cifs"):
        return options
    words = []
    for word in options.data.split(","):
        key, _, value = word.partition("=")
        words.append(f"addr={_address(value)}" if key == "addr" else word)
    return MountOptions(kind=options.kind, source=options.source, flags=options.flags, data=",".join(words))


def _address(name: str) -> str:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)  # takes addresses as they are
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no name of a host"
        raise InvalidParameter(f"error resolving the volume's host {name[:100]!r}: {why}") from error
    return str(found[0][4][0])
