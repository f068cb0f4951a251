"""Values that engines of a cluster tell each other."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Final, Self

from engine.errors import EngineFault

_ID: Final = re.compile(r"[0-9a-f]{64}")
_MAC: Final = re.compile(r"[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}")
"""Of one interface: the lowest bit of the first byte would make it a group's (IEEE 802, 8.2.2)."""
_MOST_NAMES: Final = 1000
_LONGEST_NAME: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """An endpoint of an overlay network on whichever host it is."""

    node: str
    """The engine that has it."""
    container_id: str
    address: IPv4Address
    mac: str
    host: IPv4Address
    """Where that engine takes VXLAN packets: its tunnel endpoint (VTEP, RFC 7348, 4)."""
    names: tuple[str, ...] = ()
    """What others of the network may call it, the container's name first."""

    @property
    def owner(self) -> str:
        return owner(self.node, self.container_id)

    def to_json(self) -> str:
        return json.dumps(
            {
                "node": self.node,
                "container": self.container_id,
                "address": str(self.address),
                "mac": self.mac,
                "host": str(self.host),
                "names": self.names,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What another engine wrote; `EngineFault` where it is no endpoint that there can be."""
        try:
            row: dict[str, Any] = json.loads(text)
            peer = cls(
                node=str(row["node"]),
                container_id=str(row["container"]),
                address=IPv4Address(str(row["address"])),
                mac=str(row["mac"]),
                host=IPv4Address(str(row["host"])),
                names=tuple(str(name) for name in row["names"][:_MOST_NAMES]),
            )
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise EngineFault(f"the cluster's store has an endpoint that cannot be read: {text[:200]!r}") from error
        if not peer._possible:
            raise EngineFault(f"the cluster's store has an endpoint that there cannot be: {text[:200]!r}")
        return peer

    @property
    def _possible(self) -> bool:
        host = self.host
        return (
            all(_ID.fullmatch(each) is not None for each in (self.node, self.container_id))
            and _MAC.fullmatch(self.mac) is not None
            and not (host.is_multicast or host.is_loopback or host.is_unspecified or host.is_reserved)
            and all(0 < len(name) <= _LONGEST_NAME for name in self.names)
        )


def owner(node: str, container_id: str) -> str:
    """Whose address it is: one endpoint of a container in a network, on one node."""
    return f"{node}/{container_id}"
