"""A network that another engine of the cluster made, checked before this host has it.

Whoever can write to the cluster's store decides about overlay networks. They must not decide about anything else of a
host: its links, its routes, its other networks, and whether its engine starts.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from engine.errors import EngineFault, Forbidden, InvalidParameter
from engine.networks import ipam, links, records
from engine.networks.cluster.admission import VNI, is_vni, pool_of, require_private
from engine.networks.cluster.member import link_name
from engine.networks.creation import PREDEFINED, is_name
from engine.networks.drivers.bridge import bridge_name
from engine.networks.drivers.overlay import require_options
from engine.networks.model import Driver, Network

_ID: Final = re.compile(r"[0-9a-f]{64}")
_LONGEST: Final = 64 * 1024
_LATEST: Final = 1 << 63


def written(document: str, *, network_id: str) -> Network:
    """The overlay network of a document; `EngineFault` says why it is none."""
    try:
        if len(document) > _LONGEST:
            raise EngineFault(f"its document has {len(document)} characters")
        network = records.read(document)
        _require_shape(network, network_id)
        require_options(network)
        require_private(network)
    except (EngineFault, InvalidParameter) as error:
        raise EngineFault(f"network {network_id[:12]!r} of the cluster is no overlay network: {error}") from error
    return network


def require_room(network: Network, others: Collection[Network]) -> None:
    """`Forbidden` where this host uses what the network needs: a name, a subnet, a link."""
    for other in others:
        if other.name == network.name or other.id[:12] == network.id[:12] or _overlap(other, network):
            raise Forbidden(
                f"network {network.name} of the cluster cannot be used on this host: its name, its id or its subnet is "
                f"that of network {other.name} here; remove one of them"
            )
    subnet = pool_of(network).subnet
    for routed in links.routed_networks():
        if ipam.overlap(routed, subnet):
            raise Forbidden(
                f"network {network.name} of the cluster cannot be used on this host: its subnet {subnet} overlaps "
                f"{routed}, which this host reaches otherwise; make it anew with another subnet"
            )
    for link in (bridge_name(network), link_name(network.id)):
        if links.exists(link):
            raise Forbidden(
                f"network {network.name} of the cluster cannot be used on this host: a link {link} is there already; "
                "remove it"
            )


def _require_shape(network: Network, network_id: str) -> None:
    pools = network.pools
    for right, why in (
        (network.driver is Driver.OVERLAY, f"its driver is {network.driver}"),
        (network.id == network_id and _ID.fullmatch(network_id), f"its id is {network.id[:64]!r}"),
        (network.name not in (*PREDEFINED, "default") and is_name(network.name), f"its name is {network.name[:60]!r}"),
        (len(pools) == 1 and pools[0].subnet.version == 4 and not network.ipv6, "it has not one subnet, of IPv4"),
        (is_vni(network.options.get(VNI, "")), f"its number is {network.options.get(VNI, '')[:20]!r}"),
        (0 <= network.created < _LATEST, "it was made at no time that there is"),
    ):
        if not right:
            raise EngineFault(why)
    pool = pool_of(network)
    inside = [pool.gateway, *pool.reserved.values()]
    if any(address is None or address not in pool.subnet for address in inside):
        raise EngineFault(f"its gateway or a reserved address is not in its subnet {pool.subnet}")
    part = pool.ip_range
    if part is not None and (part.version != 4 or not part.subnet_of(pool.subnet)):  # type: ignore[arg-type]
        raise EngineFault(f"its range {part} is not in its subnet {pool.subnet}")


def _overlap(one: Network, other: Network) -> bool:
    return any(ipam.overlap(mine.subnet, yours.subnet) for mine in one.pools for yours in other.pools)
