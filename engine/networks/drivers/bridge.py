"""Bridge networks: a bridge of the host with an address of each subnet, and a veth pair for each container."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path
from typing import Any, Final

from engine.errors import Forbidden, InvalidParameter
from engine.networks import links
from engine.networks.addresses import interface_of, mac_of
from engine.networks.drivers.interface import LocalDriver, flag, mtu_of
from engine.networks.firewall import Side
from engine.networks.model import Driver, Endpoint, Network

_PREFIX: Final = "com.docker.network.bridge."
NAME: Final = _PREFIX + "name"
DEFAULT: Final = _PREFIX + "default_bridge"
_ICC: Final = _PREFIX + "enable_icc"
_MASQUERADE: Final = _PREFIX + "enable_ip_masquerade"
_HOST_ADDRESS: Final = _PREFIX + "host_binding_ipv4"
DEFAULT_OPTIONS: Final = {
    DEFAULT: "true",
    _ICC: "true",
    _MASQUERADE: "true",
    _HOST_ADDRESS: "0.0.0.0",
    NAME: "",
}
"""What inspect tells of the default network, beside its link's name."""
_LINK: Final = re.compile(r"[A-Za-z0-9_.-]{1,15}")


def bridge_name(network: Network) -> str:
    """The network's link on the host."""
    return network.options.get(NAME) or f"br-{network.id[:12]}"


def host_address(network: Network) -> str:
    """Where ports are published that name no address; "" is everywhere, both families."""
    address = network.options.get(_HOST_ADDRESS, "")
    return "" if address == "0.0.0.0" else address


class BridgeDriver(LocalDriver):
    def check(self, network: Network, others: Collection[Network]) -> Network:
        name = bridge_name(network)
        if not _LINK.fullmatch(name) or name in (".", ".."):
            raise InvalidParameter(
                f"{NAME}: {name[:40]!r} is no name of a link: 1 to 15 letters, digits, '_', '.' or '-'"
            )
        for other in others:
            if other.driver is Driver.BRIDGE and bridge_name(other) == name:
                raise Forbidden(
                    f"cannot create network {network.id} ({name}): conflicts with network {other.id} ({name}): "
                    "networks have same bridge name"
                )
        if network.options.get(NAME) and links.exists(name) and not links.is_bridge(name):
            raise Forbidden(f"existing interface {name} is not a bridge: network {network.name} cannot have it")
        mtu_of(network)
        require_flags(network)
        return network

    def ensure(self, network: Network) -> None:
        gateways = [
            interface_of(pool.gateway, pool.subnet) for pool in network.usable_pools if pool.gateway is not None
        ]
        links.ensure_bridge(
            bridge_name(network),
            gateways,
            mac=mac_of(network.gateway) if network.gateway is not None else None,
            mtu=mtu_of(network),
        )

    def delete(self, network: Network) -> None:
        # One that was there before, under the name that a person chose, is left alone.
        if NAME not in network.options or DEFAULT in network.options or links.is_made_here(bridge_name(network)):
            links.delete_link(bridge_name(network))

    def side(self, network: Network) -> Side | None:
        return Side(
            bridge=bridge_name(network),
            subnets=tuple(pool.subnet for pool in network.usable_pools),
            internal=network.internal,
            masquerade=flag(network, _MASQUERADE, default=True),
        )

    def attach(self, route: Any, network: Network, endpoint: Endpoint, descriptor: int, *, publishing: bool) -> None:
        links.add_veth(
            route,
            endpoint,
            bridge=bridge_name(network),
            descriptor=descriptor,
            hairpin=publishing,
            isolated=not flag(network, _ICC, default=True),
        )

    def detach(self, endpoint: Endpoint, namespace: Path) -> None:  # noqa: ARG002 - the host's end of its link is enough
        links.unplug(links.interface_name(endpoint.id))

    def sweep(self, network: Network, kept: Sequence[Endpoint]) -> None:
        bridge = bridge_name(network)
        names = {links.interface_name(endpoint.id) for endpoint in kept}
        for name in links.bridge_ports(bridge):
            if name not in names and name.startswith("veth"):
                links.delete_link(name)
        links.ensure_plugged(bridge, names)


def require_flags(network: Network) -> None:
    """`InvalidParameter` for an option of a bridge that cannot be read."""
    for option in (_ICC, _MASQUERADE):
        flag(network, option, default=True)
    if (address := network.options.get(_HOST_ADDRESS, "")) != "":
        try:
            IPv4Address(address)
        except AddressValueError as error:
            raise InvalidParameter(
                f"failed to parse {_HOST_ADDRESS} value: {address[:40]} (give an IPv4 address)"
            ) from error
