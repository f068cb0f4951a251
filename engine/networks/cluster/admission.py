"""What may be part of an overlay network, whoever says so."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network
from typing import Final

from engine.errors import InvalidParameter
from engine.networks import ipam
from engine.networks.cluster.model import Peer
from engine.networks.model import Network, Pool

VNI: Final = "com.docker.network.driver.overlay.vxlanid_list"
"""Docker's option for a network's number."""
FIRST_VNI: Final = 4096
"""Lower ones are for people: Docker's overlay networks begin there too."""
LAST_VNI: Final = (1 << 24) - 1
_CARRIER: Final = IPv4Network("100.64.0.0/10")
"""Addresses behind a carrier's translation (RFC 6598), which are nobody's own either."""


def vni_of(network: Network) -> int:
    return int(network.options[VNI])


def is_vni(text: str) -> bool:
    """Whether *text* is a number that an overlay network may have."""
    return text.isascii() and text.isdecimal() and len(text) <= 8 and FIRST_VNI <= int(text) <= LAST_VNI


def pool_of(network: Network) -> Pool:
    """The one pool of an overlay network."""
    (pool,) = (pool for pool in network.pools if pool.subnet.version == 4)
    return pool


def require_private(network: Network) -> None:
    """`InvalidParameter` for addresses that the world uses: every host of the cluster would lose those of the world."""
    for pool in network.pools:
        subnet = pool.subnet
        if not subnet.is_private and not (isinstance(subnet, IPv4Network) and subnet.subnet_of(_CARRIER)):
            raise InvalidParameter(
                f"an overlay network has private addresses, such as those of 10.0.0.0/8, and not {subnet}"
            )


def admitted(network: Network, told: Iterable[Peer]) -> list[Peer]:
    """Those of *told* that can be in the network: with an address that containers get, which nobody has twice."""
    pool = pool_of(network)
    first, last = ipam.span(pool, whole=True)
    others = {*pool.reserved.values(), pool.gateway}
    found: dict[object, Peer] = {}
    for peer in told:
        if int(first) <= int(peer.address) <= int(last) and peer.address not in others:
            found.setdefault(peer.address, peer)
    return list(found.values())
