"""Overlay networks of this host, as its cluster sees them."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Interface
from typing import Final
from urllib.parse import urlsplit

from engine.config import EngineConfig
from engine.errors import Conflict, InvalidParameter
from engine.networks import records
from engine.networks.cluster.member import Member
from engine.networks.cluster.model import Peer
from engine.networks.cluster.store import ClusterStore
from engine.networks.dns.names import Names
from engine.networks.known import KnownNetworks
from engine.networks.model import Driver, Endpoint, Network
from engine.networks.records import NetworkRecords

_LOG: Final = logging.getLogger(__name__)
_ANY_PORT: Final = 9


class Overlays:
    """What a `Member` asks of its host.

    *install* has a network on the host, *remove* takes it away again, or says that somebody is in it.
    """

    def __init__(
        self,
        *,
        known: KnownNetworks,
        rows: NetworkRecords,
        names: Names,
        install: Callable[[Network], None],
        remove: Callable[[Network], bool],
    ) -> None:
        self._known = known
        self._rows = rows
        self._names = names
        self._install = install
        self._remove = remove
        self._lock = threading.Lock()
        self._told: set[str] = set()
        """What has been logged once: the same is asked every few seconds."""

    def overlays(self) -> Sequence[Network]:
        return [network for network in self._known.list() if network.driver is Driver.OVERLAY]

    def members(self, network_id: str) -> Sequence[Endpoint]:
        return self._rows.endpoints(self._known.list(), network_id=network_id)

    def write(self, network: Network) -> str:
        return records.write(network)

    def adopt(self, document: str) -> None:
        network = records.read(document)
        for other in self._known.list():
            if other.name == network.name or _overlap(other, network):
                self._say_once(
                    f"network {network.name} of the cluster cannot be used on this host: its name or its subnet is "
                    f"that of network {other.name} here; remove one of them"
                )
                return
        try:
            self._install(network)
        except Conflict as error:
            self._say_once(f"network {network.name} of the cluster cannot be used on this host: {error}")

    def abandon(self, network: Network) -> None:
        if not self._remove(network):
            self._say_once(f"network {network.name} is gone from the cluster; containers of this host are still in it")

    def appear(self, network: Network, peer: Peer) -> None:
        self._names.add(_endpoint(network, peer))

    def vanish(self, network: Network, peer: Peer) -> None:
        self._names.remove(_endpoint(network, peer))

    def epoch(self) -> str:
        return self._rows.epoch()

    def remember(self, epoch: str) -> None:
        self._rows.remember(epoch)

    def _say_once(self, text: str) -> None:
        with self._lock:
            new = text not in self._told
            self._told.add(text)
        if new:
            _LOG.warning("%s", text)


def member_of(config: EngineConfig, *, node: str, local: Overlays) -> Member | None:
    """This engine as a member of the cluster that its configuration names; `None` where it names none.

    `InvalidParameter` names the variable that is wrong.
    """
    if not config.cluster_url:
        return None
    try:
        store = ClusterStore(config.cluster_url)
    except ValueError as error:
        raise InvalidParameter(
            f"HAVRE_CLUSTER_URL: {error}; give the address of a Redis, such as redis://10.0.0.1:6379/0"
        ) from error
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
    (pool,) = (pool for pool in network.pools if pool.subnet.version == 4)
    return Endpoint(
        id=peer.owner,
        network_id=network.id,
        network_name=network.name,
        container_id=peer.container_id,
        address=IPv4Interface((peer.address, pool.subnet.prefixlen)),
        mac=peer.mac,
        names=peer.names,
    )


def _overlap(one: Network, other: Network) -> bool:
    return any(
        mine.subnet.version == yours.subnet.version and mine.subnet.overlaps(yours.subnet)
        for mine in one.pools
        for yours in other.pools
    )
