"""Values that engines of a cluster tell each other."""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Self

from engine.errors import EngineFault


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
        """What another engine wrote; `EngineFault` where it cannot be read."""
        try:
            row: dict[str, Any] = json.loads(text)
            return cls(
                node=str(row["node"]),
                container_id=str(row["container"]),
                address=IPv4Address(row["address"]),
                mac=str(row["mac"]),
                host=IPv4Address(row["host"]),
                names=tuple(str(name) for name in row["names"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise EngineFault(f"the cluster's store has an endpoint that cannot be read: {text[:200]}") from error


def owner(node: str, container_id: str) -> str:
    """Whose address it is: one endpoint of a container in a network, on one node."""
    return f"{node}/{container_id}"
