"""This engine as a member of its cluster: it tells of itself, and agrees with the others again and again.

What other engines did is heard at once by the store's channel; whatever was missed, by whomever, is put right every few
seconds. A store that is away stops nothing that runs: the last that was heard stays in force.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from ipaddress import IPv4Address
from typing import Final, Protocol

from pyroute2.netlink.exceptions import NetlinkError

from engine.errors import Conflict, EngineError, Unavailable
from engine.networks.cluster import vxlan
from engine.networks.cluster.admission import admitted, vni_of
from engine.networks.cluster.model import Peer, owner
from engine.networks.cluster.nodes import Nodes
from engine.networks.cluster.said import Said
from engine.networks.cluster.store import ClusterStore
from engine.networks.cluster.vxlan import Way
from engine.networks.model import Address, Endpoint, Network

_LOG: Final = logging.getLogger(__name__)

BEAT: Final = 5
"""Seconds between two words of a node."""
SILENT: Final = 20
"""Seconds after which the names of a silent node are no longer told. Ways to it stay: its containers may well run."""
LOST: Final = 3600
"""Seconds after which it is taken for dead: addresses and endpoints of its containers are free."""
_RECALL: Final = 3 * BEAT
"""Seconds that nodes have to tell a store that forgot everything, before what it does not know is taken for gone."""
_MOST_RECALLS: Final = 2
"""Recalls in turn that a call waits for."""


class Host(Protocol):
    """What a member knows and has done of its own host."""

    def overlays(self) -> Sequence[Network]: ...

    def members(self, network_id: str) -> Sequence[Endpoint]:
        """This host's endpoints in a network."""
        ...

    def write(self, network: Network) -> str:
        """A network as a document for others."""
        ...

    def adopt(self, network_id: str, document: str, *, told: Callable[[], bool]) -> None:
        """Have a network that another engine made, by the *document* that the store has under that id. What is wrong
        with it is told to the log, and harms no other network.

        Networks of this host come and go meanwhile: while none does, *told* says whether the store still has it.
        """
        ...

    def abandon(self, network: Network, *, told: Callable[[], bool]) -> None:
        """Let go of a network that another engine removed; *told* as for `adopt`, whether the store has it by now."""
        ...

    def appear(self, network: Network, peer: Peer) -> None:
        """Let containers of this host find one of another by name."""
        ...

    def vanish(self, network: Network, peer: Peer) -> None:
        """Take that back."""
        ...

    def epoch(self) -> str:
        """The mark of the store that has been told of this host's networks; "" when none has."""
        ...

    def remember(self, epoch: str) -> None:
        """Keep that mark."""
        ...


class Member:
    """Any thread may call it."""

    def __init__(self, *, store: ClusterStore, node: str, host: IPv4Address, local: Host) -> None:
        self.store = store
        self.node = node
        self.host = host
        self._local = local
        self._lock = threading.RLock()
        self._visible: dict[str, frozenset[Peer]] = {}
        """Endpoints of other nodes whose names are told, by network."""
        self._ways: dict[str, set[Way]] = {}
        self._busy: set[str] = set()
        """Owners of addresses that are about to get an endpoint: not yet in any row, and not to be tidied away."""
        self._nodes = Nodes(silent=SILENT)
        self._heard: frozenset[str] = frozenset()
        self._rival = ""
        """Another node that lives and has this one's address."""
        self._agreed = False
        self._said = Said(_LOG)
        self._recalling_until = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cluster", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Say no more. Other nodes keep the ways to this one, whose containers go on."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        self.store.close()

    @contextmanager
    def joining(
        self,
        network: Network,
        container_id: str,
        *,
        wanted: IPv4Address | None,
        span: tuple[Address, Address],
        reserved: Collection[Address],
    ) -> Iterator[IPv4Address]:
        """An address for a container, kept when the block ends well and given back when it does not."""
        mine = owner(self.node, container_id)
        self.settle()
        with self._lock:
            self._busy.add(mine)
        try:
            first, last = span
            address = self.store.lease(network.id, mine, wanted=wanted, first=first, last=last, reserved=reserved)
            try:
                yield address
            except BaseException:
                self._quietly(lambda: self.store.release(network.id, mine, address))
                raise
        finally:
            with self._lock:
                self._busy.discard(mine)

    def settle(self) -> None:
        """Wait until a store that has forgotten everything knows it again from all nodes: nothing is to be given twice,
        and nothing that is removed now may come back. `Conflict` where another node has this one's address."""
        if not self._agreed or self.store.epoch() != self._local.epoch():
            self.agree()
        if self._rival:
            raise Conflict(self._same_address())
        patience = time.monotonic() + _MOST_RECALLS * _RECALL
        while not self._ended.is_set() and (left := self._recalling_until - time.monotonic()) > 0:
            if (longer := patience - time.monotonic()) <= 0:
                raise Unavailable("the cluster's store forgets again and again what it is told: see to that first")
            self._ended.wait(min(left, longer))

    def publish(self, network: Network) -> None:
        """Tell every node of a network of this host."""
        self.store.put_network(network.id, self._local.write(network), vni=vni_of(network))

    def announce(self, endpoint: Endpoint) -> None:
        """Tell every node of an endpoint of this host; `Unavailable`."""
        if (peer := self._peer(endpoint)) is not None:
            self.store.announce(endpoint.network_id, peer)

    def retract(self, endpoint: Endpoint) -> None:
        """Tell every node that an endpoint is gone. What the store does not hear now it is told when it is back."""
        if (peer := self._peer(endpoint)) is None:
            return

        def gone() -> None:
            self.store.retract(endpoint.network_id, peer.owner)
            self.store.release(endpoint.network_id, peer.owner, peer.address)

        self._quietly(gone)

    def forget(self, network: Network) -> None:
        """A network that is no more on this host."""
        with self._lock:
            self._ways.pop(network.id, None)
            for peer in self._visible.pop(network.id, frozenset()):
                self._local.vanish(network, peer)

    def agree(self) -> None:
        """Make the store, this host's rows and the kernel agree; `Unavailable`."""
        if (epoch := self.store.epoch()) != self._local.epoch():
            self._recall(epoch)
        self.store.beat(self.node)
        if not self._agreed:
            self.store.unlock(self.node)
        marks, now = self.store.marks()
        with self._lock:
            self._nodes.hear(marks, now=now)
            self._heard = self._nodes.heard()
            lost = self._nodes.lost(since=LOST) - {self.node}
        for node in lost:
            self.store.forget(node)
        self._claim_address()
        self._agree_on_networks()
        for network in self._local.overlays():
            try:
                self._agree_on_endpoints(network)
                self._refresh(network)
            except Unavailable:
                raise
            except (EngineError, NetlinkError, OSError) as error:
                self._said.once(f"network {network.name} is not as the cluster has it: {error}; it is tried again")
        self._agreed = True

    def _run(self) -> None:
        away = False
        while not self._ended.is_set():
            try:
                with self.store.changes() as changed:
                    away = False
                    self._listen(changed)
            except Unavailable as error:
                if not away:
                    _LOG.warning("%s", error)
                away = True
                self._ended.wait(BEAT)
            except Exception as error:  # noqa: BLE001 - without this thread the host would hear nothing any more
                self._said.once(f"agreeing with the cluster failed: {error!r}; it is tried again")
                _LOG.debug("agreeing with the cluster failed", exc_info=True)
                self._ended.wait(BEAT)

    def _claim_address(self) -> None:
        holder = self.store.claim(self.host, self.node, heard=self._heard)
        self._rival = "" if holder == self.node else holder
        if self._rival:
            self._said.once(self._same_address())

    def _same_address(self) -> str:
        return (
            f"HAVRE_CLUSTER_ADDRESS: node {self._rival[:12]} of the cluster has {self.host} as well, so that packets "
            "for one would reach the other: give each host its own address"
        )

    def _listen(self, changed: Callable[[float], str]) -> None:
        due = time.monotonic()
        while not self._ended.is_set():
            if time.monotonic() >= due:
                self.agree()
                due = time.monotonic() + BEAT
            network_id = changed(min(0.5, max(0.0, due - time.monotonic())))
            if not network_id:
                continue
            known = {network.id: network for network in self._local.overlays()}
            if network_id in known and network_id in self.store.networks():
                self._refresh(known[network_id])
            else:
                self._agree_on_networks()

    def _recall(self, epoch: str) -> None:
        """Tell a store that has forgotten everything, or that this engine meets for the first time, of what is here."""
        if self._local.epoch():
            _LOG.warning("the cluster's store has forgotten everything: telling it anew")
            for network in self._local.overlays():
                self.publish(network)
            self._recalling_until = time.monotonic() + _RECALL
        self._local.remember(epoch)

    def _agree_on_networks(self) -> None:
        documents = self.store.networks()
        known = {network.id: network for network in self._local.overlays()}
        for network_id, document in documents.items():
            if network_id not in known:
                self._local.adopt(network_id, document, told=partial(self._is_told, network_id))
        if time.monotonic() < self._recalling_until:
            return
        for network_id, network in known.items():
            if network_id not in documents:
                self._local.abandon(network, told=partial(self._is_told, network_id))

    def _is_told(self, network_id: str) -> bool:
        return network_id in self.store.networks()

    def _agree_on_endpoints(self, network: Network) -> None:
        """What the store says of this node is what its rows say. The store is read first, then who is busy, then the
        rows: an endpoint that comes meanwhile is in one of the later two."""
        told = {peer.owner: peer for peer in self.store.peers(network.id) if peer.node == self.node}
        leased = {
            address: each for address, each in self.store.leases(network.id).items() if each.startswith(f"{self.node}/")
        }
        with self._lock:
            busy = frozenset(self._busy)
        here = {peer.owner: peer for peer in map(self._peer, self._local.members(network.id)) if peer is not None}
        for gone in told.keys() - here.keys() - busy:
            self.store.retract(network.id, gone)
        for address, each in leased.items():
            if each not in busy and (each not in here or here[each].address != address):
                self.store.release(network.id, each, address)
        for each, peer in here.items():
            if told.get(each) != peer or leased.get(peer.address) != each:
                self._tell_again(network, peer)

    def _tell_again(self, network: Network, peer: Peer) -> None:
        try:
            self.store.lease(
                network.id, peer.owner, wanted=peer.address, first=peer.address, last=peer.address, reserved=()
            )
        except Unavailable:
            raise
        except EngineError:
            self._said.once(
                f"container {peer.container_id[:12]} has {peer.address} of network {network.name}, which a container "
                "of another node has too: restart one of them"
            )
            return
        self.store.announce(network.id, peer)

    def _refresh(self, network: Network) -> None:
        """Read who is in a network; tell the kernel the ways there, and containers of this host the names."""
        peers = admitted(network, self.store.peers(network.id))
        wanted = {Way.to(peer) for peer in peers if peer.node != self.node}
        with self._lock:
            link = link_name(network.id)
            had = self._ways.get(network.id)
            if had is None:
                had = vxlan.ways(link)
            lost = set() if time.monotonic() < self._recalling_until else had - wanted
            vxlan.change(link, add=wanted - had, remove=lost)
            self._ways[network.id] = (had - lost) | wanted
            visible = frozenset(peer for peer in peers if peer.node != self.node and peer.node in self._heard)
            shown = self._visible.get(network.id, frozenset())
            for peer in shown - visible:
                self._local.vanish(network, peer)
            for peer in visible - shown:
                self._local.appear(network, peer)
            self._visible[network.id] = visible

    def _peer(self, endpoint: Endpoint) -> Peer | None:
        if endpoint.address is None:
            return None
        return Peer(
            node=self.node,
            container_id=endpoint.container_id,
            address=endpoint.address.ip,
            mac=endpoint.mac,
            host=self.host,
            names=endpoint.names,
        )

    def _quietly(self, action: Callable[[], None]) -> None:
        """Do what can also be done later: `agree` finds it."""
        try:
            action()
        except Unavailable as error:
            _LOG.info("%s", error)


def link_name(network_id: str) -> str:
    """The network's VXLAN link: 15 characters (IFNAMSIZ)."""
    return f"vx-{network_id[:12]}"
