"""Capabilities (capabilities(7)): Docker's default set, and what a request adds and drops."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from engine.errors import InvalidParameter
from engine.kernel.process import CAPABILITIES

DEFAULT: Final = (
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)

ALL: Final = frozenset(CAPABILITIES)


def effective(*, add: Iterable[str], drop: Iterable[str], privileged: bool, held: frozenset[str]) -> tuple[str, ...]:
    """The capabilities of a container, sorted; *held* are those that the engine itself has to give.

    Docker's rule: `ALL` in *add* gives everything but what *drop* names, `ALL` in *drop* only what *add* names.
    `InvalidParameter` for a word that is no capability.
    """
    added, dropped = _names("CapAdd", add), _names("CapDrop", drop)
    if privileged:
        wanted = set(ALL)
    elif "ALL" in added:
        wanted = set(ALL) - dropped
    elif "ALL" in dropped:
        wanted = added
    else:
        wanted = set(DEFAULT) - dropped | added
    return tuple(sorted(wanted & held))


def _names(field: str, words: Iterable[str]) -> set[str]:
    names = set()
    for word in words:
        upper = word.upper()
        name = upper if upper == "ALL" or upper.startswith("CAP_") else f"CAP_{upper}"
        if name == "CAP_ALL":
            name = "ALL"
        if name != "ALL" and name not in ALL:
            raise InvalidParameter(f'{field}: invalid {field}: unknown capability: "{name[:60]}"')
        names.add(name)
    return names
