"""Networks, endpoints and published ports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address
from pathlib import Path


class Driver(StrEnum):
    BRIDGE = "bridge"
    HOST = "host"
    NONE = "null"


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network as `GET /networks/{id}` tells it; `host` and `none` have no subnet."""

    id: str
    name: str
    driver: Driver
    created: int
    subnet: IPv4Network | None = None
    gateway: IPv4Address | None = None
    internal: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A container's place in a network."""

    id: str
    network_id: str
    network_name: str
    container_id: str
    address: IPv4Interface | None = None
    gateway: IPv4Address | None = None
    mac: str = ""
    aliases: tuple[str, ...] = ()


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
class SandboxRequest:
    """What a container asks of the network when it starts."""

    container_id: str
    network: str
    """A network's name or id: `default` and `bridge` are the default bridge, `host`, `none`."""
    ports: tuple[PublishedPort, ...] = ()
    mac: str = ""
    address: IPv4Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolverConfig:
    """What goes into a container's /etc/resolv.conf; empty parts are taken from the host."""

    servers: tuple[IPv4Address | IPv6Address, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
