"""Networks: which there are, and the sandboxes that containers get in them."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Final

from engine.config import EngineConfig
from engine.database import Database
from engine.errors import AmbiguousId, EngineError, EngineFault, InvalidParameter, NetworkNotFound
from engine.events import EventBus, Kind
from engine.kernel import netns
from engine.networks import links
from engine.networks.firewall import Firewall, Target, accept_beside_docker, forget_beside_docker
from engine.networks.model import Driver, Endpoint, Network, PublishedPort, Sandbox, SandboxRequest
from engine.networks.ports import Ports
from engine.networks.records import NetworkRecords, mac_of
from engine.types import new_id, now

_LOG: Final = logging.getLogger(__name__)

_POOL: Final = (
    *(IPv4Network(f"172.{second}.0.0/16") for second in range(17, 32)),
    *(IPv4Network(f"192.168.{third}.0/20") for third in range(0, 256, 16)),
)
"""Docker's default address pools, tried in this order."""

_MAC: Final = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")

_PREDEFINED: Final = {"bridge": Driver.BRIDGE, "host": Driver.HOST, "none": Driver.NONE}


class NetworkService:
    """The networks of one engine. Any thread may call it."""

    def __init__(self, *, database: Database, events: EventBus, config: EngineConfig) -> None:
        self._events = events
        self._config = config
        self._records = NetworkRecords(database)
        self._directory = config.run / "netns"
        self._firewall = Firewall(instance=config.instance, bridge=config.bridge)
        self._ports = Ports()
        self._lock = threading.Lock()
        self._networks: dict[str, Network] = {}

    def start(self, *, live: Collection[str]) -> None:
        """Make the predefined networks, and the host agree with the rows: only *live* containers keep a sandbox."""
        self._networks = {network.name: network for network in self._records.networks()}
        for name, driver in _PREDEFINED.items():
            if name not in self._networks:
                self._put(Network(id=new_id(), name=name, driver=driver, created=now()))
        self._put(self._with_subnet(self._networks["bridge"]))
        bridge = self._networks["bridge"]
        subnet, gateway = _addresses(bridge)
        links.ensure_bridge(self._config.bridge, IPv4Interface((gateway, subnet.prefixlen)), mac=mac_of(gateway))
        for container_id in self._records.containers() - set(live):
            self._records.leave(container_id)
        self._sweep(live)
        targets = [target for container_id in live for target in self._targets(container_id)]
        self._firewall.install(subnet, targets)
        accept_beside_docker(self._config.bridge)
        for container_id in live:
            self._hold_again(container_id)

    def close(self) -> None:
        """Stop answering for IPv6 ports; what runs keeps its network."""
        self._ports.close()
        self._firewall.close()

    def purge(self) -> None:
        """Remove the bridge and the table: for tests, and for the end of an installation. No container may run."""
        self._firewall.remove()
        forget_beside_docker(self._config.bridge)
        links.delete_link(self._config.bridge)

    def list(self) -> Sequence[Network]:
        """Every network, by name."""
        with self._lock:
            return tuple(sorted(self._networks.values(), key=lambda network: network.name))

    def get(self, text: str) -> Network:
        """The network of that name or id, or of an unambiguous beginning of an id; `default` is the bridge."""
        name = "bridge" if text == "default" else text
        with self._lock:
            if name in self._networks:
                return self._networks[name]
            found = [network for network in self._networks.values() if text and network.id.startswith(text)]
        if len(found) > 1:
            raise AmbiguousId(text, "network")
        if not found:
            raise NetworkNotFound(text)
        return found[0]

    def endpoints(self, network_id: str) -> Sequence[Endpoint]:
        """Who is in a network."""
        return self._records.endpoints(self.list(), network_id=network_id)

    def open(self, request: SandboxRequest) -> Sandbox:
        """A container's network, whole or not at all.

        Raises `PortInUse`, `NetworkNotFound`, `InvalidParameter`, `EngineFault`.
        """
        network = self.get(request.network)
        if request.mac and not _MAC.fullmatch(request.mac):
            raise InvalidParameter(f"invalid MAC address: {request.mac[:60]}")
        container_id = request.container_id
        with ExitStack() as undo:
            undo.callback(self._undo, container_id)
            endpoint = self._records.join(container_id, network, wanted=request.address, mac=request.mac)
            path = None if network.driver is Driver.HOST else self._directory / container_id
            ports: Sequence[PublishedPort] = ()
            if network.driver is Driver.NONE and path is not None:
                links.isolated(path)
            elif network.driver is Driver.BRIDGE and path is not None and endpoint.address is not None:
                ports = self._ports.hold(container_id, request.ports)
                links.plug(
                    path=path,
                    bridge=self._config.bridge,
                    host_end=links.interface_name(endpoint.id),
                    address=endpoint.address,
                    gateway=str(endpoint.gateway),
                    mac=endpoint.mac,
                    hairpin=bool(ports),
                )
                if ports:
                    self._records.publish(container_id, ports)
                    self._firewall.publish(_targets(ports, endpoint))
                    self._ports.relay(container_id, ports, endpoint.address.ip)
            undo.pop_all()
        self._tell("connect", endpoint, network)
        return Sandbox(container_id=container_id, netns=path, endpoints=(endpoint,), ports=tuple(sorted(ports)))

    def release(self, container_id: str) -> None:
        """Take a container's network down; no error when it has none."""
        endpoints = self._records.endpoints(self.list(), container_id=container_id)
        self._undo(container_id)
        for endpoint in endpoints:
            self._tell("disconnect", endpoint, self.get(endpoint.network_id))

    def sandbox(self, container_id: str) -> Sandbox | None:
        """The network that a container has now."""
        endpoints = self._records.endpoints(self.list(), container_id=container_id)
        if not endpoints:
            return None
        path = self._directory / container_id
        return Sandbox(
            container_id=container_id,
            netns=path if path.exists() else None,
            endpoints=tuple(endpoints),
            ports=self._records.ports(container_id),
        )

    def _undo(self, container_id: str) -> None:
        """Everything that a sandbox is made of, in the order that leaves no port leading nowhere."""
        targets = self._targets(container_id)
        if targets:
            try:
                self._firewall.withdraw(targets)
            except EngineFault:
                # Some element is not there: the start was cut off before it, or somebody flushed the table.
                for target in targets:
                    self._withdraw_quietly(target)
        self._ports.release(container_id)
        links.unplug(self._host_ends(container_id))
        netns.delete(self._directory / container_id)
        self._records.leave(container_id)

    def _withdraw_quietly(self, target: Target) -> None:
        try:
            self._firewall.withdraw([target])
        except EngineFault as error:
            _LOG.debug("port %s was not published: %s", target.port, error)

    def _targets(self, container_id: str) -> Sequence[Target]:
        endpoints = self._records.endpoints(self.list(), container_id=container_id)
        ports = self._records.ports(container_id)
        return [target for endpoint in endpoints for target in _targets(ports, endpoint)]

    def _host_ends(self, container_id: str) -> Sequence[str]:
        endpoints = self._records.endpoints(self.list(), container_id=container_id)
        return [links.interface_name(endpoint.id) for endpoint in endpoints if endpoint.address is not None]

    def _hold_again(self, container_id: str) -> None:
        """The ports of a container that outlived its daemon. One that somebody took meanwhile still leads to it."""
        ports = self._records.ports(container_id)
        for endpoint in self._records.endpoints(self.list(), container_id=container_id):
            for port in ports:
                try:
                    self._ports.hold(container_id, [port])
                except EngineError as error:
                    _LOG.warning("a port of container %s cannot be held: %s", container_id[:12], error)
            if endpoint.address is not None:
                self._ports.relay(container_id, ports, endpoint.address.ip)

    def _sweep(self, live: Collection[str]) -> None:
        """Namespaces and links of containers that do not live."""
        if self._directory.is_dir():
            for path in tuple(self._directory.iterdir()):
                if path.name not in live:
                    netns.delete(path)
        kept = {name for container_id in live for name in self._host_ends(container_id)}
        for name in links.bridge_ports(self._config.bridge):
            if name not in kept:
                links.delete_link(name)
        links.ensure_plugged(self._config.bridge, kept)

    def _with_subnet(self, bridge: Network) -> Network:
        """The default bridge with addresses: those configured, those it had, else the first pool that is free."""
        wanted = self._config.subnet
        if wanted is not None:
            first = wanted.network.network_address + 1
            gateway = wanted.ip if wanted.ip != wanted.network.network_address else first
            return _addressed(bridge, wanted.network, gateway)
        if bridge.subnet is not None:
            return bridge
        used = links.routed_networks()
        for subnet in _POOL:
            if not any(subnet.overlaps(other) for other in used):
                return _addressed(bridge, subnet, subnet.network_address + 1)
        raise EngineFault("every default subnet is in use on this host: choose one by HAVRE_SUBNET")

    def _put(self, network: Network) -> None:
        self._records.put(network)
        with self._lock:
            self._networks[network.name] = network

    def _tell(self, action: str, endpoint: Endpoint, network: Network) -> None:
        self._events.publish(
            Kind.NETWORK,
            action,
            network.id,
            {"container": endpoint.container_id, "name": network.name, "type": network.driver},
        )


def _targets(ports: Iterable[PublishedPort], endpoint: Endpoint) -> Sequence[Target]:
    """What the kernel translates: IPv6 ports are relayed instead."""
    if endpoint.address is None:
        return []
    return [Target(port, endpoint.address.ip) for port in ports if ":" not in port.host_ip]


def _addresses(network: Network) -> tuple[IPv4Network, IPv4Address]:
    if network.subnet is None or network.gateway is None:
        raise EngineFault(f"network {network.name} has no subnet")
    return network.subnet, network.gateway


def _addressed(network: Network, subnet: IPv4Network, gateway: IPv4Address) -> Network:
    return replace(network, subnet=subnet, gateway=gateway)
