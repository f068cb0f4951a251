"""Published ports of containers: held on the host, led to the container that has them, moved with its default route."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from engine.errors import EngineError, EngineFault
from engine.networks import conntrack
from engine.networks.drivers.bridge import host_address
from engine.networks.firewall import Firewall, Target
from engine.networks.model import Driver, Endpoint, Network, PublishedPort
from engine.networks.ports import Ports
from engine.networks.records import NetworkRecords

_LOG: Final = logging.getLogger(__name__)


def publishable(network: Network) -> bool:
    """Whether ports of its containers can be published: others reach those of a macvlan network anyway."""
    return network.driver in (Driver.BRIDGE, Driver.OVERLAY) and not network.internal


class Publishing:
    def __init__(self, *, records: NetworkRecords, firewall: Firewall) -> None:
        self._records = records
        self._firewall = firewall
        self._ports = Ports()

    def close(self) -> None:
        """Let go of the host's ports; what runs stays reachable where the kernel leads to it."""
        self._ports.close()

    def hold(self, container_id: str, network: Network, wanted: Sequence[PublishedPort]) -> Sequence[PublishedPort]:
        """Hold the host's ports that *wanted* asks for, all or none; `PortInUse`."""
        default = host_address(network)
        asked = [replace(port, host_ip=port.host_ip or default) for port in wanted]
        return self._ports.hold(container_id, asked)

    def lead(self, endpoint: Endpoint, ports: Sequence[PublishedPort]) -> None:
        """Lead ports that are held to *endpoint*."""
        self._records.publish(endpoint.container_id, ports)
        self._firewall.publish(_targets(ports, endpoint))
        conntrack.forget_datagrams(
            (6 if ":" in port.host_ip else 4, port.host_port) for port in ports if port.protocol == "udp"
        )
        self._relay(endpoint, ports)

    def move(self, old: Endpoint, new: Endpoint) -> None:
        """Lead a container's ports to another of its endpoints."""
        ports = self._records.ports(old.container_id)
        self._firewall.publish(_targets(ports, new), instead_of=_targets(ports, old))
        self._relay(new, ports)

    def withdraw(self, container_id: str, endpoints: Iterable[Endpoint]) -> None:
        """Take a container's ports back; no error when it has none. *endpoints* are those that they may lead to."""
        ports = self._records.ports(container_id)
        for endpoint in endpoints:
            self._withdraw(_targets(ports, endpoint))
            if ports:
                conntrack.forget(address.ip for address in endpoint.addresses)
        self._ports.release(container_id)
        self._records.withdraw(container_id)

    def targets(self, endpoint: Endpoint) -> Sequence[Target]:
        """Where the ports of the container lead when they lead to *endpoint*."""
        return _targets(self._records.ports(endpoint.container_id), endpoint)

    def hold_again(self, endpoint: Endpoint) -> None:
        """The ports of a container that outlived its daemon. One that somebody took meanwhile still leads to it."""
        ports = self._records.ports(endpoint.container_id)
        for port in ports:
            try:
                self._ports.hold(endpoint.container_id, [port])
            except EngineError as error:
                _LOG.warning("a port of container %s cannot be held: %s", endpoint.container_id[:12], error)
        self._relay(endpoint, ports)

    def _relay(self, endpoint: Endpoint, ports: Sequence[PublishedPort]) -> None:
        address = endpoint.address6 or endpoint.address
        if address is not None:
            self._ports.relay(endpoint.container_id, ports, address.ip)

    def _withdraw(self, targets: Sequence[Target]) -> None:
        try:
            self._firewall.withdraw(targets)
        except EngineFault:
            # Some element is not there: the start was cut off before it, or somebody flushed the table.
            for target in targets:
                try:
                    self._firewall.withdraw([target])
                except EngineFault as error:
                    _LOG.debug("port %s was not published: %s", target.port, error)


def _targets(ports: Iterable[PublishedPort], endpoint: Endpoint) -> list[Target]:
    """What the kernel translates, each in its family: IPv6 ports of a container without IPv6 are relayed instead."""
    targets = []
    for port in ports:
        address = endpoint.address6 if ":" in port.host_ip else endpoint.address
        if address is not None:
            targets.append(Target(port=port, address=address.ip))
    return targets
