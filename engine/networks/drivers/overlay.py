"""Overlay networks: a bridge on each host of a cluster, and a VXLAN tunnel among them.

The gateway is on every host, with the same address and the same MAC: a container's way out and its published ports are
those of the host that it is on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pyroute2 import IPRoute

from engine.errors import Forbidden, InvalidParameter
from engine.networks import ipam, links
from engine.networks.cluster import vxlan
from engine.networks.cluster.admission import FIRST_VNI, LAST_VNI, VNI, is_vni, pool_of, require_private, vni_of
from engine.networks.cluster.member import Member, link_name
from engine.networks.drivers.bridge import NAME, BridgeDriver, bridge_name, require_flags
from engine.networks.drivers.interface import MTU, mtu_of
from engine.networks.model import Attachment, Driver, Endpoint, Network

_REFUSED: Final = {
    "encrypted": "tunnels are not encrypted: let them run through WireGuard or IPsec between the hosts",
    NAME: "an overlay network's bridge has a name of its own on every host",
}


class OverlayDriver(BridgeDriver):
    """Without a cluster it can do nothing; `join` gives it one."""

    def __init__(self) -> None:
        self._member: Member | None = None
        self._still_alone: Callable[[], None] = lambda: None
        """Of the making that goes on: only one does at a time, on all hosts."""

    def join(self, member: Member) -> None:
        self._member = member

    @property
    def member(self) -> Member:
        """`Forbidden` where this engine is alone."""
        if self._member is None:
            raise Forbidden(
                "overlay networks span the engines of a cluster, and this one is in none: set HAVRE_CLUSTER_URL to a "
                "Redis that all of them reach, such as redis://10.0.0.1:6379/0, and start the engine again"
            )
        return self._member

    @contextmanager
    def making(self) -> Iterator[None]:
        self.member.settle()
        with self.member.store.changing(self.member.node) as still_alone:
            self.member.agree()  # subnets and names of networks that others have just made
            still_alone()
            self._still_alone = still_alone
            yield

    def check(self, network: Network, others: Collection[Network]) -> Network:
        require_options(network)
        if network.ipv6:
            raise InvalidParameter("overlay networks have IPv4 only: leave IPv6 off")
        wanted = network.options.get(VNI) or str(self.member.store.next_vni())
        if not is_vni(wanted):
            raise InvalidParameter(f"{VNI}: {wanted[:40]!r} is no number from {FIRST_VNI} to {LAST_VNI}")
        for other in others:
            if other.driver is Driver.OVERLAY and vni_of(other) == int(wanted):
                raise Forbidden(f"{VNI}: network {other.name} has the number {wanted} already")
        return replace(network, options={**network.options, VNI: wanted})

    def publish(self, network: Network) -> None:
        require_private(network)
        self._still_alone()
        self.member.publish(network)

    def withdraw(self, network: Network) -> None:
        self.member.settle()
        self.member.store.remove_network(network.id, vni=vni_of(network), name=network.name)

    def ensure(self, network: Network) -> None:
        # Before its cluster is there, at start, tunnels of an earlier daemon stay as they are.
        with IPRoute() as route:
            mtu = mtu_of(network) or links.default_mtu(route) - vxlan.OVERHEAD
        super().ensure(replace(network, options={**network.options, MTU: str(mtu)}))
        member = self.member
        vxlan.ensure(
            link_name(network.id), vni=vni_of(network), local=member.host, bridge=bridge_name(network), mtu=mtu
        )

    def delete(self, network: Network) -> None:
        links.delete_link(link_name(network.id))
        super().delete(network)
        if self._member is not None:
            self._member.forget(network)

    @contextmanager
    def reserving(self, network: Network, container_id: str, asked: Attachment) -> Iterator[Attachment]:
        pool = pool_of(network)
        if asked.address is not None:
            ipam.claim((pool,), asked.address, ())
        reserved = [address for address in (*pool.reserved.values(), pool.gateway) if address is not None]
        with self.member.joining(
            network, container_id, wanted=asked.address, span=ipam.span(pool), reserved=reserved
        ) as address:
            yield replace(asked, address=address)

    def attach(self, route: Any, network: Network, endpoint: Endpoint, descriptor: int, *, publishing: bool) -> None:
        super().attach(route, network, endpoint, descriptor, publishing=publishing)
        self.member.announce(endpoint)

    def detach(self, endpoint: Endpoint, namespace: Path) -> None:
        super().detach(endpoint, namespace)
        if self._member is not None:  # else there is nobody to tell any more
            self._member.retract(endpoint)


def require_options(network: Network) -> None:
    """`InvalidParameter` for an option that cannot be, or that says nothing good."""
    for option, why in _REFUSED.items():
        if option in network.options:
            raise InvalidParameter(f"option {option} is not supported by the overlay driver: {why}")
    mtu_of(network)
    require_flags(network)
