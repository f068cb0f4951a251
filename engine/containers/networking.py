"""The networks of a container: which it asks for, joined and left while it runs or not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from engine.containers.model import Container, Status
from engine.containers.options import ContainerConfig, HostConfig
from engine.containers.register import ContainerRegister
from engine.errors import EngineError, EngineFault, InvalidParameter, NetworkNotFound
from engine.networks import files
from engine.networks.model import Address, Attachment, Driver, Endpoint, Network, PublishedPort, SandboxRequest
from engine.networks.sandboxes import check, has_resolver
from engine.networks.service import NetworkService

_LOG: Final = logging.getLogger(__name__)
_SHARED: Final = (
    "container sharing network namespace with another container or host cannot be connected to any other network"
)
_HOST: Final = "container cannot be disconnected from host network or connected to host network"
_NONE: Final = "container cannot be connected to multiple networks with one of the networks in private (none) mode"


def usual(config: ContainerConfig, host: HostConfig) -> tuple[Attachment, ...]:
    """The one network that a container's mode names."""
    mode = host.network_mode
    if mode.startswith("container:"):
        return ()
    return (Attachment(network="bridge" if mode == "default" else mode, mac=config.mac_address),)


def request(container: Container, attachments: Sequence[Attachment] | None = None) -> SandboxRequest:
    """What *container* asks of its networks, or of those of *attachments* alone."""
    return SandboxRequest(
        container_id=container.id,
        attachments=container.attachments if attachments is None else tuple(attachments),
        name=container.name,
        hostname=container.config.hostname,
        ports=wanted_ports(container),
        servers=tuple(ip_address(server) for server in container.host.dns),
    )


def wanted_ports(container: Container) -> tuple[PublishedPort, ...]:
    if container.host.network_mode in ("host", "none"):
        return ()
    ports = container.host.ports
    if container.host.publish_all:
        bound = {f"{port.container_port}/{port.protocol}" for port in ports}
        ports += tuple(_published_somewhere(spec) for spec in container.config.exposed_ports if spec not in bound)
    return ports


def _published_somewhere(spec: str) -> PublishedPort:
    """An exposed port such as `80/tcp` at a port of the host that the engine chooses."""
    number, _, protocol = spec.partition("/")
    return PublishedPort(container_port=int(number), protocol=protocol or "tcp")


class ContainerNetworking:
    """Connects containers to networks and takes them out. Any thread may call it."""

    def __init__(self, *, register: ContainerRegister, networks: NetworkService, bundle: Callable[[str], Path]) -> None:
        self._register = register
        self._networks = networks
        self._bundle = bundle

    def named(self, attachments: Sequence[Attachment], *, mode: str) -> tuple[Attachment, ...]:
        """*attachments* with the networks' own names and ids, of those that are there.

        `InvalidParameter` for the host's own network unless the container's *mode* says so by name: whoever judges a
        container by its mode must not be deceived by an id, nor by a second network.
        """
        found = tuple(self._named(asked) for asked in attachments)
        if mode != "host" and any(asked.network == "host" for asked in found):
            raise InvalidParameter(f"{_HOST}: give it the network mode host")
        return found

    def connect(self, text: str, asked: Attachment) -> None:
        """Join a container to one further network: at once where it runs, else when it starts.

        Raises as `NetworkService.connect` does; `InvalidParameter` where Docker's rules forbid it.
        """
        network = self._networks.get(asked.network)
        asked = replace(asked, network=network.name, network_id=network.id)
        with self._register.locked(self._register.find(text).container.id) as record:
            container = record.container
            _require_connectable(container, network)
            check(network, asked)
            others = [each for each in container.attachments if each.network != network.name]
            joined = replace(container, attachments=(*others, asked))
            if not _has_sandbox(container):
                self._register.save(replace(record, container=joined))
                return
            # Written down first: of a connection that is cut off, nothing is left that nobody knows.
            self._register.save(replace(record, container=joined))
            try:
                endpoint = self._networks.connect(request(container, [asked]))
            except BaseException:
                self._register.save(record)
                raise
            own = files.own_names(container.config.hostname, container.config.domainname)
            self._change_files(container, come=[f"{address.ip}\t{own}" for address in endpoint.addresses])
            if has_resolver([endpoint]):
                files.change_resolv_conf(self._bundle(container.id) / "resolv.conf")

    def disconnect(self, text: str, network_text: str) -> None:
        """Take a container out of a network. `EngineFault` in Docker's words where it is in no such."""
        with self._register.locked(self._register.find(text).container.id) as record:
            container = record.container
            name, network_id = self._identified(network_text, container)
            if name == "host" and any(each.network == name for each in container.attachments):
                raise InvalidParameter(_HOST)
            asked = next((each for each in container.attachments if each.network == name), None)
            left = None
            if _has_sandbox(container) and network_id:
                left = self._networks.disconnect(request(container, [Attachment(network=name, network_id=network_id)]))
            if asked is None and left is None:
                raise EngineFault(f"container {container.id} is not connected to network {name}")
            rest = tuple(each for each in container.attachments if each.network != name)
            remaining = replace(container, attachments=rest)
            self._register.save(replace(record, container=remaining))
            if left is not None:
                self._change_files(container, gone=[address.ip for address in left.addresses])

    def settle(self, container_id: str) -> None:
        """Finish what was cut off when a daemon ended: a running container is in every network that it asks for, and
        its files say so."""
        with self._register.locked(container_id) as record:
            container = record.container
            sandbox = self._networks.sandbox(container.id)
            if sandbox is None or sandbox.netns is None:
                return
            endpoints = list(sandbox.endpoints)
            for asked in container.attachments:
                if asked.network in {endpoint.network_name for endpoint in endpoints}:
                    continue
                try:
                    endpoints.append(self._networks.connect(request(container, [asked])))
                except EngineError as error:
                    _LOG.warning("container %s cannot join network %s: %s", container.name, asked.network, error)
            self._settle_files(container, endpoints)

    def _settle_files(self, container: Container, endpoints: Sequence[Endpoint]) -> None:
        addresses = [str(address.ip) for endpoint in endpoints for address in endpoint.addresses]
        own = files.own_names(container.config.hostname, container.config.domainname)
        bundle = self._bundle(container.id)
        try:
            if set(addresses) - files.addresses_in(bundle / "hosts"):
                lines = [f"{address}\t{own}" for address in addresses]
                files.change_hosts(bundle / "hosts", unnamed={own.split()[0]}, come=lines)
            resolv_conf = bundle / "resolv.conf"
            if has_resolver(endpoints) and files.EMBEDDED not in map(str, files.name_servers(resolv_conf)):
                files.change_resolv_conf(resolv_conf)
        except (EngineFault, OSError) as error:
            _LOG.warning("the hosts file of container %s is not put right: %s", container.name, error)

    def _change_files(self, container: Container, *, gone: Collection[Address] = (), come: Sequence[str] = ()) -> None:
        """The hosts file is the container's to spoil: that it cannot be changed undoes no connection."""
        try:
            files.change_hosts(self._bundle(container.id) / "hosts", gone=gone, come=come)
        except (EngineFault, OSError) as error:
            _LOG.warning("the hosts file of container %s is not changed: %s", container.name, error)

    def _named(self, asked: Attachment) -> Attachment:
        try:
            network = self._networks.get(asked.network)
        except NetworkNotFound:
            return asked  # it may be made before the container starts
        return replace(asked, network=network.name, network_id=network.id)

    def _identified(self, text: str, container: Container) -> tuple[str, str]:
        """Name and id of the network that *text* names: one that is gone may still be asked for by the container."""
        try:
            network = self._networks.get(text)
        except NetworkNotFound:
            if any(each.network == text for each in container.attachments):
                return text, ""
            raise
        return network.name, network.id


def _has_sandbox(container: Container) -> bool:
    return container.state.status in (Status.RUNNING, Status.PAUSED)


def _require_connectable(container: Container, network: Network) -> None:
    mode = container.host.network_mode
    if mode.startswith("container:") or mode == "host":
        raise InvalidParameter(_SHARED)
    if network.driver is Driver.HOST:
        raise InvalidParameter(_HOST)
    names = {each.network for each in container.attachments} - {network.name}
    if "none" in names or (network.driver is Driver.NONE and names):
        raise InvalidParameter(_NONE)
