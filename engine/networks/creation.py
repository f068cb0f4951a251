"""From a request to a network: everything checked before anything is made."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from engine.errors import Conflict, Forbidden, InvalidParameter, NotFound
from engine.networks import ipam, links
from engine.networks.drivers import Drivers
from engine.networks.ipam import PoolRequest
from engine.networks.model import Driver, Network
from engine.types import new_id, now

PREDEFINED: Final = {"bridge": Driver.BRIDGE, "host": Driver.HOST, "none": Driver.NONE}
_LONGEST: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRequest:
    """What a network is to be (Docker Engine API, `NetworkCreate`)."""

    name: str
    driver: str = "bridge"
    pools: Sequence[PoolRequest] = ()
    ipam_driver: str = "default"
    ipam_options: Mapping[str, str] | None = None
    ipv6: bool = False
    internal: bool = False
    attachable: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


def is_user_defined(name: str) -> bool:
    """Whether somebody made the network of that name.

    Only there containers find each other by name and may have fixed addresses, by Docker's rule.
    """
    return name not in PREDEFINED


def is_name(text: str) -> bool:
    """Whether a network may be called so."""
    return bool(text.strip()) and len(text) <= _LONGEST and all(ord(each) >= 32 for each in text)


def draft(request: NetworkRequest, *, existing: Collection[Network], drivers: Drivers) -> Network:
    """The network that a request asks for; `Conflict`, `Forbidden`, `InvalidParameter` where it cannot be."""
    if not is_name(request.name):
        raise InvalidParameter(f"invalid name: {request.name[:60]!r}: give 1 to {_LONGEST} characters")
    if request.name in (*PREDEFINED, "default"):
        raise Forbidden(f"operation is not permitted on predefined {request.name} network ")
    driver = drivers.named(request.driver)
    if any(network.name == request.name for network in existing):
        raise Conflict(f"network with name {request.name} already exists")
    if request.ipam_driver not in ("", "default"):
        raise NotFound(f'plugin "{request.ipam_driver[:60]}" not found')
    wanted = Network(
        id=new_id(),
        name=request.name,
        driver=driver,
        created=now(),
        ipv6=request.ipv6,
        internal=request.internal,
        attachable=request.attachable,
        options=request.options,
        ipam_options=request.ipam_options,
        labels=request.labels,
    )
    network = drivers.of(wanted).check(wanted, existing)
    return with_pools(network, request.pools, existing=existing)


def with_pools(network: Network, requests: Sequence[PoolRequest], *, existing: Collection[Network]) -> Network:
    """*network* with the pools that *requests* ask for, beside those of *existing* networks."""
    pools = ipam.pools(
        requests,
        ipv6=network.ipv6,
        taken=[pool.subnet for other in existing for pool in other.pools],
        routed=links.routed_networks(),
        defaults=ipam.OVERLAY_POOLS if network.driver is Driver.OVERLAY else ipam.DEFAULT_POOLS,
    )
    return replace(network, pools=pools)
