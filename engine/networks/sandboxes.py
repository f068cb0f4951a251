"""Sandboxes of containers: opened whole or not at all, joined to further networks, taken down, put right."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from engine.errors import EngineFault, InvalidParameter
from engine.kernel import netns
from engine.networks import conntrack, interfaces
from engine.networks.creation import is_user_defined
from engine.networks.dns.resolver import Resolver
from engine.networks.drivers import Drivers
from engine.networks.interfaces import gateway_endpoint
from engine.networks.known import KnownNetworks
from engine.networks.model import Attachment, Driver, Endpoint, Network, PublishedPort, Sandbox, SandboxRequest
from engine.networks.publishing import Publishing, publishable
from engine.networks.records import NetworkRecords

_LOG: Final = logging.getLogger(__name__)
_MAC: Final = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_AT_ONCE: Final = 8


class Sandboxes:
    """Any thread may call it; for one container it is the caller who keeps the order."""

    def __init__(
        self,
        *,
        directory: Path,
        records: NetworkRecords,
        known: KnownNetworks,
        drivers: Drivers,
        publishing: Publishing,
        resolver: Resolver,
    ) -> None:
        self._directory = directory
        self._records = records
        self._known = known
        self._drivers = drivers
        self._publishing = publishing
        self._resolver = resolver

    def open(self, request: SandboxRequest) -> Sandbox:
        """See `NetworkService.open`."""
        joining = [(self._known.wanted(asked), asked) for asked in request.attachments]
        for network, asked in joining:
            check(network, asked)
        container_id = request.container_id
        shares_host = any(network.driver is Driver.HOST for network, _ in joining)
        path = None if shares_host else self._directory / container_id
        with ExitStack() as undo:
            undo.callback(self.close, container_id)
            endpoints = [self._join(request, network, asked) for network, asked in joining]
            default = gateway_endpoint(endpoints, [network for network, _ in joining])
            ports: Sequence[PublishedPort] = ()
            if default is not None and request.ports:
                network = self._network(default)
                if publishable(network):
                    ports = self._publishing.hold(container_id, network, request.ports)
            if path is not None:
                self._make(path, endpoints, default, publishing=bool(request.ports))
            if default is not None and ports:
                self._publishing.lead(default, ports)
            if path is not None:
                self._name(request, path, endpoints)
            undo.pop_all()
        return Sandbox(container_id=container_id, netns=path, endpoints=tuple(endpoints), ports=tuple(sorted(ports)))

    def connect(self, request: SandboxRequest) -> Endpoint:
        """Join a running container's sandbox to one further network; nothing stays when that fails."""
        (asked,) = request.attachments
        network = self._known.wanted(asked)
        check(network, asked)
        path = self._directory / request.container_id
        before = self.endpoints(request.container_id)
        with ExitStack() as undo:
            endpoint = self._join(request, network, asked)
            undo.callback(self.disconnect, endpoint, wanted=request.ports)
            with _explained(path), _opened(path) as descriptor, IPRoute() as route:
                self._drivers.of(network).attach(route, network, endpoint, descriptor, publishing=bool(request.ports))
            with _explained(path):
                netns.run_inside(path, lambda: interfaces.configure([endpoint], default=None))
            self._lead_out(path, before, [*before, endpoint], wanted=request.ports)
            self._name(request, path, [endpoint])
            undo.pop_all()
        return endpoint

    def disconnect(self, endpoint: Endpoint, *, wanted: Sequence[PublishedPort]) -> None:
        """Take one endpoint of a running container away; its ports, *wanted*, move where the default route goes."""
        path = self._directory / endpoint.container_id
        before = self.endpoints(endpoint.container_id)
        self._resolver.names.remove(endpoint)
        self._lead_out(path, before, [each for each in before if each.id != endpoint.id], wanted=wanted)
        self._drivers.of(self._network(endpoint)).detach(endpoint, path)
        if wanted:
            conntrack.forget(address.ip for address in endpoint.addresses)
        with _explained(path):
            netns.run_inside(path, lambda: interfaces.remove(endpoint.interface))
        self._records.leave(endpoint.container_id, endpoint.id)
        self._resolver.moved(endpoint.container_id)

    def close(self, container_id: str) -> None:
        """Everything that a sandbox is made of, in the order that leaves no port leading nowhere."""
        endpoints = self.endpoints(container_id)
        self._publishing.withdraw(container_id, endpoints)
        self._resolver.end(container_id)
        for endpoint in endpoints:
            self._resolver.names.remove(endpoint)
            self._drivers.of(self._network(endpoint)).detach(endpoint, self._directory / container_id)
        netns.delete(self._directory / container_id)
        self._records.leave(container_id)

    def get(self, container_id: str) -> Sandbox | None:
        """The network that a container has now."""
        endpoints = self.endpoints(container_id)
        path = self._directory / container_id
        if not endpoints and not path.exists():
            return None
        return Sandbox(
            container_id=container_id,
            netns=path if path.exists() else None,
            endpoints=tuple(endpoints),
            ports=self._records.ports(container_id),
        )

    def endpoints(self, container_id: str) -> Sequence[Endpoint]:
        return self._records.endpoints(self._known.list, container_id=container_id)

    def sweep(self, live: Collection[str]) -> None:
        """Forget the sandboxes of containers that do not live, and what was cut off in those that do."""
        for container_id in self._records.containers() - set(live):
            self._records.leave(container_id)
        if self._directory.is_dir():
            for path in tuple(self._directory.iterdir()):
                if path.name not in live:
                    netns.delete(path)
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="settle") as pool:
            list(pool.map(self._settle, live))
        self._resolve_again(live)

    def rename(self, container_id: str, old: str, new: str) -> None:
        """Have others find a container by its new name."""
        self._records.rename(container_id, old, new)
        for endpoint in self.endpoints(container_id):
            self._resolver.names.add(endpoint)

    def leading(self, container_id: str) -> Endpoint | None:
        """The endpoint that a container's published ports lead to."""
        endpoints = self.endpoints(container_id)
        found = gateway_endpoint(endpoints, self._known.list())
        return found if found is not None and publishable(self._network(found)) else None

    def _join(self, request: SandboxRequest, network: Network, asked: Attachment) -> Endpoint:
        named = is_user_defined(network.name)
        names = (request.name, request.container_id[:12], request.hostname, *asked.aliases)
        with self._drivers.of(network).reserving(network, request.container_id, asked) as granted:
            return self._records.join(
                request.container_id,
                network,
                granted,
                called=request.name,
                names=tuple(dict.fromkeys(name for name in names if name)) if named else (),
                links=dict(_link(text) for text in asked.links) if named else {},
            )

    def _make(self, path: Path, endpoints: Sequence[Endpoint], default: Endpoint | None, *, publishing: bool) -> None:
        """The namespace at *path* with its interfaces, configured."""

        def configure() -> None:
            interfaces.configure(wired, default=default)

        wired = [endpoint for endpoint in endpoints if self._network(endpoint).driver is not Driver.NONE]
        with _explained(path):
            if not wired:
                netns.create(path, configure)
                return
            netns.create(path, lambda: None)
            with _opened(path) as descriptor, IPRoute() as route:
                for endpoint in wired:
                    network = self._network(endpoint)
                    self._drivers.of(network).attach(route, network, endpoint, descriptor, publishing=publishing)
            netns.run_inside(path, configure)

    def _name(self, request: SandboxRequest, path: Path, endpoints: Sequence[Endpoint]) -> None:
        """Let others find the container in user-defined networks, and answer it where it finds others."""
        for endpoint in endpoints:
            self._resolver.names.add(endpoint)
        if has_resolver(endpoints):
            self._records.resolve(request.container_id, request.servers)
            with _explained(path):
                self._resolver.serve(request.container_id, path, request.servers)
        self._resolver.moved(request.container_id)

    def _resolve_again(self, live: Collection[str]) -> None:
        """Names of and for containers that outlived their daemon."""
        for container_id in live:
            for endpoint in self.endpoints(container_id):
                self._resolver.names.add(endpoint)
        for container_id, servers in self._records.resolvers().items():
            path = self._directory / container_id
            try:
                self._resolver.serve(container_id, path, servers)
            except (OSError, EngineFault) as error:
                _LOG.warning("container %s is not answered any more: %s", container_id[:12], error)

    def _lead_out(
        self,
        path: Path,
        before: Sequence[Endpoint],
        after: Sequence[Endpoint],
        *,
        wanted: Sequence[PublishedPort],
    ) -> None:
        """Move the default route, and with it the published ports, where Docker's rule has them now."""
        networks = self._known.list()
        old, new = gateway_endpoint(before, networks), gateway_endpoint(after, networks)
        if old == new:
            return
        with _explained(path):
            netns.run_inside(path, lambda: interfaces.set_default(new))
        led = old if old is not None and publishable(self._network(old)) else None
        if new is None or not publishable(self._network(new)):
            if led is not None:
                self._publishing.withdraw(led.container_id, [led])
        elif led is not None:
            self._publishing.move(led, new)
        elif wanted:
            self._publishing.lead(new, self._publishing.hold(new.container_id, self._network(new), wanted))

    def _settle(self, container_id: str) -> None:
        """A connect or disconnect that was cut off: rows and interfaces are made to agree."""
        path = self._directory / container_id
        if not path.exists():
            return
        endpoints = [
            endpoint
            for endpoint in self.endpoints(container_id)
            if self._network(endpoint).driver not in (Driver.NONE, Driver.HOST)
        ]
        try:
            lost = netns.run_inside(path, lambda: interfaces.settle(endpoints, self._known.list()))
        except (OSError, NetlinkError) as error:
            _LOG.warning("the network of container %s could not be put right: %s", container_id[:12], error)
            return
        for endpoint in lost:
            _LOG.info(
                "container %s has no %s any more: it has left %s",
                container_id[:12],
                endpoint.interface,
                endpoint.network_name,
            )
            self._records.leave(container_id, endpoint.id)

    def _network(self, endpoint: Endpoint) -> Network:
        return self._known.get(endpoint.network_id)


def has_resolver(endpoints: Collection[Endpoint]) -> bool:
    """Whether the engine answers a container's questions for names."""
    return any(is_user_defined(endpoint.network_name) for endpoint in endpoints)


def check(network: Network, asked: Attachment) -> None:
    """Whether a container may have in *network* what it asks for, in Docker's words; `InvalidParameter`."""
    if asked.mac and not _MAC.fullmatch(asked.mac):
        raise InvalidParameter(f"invalid MAC address: {asked.mac[:60]}")
    fixed = asked.address is not None or asked.address6 is not None
    if fixed and not is_user_defined(network.name):
        raise InvalidParameter("user specified IP address is supported on user defined networks only")
    if asked.aliases and not is_user_defined(network.name):
        raise InvalidParameter("network-scoped alias is supported only for containers in user defined networks")
    for address in (asked.address, asked.address6):
        if address is not None and not any(
            pool.chosen and pool.subnet.version == address.version for pool in network.pools
        ):
            raise InvalidParameter(
                "user specified IP address is supported only when connecting to networks with user configured subnets"
            )


def _link(text: str) -> tuple[str, str]:
    """Alias and container of `container:alias`, or of a container alone."""
    name, _, alias = text.partition(":")
    return alias or name, name


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """The kernel's words as `EngineFault`."""
    try:
        yield
    except NetlinkError as error:
        raise EngineFault(
            f"cannot plug container {path.name[:12]} into its networks: {os.strerror(abs(error.code))} (a restart of "
            "the engine puts a lost or changed bridge right)"
        ) from error
    except OSError as error:
        raise EngineFault(f"cannot make the network namespace {path}: {error.strerror}") from error
