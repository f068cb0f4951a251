"""The links of overlay networks: VXLAN (RFC 7348) between hosts, told by hand who is where.

Nothing is flooded and nothing learned: a frame for a stranger goes nowhere, and what asks for an address (ARP) is
answered here, on the asker's own host, from the kernel's neighbour table (the link's `proxy`).
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Final, Self

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from engine.networks.cluster.model import Peer

PORT: Final = 4789
"""UDP, assigned by IANA."""
OVERHEAD: Final = 50
"""Bytes that VXLAN puts around a frame over IPv4: 14 + 20 + 8 + 8."""
_PERMANENT: Final = 0x80
"""NUD_PERMANENT"""
_SELF: Final = 0x02
"""NTF_SELF: an entry of the tunnel's own table, not of the bridge that it is a port of."""
_ABSENT: Final = (errno.ENOENT, errno.ESRCH)


@dataclass(frozen=True, slots=True)
class Way:
    """Where frames of one container go."""

    address: IPv4Address
    mac: str
    host: IPv4Address

    @classmethod
    def to(cls, peer: Peer) -> Self:
        return cls(address=peer.address, mac=peer.mac.lower(), host=peer.host)


def ensure(name: str, *, vni: int, local: IPv4Address, bridge: str, mtu: int) -> None:
    """Make the link *name* as a port of *bridge*; one of another number or host is made anew."""
    with IPRoute() as route:
        found = route.link_lookup(ifname=name)
        if found:
            (row,) = route.link("get", index=found[0])
            kept = (
                row.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA", "IFLA_VXLAN_ID"),
                row.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA", "IFLA_VXLAN_LOCAL"),
            )
            if kept != (vni, str(local)):
                route.link("del", index=found[0])
                found = []
        if not found:
            route.link(
                "add",
                ifname=name,
                kind="vxlan",
                vxlan_id=vni,
                vxlan_local=str(local),
                vxlan_port=PORT,
                vxlan_learning=False,
                vxlan_proxy=True,
            )
        index = socket.if_nametoindex(name)
        route.link("set", index=index, master=socket.if_nametoindex(bridge), mtu=mtu, state="up")


def ways(name: str) -> set[Way]:
    """What the kernel has of a link now."""
    with IPRoute() as route:
        index = socket.if_nametoindex(name)
        hosts = {
            row.get_attr("NDA_LLADDR"): row.get_attr("NDA_DST")
            for row in route.fdb("dump", ifindex=index)
            if row.get_attr("NDA_DST")
        }
        rows = [
            (row.get_attr("NDA_DST"), row.get_attr("NDA_LLADDR"))
            for row in route.get_neighbours(family=socket.AF_INET, ifindex=index)
            if row["state"] & _PERMANENT
        ]
        return {
            Way(address=IPv4Address(address), mac=mac, host=IPv4Address(hosts[mac]))
            for address, mac in rows
            if mac in hosts
        }


def change(name: str, *, add: Collection[Way], remove: Collection[Way]) -> None:
    """Tell the kernel of ways that came and went; one that is there, or gone, already is no error."""
    with IPRoute() as route:
        index = socket.if_nametoindex(name)
        for way in remove:
            _gone(route.neigh, ifindex=index, dst=str(way.address), lladdr=way.mac)
            _gone(route.fdb, ifindex=index, lladdr=way.mac, dst=str(way.host), flags=_SELF)
        for way in add:
            route.fdb("replace", ifindex=index, lladdr=way.mac, dst=str(way.host), flags=_SELF)
            route.neigh("replace", ifindex=index, dst=str(way.address), lladdr=way.mac, state=_PERMANENT)


def _gone(table: Any, **entry: Any) -> None:
    """Remove an entry; no error when it is not there."""
    try:
        table("del", **entry)
    except NetlinkError as error:
        if error.code not in _ABSENT:
            raise
