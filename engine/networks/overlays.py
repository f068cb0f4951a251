"""Overlay networks of this host, as its cluster sees them."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Interface
from typing import Final
from urllib.parse import urlsplit

from pyroute2.netlink.exceptions import NetlinkError

from engine.config import EngineConfig
from engine.errors import EngineError, InvalidParameter
from engine.networks import adoption, records
from engine.networks.cluster.admission import pool_of
from engine.networks.cluster.member import Member
from engine.networks.cluster.model import Peer
from engine.networks.cluster.said import Said
from engine.networks.cluster.store import ClusterStore
from engine.networks.dns.names import Names
from engine.networks.known import KnownNetworks
from engine.networks.model import Driver, Endpoint, Network
from engine.networks.records import NetworkRecords

_LOG: Final = logging.getLogger(__name__)
_ANY_PORT: Final = 9


class Overlays:
    """What a `Member` asks of its host.

    *install* has a network on the host, *remove* takes it away again, or says that somebody is in it; both ask first,
    while no network comes or goes, whether the cluster has it.
    """

    def __init__(
        self,
        *,
        known: KnownNetworks,
        rows: NetworkRecords,
        names: Names,
        install: Callable[[Network, Callable[[], bool]], None],
        remove: Callable[[Network, Callable[[], bool]], bool],
    ) -> None:
        self._known = known
        self._rows = rows
        self._names = names
        self._install = install
        self._remove = remove
        self._said = Said(_LOG)

    def overlays(self) -> Sequence[Network]:
        return [network for network in self._known.list() if network.driver is Driver.OVERLAY]

    def members(self, network_id: str) -> Sequence[Endpoint]:
        return self._rows.endpoints(self._known.list, network_id=network_id)

    def write(self, network: Network) -> str:
        return records.write(network)

    def adopt(self, network_id: str, document: str, *, told: Callable[[], bool]) -> None:
        try:
            network = adoption.written(document, network_id=network_id)
            adoption.require_room(network, self._known.list())
            self._install(network, told)
        except (EngineError, NetlinkError, OSError) as error:
            self._said.once(str(error))

    def abandon(self, network: Network, *, told: Callable[[], bool]) -> None:
        try:
            gone = self._remove(network, told)
        except (EngineError, NetlinkError, OSError) as error:
            self._said.once(f"network {network.name}, which is gone from the cluster, is not removed: {error}")
            return
        if not gone:
            self._said.once(f"network {network.name} is gone from the cluster; containers of this host are still in it")

    def appear(self, network: Network, peer: Peer) -> None:
        self._names.add(_endpoint(network, peer))

    def vanish(self, network: Network, peer: Peer) -> None:
        self._names.remove(_endpoint(network, peer))

    def epoch(self) -> str:
        return self._rows.epoch()

    def remember(self, epoch: str) -> None:
        self._rows.remember(epoch)


def member_of(config: EngineConfig, *, node: str, local: Overlays) -> Member | None:
    """This engine as a member of the cluster that its configuration names; `None` where it names none.

    `InvalidParameter` names the variable that is wrong.
    """
    if not config.cluster_url:
        return None
    try:
        store = ClusterStore(config.cluster_url)
    except ValueError:
        # Its reason may quote the address, which has a password in it.
        raise InvalidParameter(
            "HAVRE_CLUSTER_URL is not the address of a Redis: give redis://[:password@]host[:port]/number, or "
            "rediss://… for TLS; in a password '/', '#', '@' and '%' are written as %2F, %23, %40 and %25"
        ) from None
    host = config.cluster_address or _address_towards(config.cluster_url)
    return Member(store=store, node=node, host=host, local=local)


def _address_towards(url: str) -> IPv4Address:
    """The address from which this host would speak to the store; nothing is sent to find out."""
    parts = urlsplit(url)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((parts.hostname or "", parts.port or _ANY_PORT))
            found = IPv4Address(probe.getsockname()[0])
    except OSError as error:
        raise InvalidParameter(
            f"HAVRE_CLUSTER_URL: {parts.hostname} cannot be reached by IPv4 ({error.strerror}): give this host's own "
            "address as HAVRE_CLUSTER_ADDRESS"
        ) from error
    if found.is_loopback or found.is_unspecified:
        raise InvalidParameter(
            "HAVRE_CLUSTER_ADDRESS: the store is on this host; give the address at which other hosts reach this one"
        )
    return found


def _endpoint(network: Network, peer: Peer) -> Endpoint:
    """An endpoint of another host, as far as names are concerned."""
    return Endpoint(
        id=peer.owner,
        network_id=network.id,
        network_name=network.name,
        container_id=peer.container_id,
        address=IPv4Interface((peer.address, pool_of(network).subnet.prefixlen)),
        mac=peer.mac,
        names=peer.names,
    )
