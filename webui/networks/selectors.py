"""What the network pages read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from django.utils.translation import gettext as _

from webui import gateway
from webui.networks.drivers import LINES

if TYPE_CHECKING:
    from webui.environments.models import Environment

_MOST_INSPECTED: Final = 50
"""Members whose aliases are looked up, one call each."""

_NOT_MADE: Final = ("host", "null", "ingress")


@dataclass(frozen=True, slots=True)
class NetworkRow:
    """A network, and the containers that belong to it, running or not."""

    network: gateway.NetworkSummary
    containers: tuple[gateway.ContainerSummary, ...]


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A container in a network. One that does not run has a place, and no address."""

    name: str
    container: gateway.ContainerSummary | None
    ipv4: str = ""
    ipv6: str = ""
    mac: str = ""
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkPage:
    """Everything on the page of a network."""

    network: gateway.NetworkDetail
    running: tuple[MemberRow, ...]
    stopped: tuple[MemberRow, ...]
    others: tuple[str, ...]
    """Names of the containers that could be connected."""

    @property
    def members(self) -> tuple[MemberRow, ...]:
        return self.running + self.stopped

    @property
    def joinable(self) -> bool:
        return self.network.driver not in ("host", "null")


def network_list(*, environment: Environment, query: str = "") -> list[NetworkRow]:
    """The networks that *query* asks for: those made by people by name, then the engine's own.

    A query is words that must all hold: `unused`, `driver:macvlan`, or text in the name, id, driver or a subnet.
    """
    with gateway.client(environment) as client:
        networks = client.networks()
        containers = client.containers(all=True)
    rows = [NetworkRow(network, _members(network, containers)) for network in networks]
    rows = [row for row in rows if all(_holds(row, word) for word in query.casefold().split())]
    return sorted(rows, key=lambda row: (row.network.predefined, row.network.name.casefold()))


def network_row(*, environment: Environment, network_id: str) -> NetworkRow | None:
    """One row of the list, `None` when the network is gone."""
    with gateway.client(environment) as client:
        try:
            network = client.network(network_id)
        except gateway.NotFound:
            return None
        containers = client.containers(all=True, filters={"network": network.id})
    return NetworkRow(network, _members(network, containers))


def network_page(*, environment: Environment, network_id: str) -> NetworkPage:
    """`gateway.NotFound` when there is none."""
    with gateway.client(environment) as client:
        network = client.network(network_id)
        everything = client.containers(all=True)
        aliases = _aliases(client, network)
    by_id = {container.id: container for container in everything}
    running = tuple(
        MemberRow(
            name=member.name,
            container=by_id.get(member.container_id),
            ipv4=member.ipv4,
            ipv6=member.ipv6,
            mac=member.mac,
            aliases=aliases.get(member.container_id, ()),
        )
        for member in sorted(network.members, key=lambda member: member.name)
    )
    here = {member.container_id for member in network.members}
    stopped = tuple(
        MemberRow(name=container.name, container=container)
        for container in _members(network, everything)
        if container.id not in here
    )
    inside = here | {row.container.id for row in stopped if row.container}
    others = tuple(
        sorted(
            container.name
            for container in everything
            # A container in the host's network, or in another's, cannot join one.
            if container.id not in inside and "host" not in (place.network for place in container.networks)
        )
    )
    return NetworkPage(network=network, running=running, stopped=stopped, others=others)


def drivers(*, environment: Environment) -> tuple[str, ...]:
    """The drivers by which the engine can make networks."""
    with gateway.client(environment) as client:
        plugins = client.info().raw.get("Plugins") or {}
    names = [name for name in plugins.get("Network") or ("bridge",) if name not in _NOT_MADE]
    usual = tuple(LINES)
    return tuple(sorted(names, key=lambda name: (usual.index(name) if name in usual else len(usual), name)))


def host_routes(*, environment: Environment) -> dict[str, str]:
    """The subnets that the engine's host reaches otherwise, and by which links; none where the engine cannot tell."""
    with gateway.client(environment) as client:
        return {route.subnet: route.link or _("another way") for route in client.host_routes()}


def _members(
    network: gateway.NetworkSummary, containers: Iterable[gateway.ContainerSummary]
) -> tuple[gateway.ContainerSummary, ...]:
    def belongs(place: gateway.Attachment) -> bool:
        # One that never ran knows the name alone.
        return place.network_id == network.id or (not place.network_id and place.network == network.name)

    found = [container for container in containers if any(belongs(place) for place in container.networks)]
    return tuple(sorted(found, key=lambda container: container.name))


def _aliases(client: gateway.Client, network: gateway.NetworkDetail) -> dict[str, tuple[str, ...]]:
    """The further names of the members: lists do not tell them, and the default bridge resolves none."""
    found: dict[str, tuple[str, ...]] = {}
    if network.predefined:
        return found
    for member in network.members[:_MOST_INSPECTED]:
        try:
            places = client.container(member.container_id).networks
        except gateway.NotFound:
            continue  # it went while this was asked
        for place in places:
            if place.network_id == network.id:
                own = (member.name, member.container_id[:12])
                found[member.container_id] = tuple(alias for alias in place.aliases if alias not in own)
    return found


def _holds(row: NetworkRow, word: str) -> bool:
    network = row.network
    if word == "unused":
        return not row.containers and not network.predefined
    key, separator, value = word.partition(":")
    if separator and key == "driver":
        return network.driver.casefold() == value
    texts = (network.name.casefold(), network.driver, *network.subnets)
    return any(word in text for text in texts) or network.id.startswith(word)
