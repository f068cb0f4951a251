"""Networks: which there are, and the sandboxes that containers get in them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import IPv4Network
from typing import Final

from engine.config import EngineConfig
from engine.database import Database
from engine.errors import EngineError, EngineFault, Forbidden, NetworkNotFound
from engine.events import EventBus, Kind
from engine.networks import creation, forwarding, ipam, links, listing
from engine.networks.cluster.member import Member
from engine.networks.creation import PREDEFINED, NetworkRequest
from engine.networks.dns.resolver import Resolver
from engine.networks.drivers import Drivers
from engine.networks.drivers.bridge import DEFAULT_OPTIONS, NAME
from engine.networks.firewall import Firewall, Side, Target
from engine.networks.interfaces import gateway_endpoint
from engine.networks.known import KnownNetworks
from engine.networks.model import Endpoint, Network, Pool, Route, Sandbox, SandboxRequest
from engine.networks.overlays import Overlays, member_of
from engine.networks.publishing import Publishing
from engine.networks.records import NetworkRecords
from engine.networks.sandboxes import Sandboxes
from engine.types import new_id, now

_LOG: Final = logging.getLogger(__name__)


class NetworkService:
    """The networks of one engine. Any thread may call it."""

    def __init__(self, *, database: Database, events: EventBus, config: EngineConfig) -> None:
        self._events = events
        self._config = config
        self._records = NetworkRecords(database)
        self._known = KnownNetworks(self._records)
        self._drivers = Drivers()
        self._firewall = Firewall(instance=config.instance)
        self._publishing = Publishing(records=self._records, firewall=self._firewall)
        self._resolver = Resolver(
            endpoints=lambda container_id: self._sandboxes.endpoints(container_id),
            shut=lambda endpoints: gateway_endpoint(endpoints, self._known.list()) is None,
        )
        self._sandboxes = Sandboxes(
            directory=config.run / "netns",
            records=self._records,
            known=self._known,
            drivers=self._drivers,
            publishing=self._publishing,
            resolver=self._resolver,
        )
        self._overlays = Overlays(
            known=self._known,
            rows=self._records,
            names=self._resolver.names,
            install=self._adopt,
            remove=self._abandon,
        )
        self._member: Member | None = None
        self._changing = threading.RLock()
        """Networks come and go one at a time: their subnets and names must not clash."""

    # --- the service itself

    def start(self, *, live: Collection[str]) -> None:
        """Make the predefined networks, and the host agree with the rows: only *live* containers keep a sandbox."""
        self._known.load()
        for network in self._records.retired():
            self._take_down(network)
        known = {network.name for network in self._known.list()}
        for name, driver in PREDEFINED.items():
            if name not in known:
                self._known.put(Network(id=new_id(), name=name, driver=driver, created=now()))
        self._known.put(self._default(self._known.get("bridge")))
        self._member = member_of(self._config, node=self._known.get("bridge").id, local=self._overlays)
        if self._member is not None:
            self._drivers.overlay.join(self._member)
        for network in self._known.list():
            self._ensure(network)
        self._sandboxes.sweep(live)
        self._firewall.install(self._sides(), [target for each in live for target in self._targets(each)])
        forwarding.accept([side.bridge for side in self._sides() if not side.internal])
        for network in self._known.list():
            self._drivers.of(network).sweep(network, self.endpoints(network.id))
        for container_id in live:
            if (endpoint := self._sandboxes.leading(container_id)) is not None:
                self._publishing.hold_again(endpoint)
        if self._member is not None:
            self._member.start()

    def close(self) -> None:
        """Let go of the host's ports and answer no more; what runs keeps its network."""
        if self._member is not None:
            self._member.close()
        self._resolver.close()
        self._publishing.close()
        self._firewall.close()

    def purge(self) -> None:
        """Remove what is on the host: for tests, and for the end of an installation. No container may run."""
        self._firewall.remove()
        forwarding.forget([side.bridge for side in self._sides()])
        for network in self._known.list():
            self._drivers.of(network).delete(network)

    # --- networks

    def list(self, filters: Mapping[str, Collection[str]] | None = None) -> Sequence[Network]:
        """Every network that *filters* admit, by name."""
        return listing.filtered(self._known.list(), filters or {}, used=self._records.used)

    def get(self, text: str) -> Network:
        """The network of that name or id, or of an unambiguous beginning of an id; `default` is the bridge."""
        return self._known.get(text)

    def endpoints(self, network_id: str) -> Sequence[Endpoint]:
        """Who is in a network."""
        return self._records.endpoints(self._known.list, network_id=network_id)

    def create(self, request: NetworkRequest) -> Network:
        """Make a network, whole or not at all.

        Raises `Conflict`, `Forbidden`, `InvalidParameter`, `NotFound`, `EngineFault`.
        """
        # A cluster's store may take its time; networks of this host alone are not to wait for it.
        with self._drivers.making(request.driver), self._changing, ExitStack() as undo:
            network = creation.draft(request, existing=self._known.list(), drivers=self._drivers)
            undo.callback(self._take_down, network)
            self._install(network)
            self._drivers.of(network).publish(network)
            undo.pop_all()
        self._events.publish(Kind.NETWORK, "create", network.id, {"name": network.name, "type": network.driver})
        return network

    def remove(self, text: str) -> None:
        """Remove a network; `Forbidden` while a container is in it, and for those that are always there."""
        network = self._known.get(text)
        if network.name in PREDEFINED:
            raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
        with self._changing:
            if not self._records.retire(network.id):
                if network not in self._known.list():
                    raise NetworkNotFound(text)
                raise Forbidden(
                    f"error while removing network: network {network.name} id {network.id} has active endpoints"
                )
            try:
                self._drivers.of(network).withdraw(network)
            except EngineError:
                self._records.restore(network.id)
                raise
            self._take_down(network)
        self._events.publish(Kind.NETWORK, "destroy", network.id, {"name": network.name, "type": network.driver})

    def prune(self, filters: Mapping[str, Collection[str]]) -> Sequence[str]:
        """Remove the networks that nobody is in; their names. Filters are Docker's `label`, `label!` and `until`."""
        removed = []
        for network in listing.prunable(self._known.list(), filters):
            try:
                self.remove(network.id)
            except (Forbidden, NetworkNotFound):
                continue  # somebody is in it, or has removed it
            removed.append(network.name)
        self._events.publish(Kind.NETWORK, "prune", "", {"reclaimed": "0"})
        return removed

    def routed(self) -> Sequence[Route]:
        """What this host reaches otherwise than by a network's own bridge."""
        own = {side.bridge for side in self._sides()}
        return [route for route in links.routes() if route.link not in own]

    def hidden_by(self, network: Network) -> Sequence[Route]:
        """What this host reaches otherwise, and finds in *network* instead for as long as that is there.

        A macvlan network has the addresses of its parent's own network, and no route of the host leads to it.
        """
        if self._drivers.of(network).side(network) is None:
            return []
        return [
            route
            for route in self.routed()
            if any(ipam.overlap(route.subnet, each.subnet) for each in network.usable_pools)
        ]

    # --- containers in them

    def open(self, request: SandboxRequest) -> Sandbox:
        """A container's network, whole or not at all.

        Raises `PortInUse`, `NetworkNotFound`, `InvalidParameter`, `Forbidden`, `EngineFault`.
        """
        sandbox = self._sandboxes.open(request)
        for endpoint in sandbox.endpoints:
            self._tell("connect", endpoint, self._known.get(endpoint.network_id))
        return sandbox

    def connect(self, request: SandboxRequest) -> Endpoint:
        """Join a running container to one further network, whole or not at all. Raises as `open` does."""
        endpoint = self._sandboxes.connect(request)
        self._tell("connect", endpoint, self._known.get(endpoint.network_id))
        return endpoint

    def disconnect(self, request: SandboxRequest) -> Endpoint | None:
        """Take a running container out of one network; `None` where it is not in it."""
        (asked,) = request.attachments
        network = self._known.wanted(asked)
        for endpoint in self._sandboxes.endpoints(request.container_id):
            if endpoint.network_id == network.id:
                self._sandboxes.disconnect(endpoint, wanted=request.ports)
                self._tell("disconnect", endpoint, network)
                return endpoint
        return None

    def release(self, container_id: str) -> None:
        """Take a container's network down; no error when it has none."""
        # Once nobody is in a network it may be removed at any moment.
        left = [(each, self._known.get(each.network_id)) for each in self._sandboxes.endpoints(container_id)]
        self._sandboxes.close(container_id)
        for endpoint, network in left:
            self._tell("disconnect", endpoint, network)

    def sandbox(self, container_id: str) -> Sandbox | None:
        """The network that a container has now."""
        return self._sandboxes.get(container_id)

    def rename(self, container_id: str, old: str, new: str) -> None:
        """Have others find a container by its new name."""
        self._sandboxes.rename(container_id, old, new)

    # --- inside

    def _ensure(self, network: Network) -> None:
        """One network's damage must not keep the engine from starting, except the default one's."""
        try:
            self._drivers.of(network).ensure(network)
        except (EngineError, OSError, *links.FAILURES) as error:
            if network.name in PREDEFINED:
                raise EngineFault(f"network {network.name} cannot be made: {error}") from error
            _LOG.warning("network %s cannot be put right: %s", network.name, error)

    def _install(self, network: Network) -> None:
        """Everything that a network is made of."""
        self._known.put(network)
        driver = self._drivers.of(network)
        driver.ensure(network)
        if (side := driver.side(network)) is not None:
            self._firewall.admit(side)
            forwarding.accept([] if side.internal else [side.bridge])

    def _adopt(self, network: Network, told: Callable[[], bool]) -> None:
        """Have a network that another engine of the cluster has made, if its store, asked by *told*, still has it."""
        with self._changing, ExitStack() as undo:
            if network in self._known.list() or not told():
                return
            undo.callback(self._take_down, network)
            self._install(network)
            undo.pop_all()
        self._events.publish(Kind.NETWORK, "create", network.id, {"name": network.name, "type": network.driver})

    def _abandon(self, network: Network, told: Callable[[], bool]) -> bool:
        """Let go of a network that another engine of the cluster has removed; false where somebody is in it.

        One that this engine has just made is *told* by now, and stays.
        """
        with self._changing:
            if told():
                return True
            if not self._records.retire(network.id):
                return False
            self._take_down(network)
        self._events.publish(Kind.NETWORK, "destroy", network.id, {"name": network.name, "type": network.driver})
        return True

    def _take_down(self, network: Network) -> None:
        """Everything that a network is made of; whoever joins it meanwhile is refused."""
        self._records.retire(network.id)
        self._known.forget(network)
        driver = self._drivers.of(network)
        if (side := driver.side(network)) is not None:
            try:
                self._firewall.dismiss(side)
            except EngineFault as error:
                # The table is gone, after a restart of the host or by somebody's hand: so is all that it knew.
                _LOG.debug("network %s was not in the firewall: %s", network.name, error)
            forwarding.forget([side.bridge])
        driver.delete(network)
        self._records.delete(network.id)

    def _sides(self) -> Sequence[Side]:
        sides = [self._drivers.of(network).side(network) for network in self._known.list()]
        return [side for side in sides if side is not None]

    def _default(self, bridge: Network) -> Network:
        """The default bridge with addresses: those configured, those it had, else the first pool that is free."""
        bridge = replace(bridge, options={**DEFAULT_OPTIONS, NAME: self._config.bridge})
        if (wanted := self._config.subnet) is not None:
            gateway = wanted.ip if wanted.ip != wanted.network.network_address else None
            return replace(bridge, pools=(ipam.with_gateway(Pool(subnet=wanted.network, gateway=gateway)),))
        if bridge.pools:
            return bridge
        taken = [pool.subnet for network in self._known.list() for pool in network.pools]
        subnet: IPv4Network = ipam.next_free([*taken, *links.routed_networks()])
        return replace(bridge, pools=(ipam.with_gateway(Pool(subnet=subnet)),))

    def _targets(self, container_id: str) -> Sequence[Target]:
        endpoint = self._sandboxes.leading(container_id)
        return self._publishing.targets(endpoint) if endpoint is not None else ()

    def _tell(self, action: str, endpoint: Endpoint, network: Network) -> None:
        self._events.publish(
            Kind.NETWORK,
            action,
            network.id,
            {"container": endpoint.container_id, "name": network.name, "type": network.driver},
        )
