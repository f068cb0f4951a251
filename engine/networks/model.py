"""Networks, endpoints and published ports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Subnet: TypeAlias = IPv4Network | IPv6Network


class Driver(StrEnum):
    BRIDGE = "bridge"
    HOST = "host"
    NONE = "null"
    MACVLAN = "macvlan"
    OVERLAY = "overlay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A subnet of a network, and who may have what of it (Docker Engine API, `IPAMConfig`)."""

    subnet: Subnet
    gateway: Address | None = None
    ip_range: Subnet | None = None
    """The part of the subnet that addresses are handed out from; fixed ones may lie outside it."""
    reserved: Mapping[str, Address] = field(default_factory=dict)
    """Addresses of others on the same network, by names that people gave them."""
    chosen: bool = False
    """Whether a person chose the subnet: only then may a container ask for an address of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A network that the host reaches by a link, "" where a route has none (one that refuses, or several hops)."""

    subnet: Subnet
    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network as `GET /networks/{id}` tells it; `host` and `none` have no pools."""

    id: str
    name: str
    driver: Driver
    created: int
    pools: tuple[Pool, ...] = ()
    ipv6: bool = False
    internal: bool = False
    attachable: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    ipam_options: Mapping[str, str] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def scope(self) -> str:
        """Where it is: on this host alone, or on every one of the cluster."""
        return "global" if self.driver is Driver.OVERLAY else "local"

    @property
    def subnet(self) -> IPv4Network | None:
        """The first of IPv4."""
        return next((pool.subnet for pool in self.pools if isinstance(pool.subnet, IPv4Network)), None)

    @property
    def gateway(self) -> IPv4Address | None:
        """That of `subnet`."""
        return next((pool.gateway for pool in self.pools if isinstance(pool.gateway, IPv4Address)), None)

    @property
    def usable_pools(self) -> tuple[Pool, ...]:
        """Those that containers get addresses of: a subnet of IPv6 may be written down and not be in use."""
        return tuple(pool for pool in self.pools if self.ipv6 or pool.subnet.version == 4)


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class PublishedPort:
    """A container's port that answers on the host.

    In a request `host_port` 0 asks for a free one and `host_ip` "" for every address, both families; what the service
    answers is always concrete: one row for `0.0.0.0`, one for `::`.
    """

    container_port: int
    protocol: str = "tcp"
    host_ip: str = ""
    host_port: int = 0
    host_port_last: int = 0
    """In a request, the end of a range that begins with `host_port`, of which any port will do; 0 is no range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """What a container asks of one network, whether it runs or not (Docker Engine API, `EndpointSettings`)."""

    network: str
    """The network's name, or what the request called it until there was an endpoint."""
    network_id: str = ""
    """Known from the first endpoint on."""
    address: IPv4Address | None = None
    address6: IPv6Address | None = None
    link_local: tuple[str, ...] = ()
    """Written down and not used, as in dockerd on Linux."""
    mac: str = ""
    aliases: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    """`container:alias`: names that only this container knows for others of the network."""
    options: Mapping[str, str] = field(default_factory=dict)
    gateway_priority: int = 0
    """The highest of a container's networks has its default route."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A container's place in a network."""

    id: str
    network_id: str
    network_name: str
    container_id: str
    address: IPv4Interface | None = None
    gateway: IPv4Address | None = None
    address6: IPv6Interface | None = None
    gateway6: IPv6Address | None = None
    mac: str = ""
    interface: str = "eth0"
    """The name of its link inside the container."""
    names: tuple[str, ...] = ()
    """What others of the network may call it, the container's name first."""
    links: Mapping[str, str] = field(default_factory=dict)
    """What this container alone calls others: alias to name."""
    gateway_priority: int = 0

    @property
    def addresses(self) -> tuple[IPv4Interface | IPv6Interface, ...]:
        return tuple(address for address in (self.address, self.address6) if address is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """A container's network as a whole: its namespace, its endpoints and its published ports.

    `netns` is a bind mount of the namespace, `None` where the container uses the host's.
    """

    container_id: str
    netns: Path | None
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[PublishedPort, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolverConfig:
    """What goes into a container's /etc/resolv.conf; empty parts are taken from the host."""

    servers: tuple[Address, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxRequest:
    """What a container asks of its networks when it starts."""

    container_id: str
    attachments: tuple[Attachment, ...]
    """In the order of their interfaces: eth0, eth1, …"""
    name: str = ""
    """The container's, without a slash."""
    hostname: str = ""
    ports: tuple[PublishedPort, ...] = ()
    servers: tuple[Address, ...] = ()
    """Where names that no container has are asked for; none are the host's."""
