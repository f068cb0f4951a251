"""Legacy links: containers of the default bridge that know others by aliases, in their hosts file and environment.

In networks of one's own links are names that the resolver knows (`engine/networks/dns`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Final

from engine.containers.model import Container
from engine.containers.options import HostConfig
from engine.errors import ContainerNotFound, EngineFault, InvalidParameter
from engine.networks import files
from engine.networks.model import Sandbox
from engine.networks.service import NetworkService

_LOG: Final = logging.getLogger(__name__)
_BRIDGE: Final = "bridge"
_BUNDLED: Final = 3
"""So many ports in a row are told as a range, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """A container that another knows by *alias*, with its address."""

    alias: str
    parent: Container
    child: Container
    address: str

    @property
    def hosts_line(self) -> str:
        child = self.child
        names = (self.alias, child.config.hostname, *((child.name,) if child.name != self.alias else ()))
        return f"{self.address}\t{' '.join(names)}"

    def environment(self) -> list[str]:
        """The variables that Docker sets, in its order: ports, name, and the child's own environment."""
        prefix = self.alias.upper().replace("-", "_")
        ports = sorted((_port(text) for text in _ports(self.child)), key=lambda port: (port[0], port[1] != "tcp"))
        lines = [f"PORT={self._url(*ports[0])}"] if ports else []
        for first, last in _ranges(ports):
            base = f"PORT_{first[0]}_{first[1].upper()}"
            lines += [f"{base}_START={self._url(*first)}", f"{base}_ADDR={self.address}"]
            lines += [f"{base}_PROTO={first[1]}", f"{base}_PORT_START={first[0]}"]
            lines += [f"{base}_END={self._url(*last)}", f"{base}_PORT_END={last[0]}"]
        for number, protocol in ports:
            base = f"PORT_{number}_{protocol.upper()}"
            lines += [f"{base}={self._url(number, protocol)}", f"{base}_ADDR={self.address}"]
            lines += [f"{base}_PORT={number}", f"{base}_PROTO={protocol}"]
        lines.append(f"NAME=/{self.parent.name}/{self.alias}")
        for variable in self.child.config.env:
            name, equals, _ = variable.partition("=")
            if equals and name not in ("HOME", "PATH"):
                lines.append(f"ENV_{variable}")
        return [f"{prefix}_{line}" for line in lines]

    def _url(self, number: int, protocol: str) -> str:
        return f"{protocol}://{self.address}:{number}"


class Links:
    """The links among the containers that *containers* tells of."""

    def __init__(
        self,
        *,
        containers: Callable[[], Sequence[Container]],
        find: Callable[[str], Container],
        networks: NetworkService,
        bundle: Callable[[str], Path],
    ) -> None:
        self._containers = containers
        self._find = find
        self._networks = networks
        self._bundle = bundle

    def of(self, container: Container) -> list[Linked]:
        """What a container that starts knows of others; `EngineFault` in Docker's words where one does not run."""
        linked = []
        for target, alias in _links(container):
            child = self._find(target)
            sandbox = self._networks.sandbox(child.id) if child.state.running else None
            if sandbox is None:
                raise EngineFault(f"Cannot link to a non running container: /{child.name} AS /{container.name}/{alias}")
            address = _address(sandbox)
            if not address:
                raise EngineFault(f"Cannot link to /{child.name}, as it does not belong to the default network")
            linked.append(Linked(alias=alias, parent=container, child=child, address=address))
        return linked

    def refresh(self, child: Container) -> None:
        """Tell those that run and know *child*, which has just started, where it is now."""
        for parent in self._containers():
            aliases = [alias for target, alias in _links(parent) if target == child.id]
            if aliases and parent.state.running and (sandbox := self._networks.sandbox(child.id)) is not None:
                address = _address(sandbox)
                lines = [
                    Linked(alias=alias, parent=parent, child=child, address=address).hosts_line for alias in aliases
                ]
                try:
                    files.change_hosts(self._bundle(parent.id) / "hosts", unnamed=aliases, come=lines)
                except (EngineFault, OSError) as error:  # a start does not fail by what another did to its own file
                    _LOG.warning("the hosts file of container %s is not changed: %s", parent.name, error)

    def told(self, container: Container) -> list[str]:
        """A container's links as inspect tells them: `/child:/parent/alias`."""
        found = []
        for target, alias in _links(container):
            try:
                found.append(f"/{self._find(target).name}:/{container.name}/{alias}")
            except ContainerNotFound:
                continue
        return found

    def names(self) -> dict[str, list[str]]:
        """What containers are called by others, by their ids: `/parent/alias`."""
        found: dict[str, list[str]] = {}
        for parent in self._containers():
            for target, alias in _links(parent):
                found.setdefault(target, []).append(f"/{parent.name}/{alias}")
        return found


def identified(host: HostConfig, *, find: Callable[[str], Container]) -> HostConfig:
    """*host* with its links by id and alias. `InvalidParameter` in Docker's words."""
    if not host.links:
        return host
    mode = host.network_mode
    for kind in ("host", "container"):
        if mode == kind or mode.startswith(f"{kind}:"):
            noun = "host type networking" if kind == "host" else "container type network"
            raise InvalidParameter(
                f"Links: conflicting options: {noun} can't be used with links. This would result in undefined behavior"
            )
    links: dict[str, str] = {}
    for text in host.links:
        name, _, alias = text.partition(":")
        if name.startswith("/"):  # as inspect tells it, `/child:/parent/alias`
            name, alias = name[1:], alias.rpartition("/")[2]
        if not name or ":" in alias or len(alias.split()) > 1 or "/" in alias:
            raise InvalidParameter(f"Links: bad format for links: {text[:100]}")
        try:
            links.setdefault(alias or name, find(name).id)
        except ContainerNotFound as error:
            raise InvalidParameter(f"Links: could not get container for {name}: {error}") from error
    return replace(host, links=tuple(f"{target}:{alias}" for alias, target in links.items()))


def without(host: HostConfig, alias: str) -> HostConfig | None:
    """*host* without the link of that alias; `None` where it has none."""
    rest = tuple(text for text in host.links if text.partition(":")[2] != alias)
    return None if rest == host.links else replace(host, links=rest)


def _links(container: Container) -> Iterator[tuple[str, str]]:
    """Target and alias of a container's legacy links: elsewhere than on the default bridge it has none."""
    if container.host.network_mode in ("default", _BRIDGE):
        for text in container.host.links:
            target, _, alias = text.partition(":")
            yield target, alias


def _address(sandbox: Sandbox) -> str:
    """The address on the default bridge; "" where it is not there."""
    for endpoint in sandbox.endpoints:
        if endpoint.network_name == _BRIDGE and endpoint.address is not None:
            return str(endpoint.address.ip)
    return ""


def _ports(container: Container) -> Iterable[str]:
    published = (f"{port.container_port}/{port.protocol}" for port in container.host.ports)
    return dict.fromkeys((*container.config.exposed_ports, *published))


def _port(text: str) -> tuple[int, str]:
    number, _, protocol = text.partition("/")
    return int(number), protocol or "tcp"


def _ranges(ports: Sequence[tuple[int, str]]) -> Iterator[tuple[tuple[int, str], tuple[int, str]]]:
    """First and last of the runs of ports of one protocol."""
    ordered = sorted(ports, key=lambda port: (port[1] != "tcp", port[1], port[0]))
    for _, run in groupby(enumerate(ordered), key=lambda each: (each[1][1], each[1][0] - each[0])):
        found = [port for _, port in run]
        if len(found) >= _BUNDLED:
            yield found[0], found[-1]
