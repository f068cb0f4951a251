"""Which subnets a network has, and which address of them is the next (IP address management)."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network
from itertools import islice
from typing import Final

from engine.errors import EngineFault, Forbidden, InvalidParameter
from engine.networks.model import Address, Pool, Subnet

DEFAULT_POOLS: Final = (
    *(IPv4Network(f"172.{second}.0.0/16") for second in range(17, 32)),
    *(IPv4Network(f"192.168.{third}.0/20") for third in range(0, 256, 16)),
)
"""Docker's, tried in this order."""
OVERLAY_POOLS: Final = tuple(islice(IPv4Network("10.0.0.0/8").subnets(new_prefix=24), 1, 4096))
"""Of networks that span hosts: Docker's in a swarm, none of which a host takes for a network of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRequest:
    """A part of a request's `IPAM.Config`, as text."""

    subnet: str = ""
    ip_range: str = ""
    gateway: str = ""
    reserved: Mapping[str, str] = field(default_factory=dict)


def pools(
    requests: Sequence[PoolRequest],
    *,
    ipv6: bool,
    taken: Collection[Subnet],
    routed: Collection[Subnet],
    defaults: Iterable[IPv4Network] = DEFAULT_POOLS,
) -> tuple[Pool, ...]:
    """The pools that *requests* ask for, and those that must be there beside them, with their gateways.

    *taken* are the subnets of other networks, which nobody may overlap; *routed* those that the host uses otherwise,
    which a person may choose and the engine does not. `InvalidParameter`, `Forbidden`, `EngineFault`.
    """
    found = [_parsed(request) for request in requests]
    for position, pool in enumerate(found):
        others = [*taken, *(other.subnet for other in found[:position])]
        if any(overlap(pool.subnet, other) for other in others):
            raise Forbidden(f"Pool overlaps with other one on this address space: {pool.subnet}")
    if not any(pool.subnet.version == 4 for pool in found):
        found.insert(0, Pool(subnet=next_free([*taken, *routed], defaults)))
    if ipv6 and not any(pool.subnet.version == 6 for pool in found):
        found.append(Pool(subnet=unique_local([*taken, *routed])))
    return tuple(with_gateway(pool) for pool in found)


def next_free(used: Iterable[Subnet], defaults: Iterable[IPv4Network] = DEFAULT_POOLS) -> IPv4Network:
    """The first of *defaults* that overlaps nothing *used*."""
    in_use = tuple(used)
    for subnet in defaults:
        if not any(overlap(subnet, other) for other in in_use):
            return subnet
    raise EngineFault(
        "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network: "
        "choose a subnet, or remove networks that nobody uses"
    )


def unique_local(used: Iterable[Subnet]) -> IPv6Network:
    """A subnet of one's own for IPv6: 40 random bits make a clash unlikely (RFC 4193, 3.2)."""
    in_use = tuple(used)
    while True:
        subnet = IPv6Network(((0xFD << 120) | (secrets.randbits(40) << 80), 64))
        if not any(overlap(subnet, other) for other in in_use):
            return subnet


def with_gateway(pool: Pool) -> Pool:
    """*pool* with a gateway: the first address that is free, where nobody chose one."""
    if pool.gateway is not None:
        return pool
    gateway = allocate(replace(pool, ip_range=None), ())
    if gateway is None:
        raise InvalidParameter(f"failed to allocate gateway (): No available addresses on this pool: {pool.subnet}")
    return replace(pool, gateway=gateway)


def allocate(pool: Pool, taken: Collection[int]) -> Address | None:
    """The lowest address of *pool* that is not among the numbers *taken*; `None` where there is none left."""
    first, last = span(pool)
    reserved = {int(address) for address in (*pool.reserved.values(), pool.gateway) if address is not None}
    number = int(first)
    while number in taken or number in reserved:
        number += 1
    return type(first)(number) if number <= int(last) else None


def span(pool: Pool, *, whole: bool = False) -> tuple[Address, Address]:
    """The first and the last address that may be handed out, or of the *whole* subnet; reserved ones among them."""
    place = pool.subnet if whole else pool.ip_range or pool.subnet
    first, last = place.network_address, place.broadcast_address
    return (
        first if _usable(pool.subnet, first) else first + 1,
        last if _usable(pool.subnet, last) else last - 1,
    )


def claim(pools: Sequence[Pool], wanted: Address, taken: Collection[int]) -> Pool:
    """The pool that a container may have *wanted* of. `InvalidParameter`, `Forbidden` in Docker's words."""
    for pool in pools:
        if wanted.version == pool.subnet.version and wanted in pool.subnet:
            if int(wanted) in taken or wanted == pool.gateway or wanted in pool.reserved.values():
                raise Forbidden(f"Address already in use: {wanted}")
            if not _usable(pool.subnet, wanted):
                raise Forbidden(f"Address already in use: {wanted} names the subnet {pool.subnet} itself")
            return pool
    raise InvalidParameter(f"Invalid address {wanted}: It does not belong to any of this network's subnets")


def _usable(subnet: Subnet, address: Address) -> bool:
    """Neither the network's own address nor, with IPv4, the broadcast address. A /31 has two hosts (RFC 3021)."""
    if subnet.prefixlen >= subnet.max_prefixlen - 1:
        return True
    if address == subnet.network_address:
        return False
    return not (isinstance(address, IPv4Address) and address == subnet.broadcast_address)


def _parsed(request: PoolRequest) -> Pool:
    subnet = _network("subnet", request.subnet)
    pool = Pool(
        subnet=subnet,
        gateway=_member("gateway", request.gateway, subnet) if request.gateway else None,
        ip_range=_network("ip-range", request.ip_range) if request.ip_range else None,
        reserved={name: _member(f"auxiliary address {name}", text, subnet) for name, text in request.reserved.items()},
        chosen=True,
    )
    part = pool.ip_range
    if part is not None and (part.version != subnet.version or not part.subnet_of(subnet)):  # type: ignore[arg-type]
        raise InvalidParameter(f"invalid ip-range {part}: it does not lie in the subnet {subnet}")
    _require_apart(pool)
    return pool


def _require_apart(pool: Pool) -> None:
    """The gateway and the reserved addresses are different ones, and none names the subnet; `Forbidden`."""
    asked = [(f"secondary ip address ({name}:", address) for name, address in pool.reserved.items()]
    if pool.gateway is not None:
        asked.insert(0, ("gateway (", pool.gateway))
    taken: set[Address] = set()
    for noun, address in asked:
        if address in taken or not _usable(pool.subnet, address):
            raise Forbidden(f"failed to allocate {noun}{address}): Address already in use")
        taken.add(address)


def _network(noun: str, text: str) -> Subnet:
    try:
        network = ip_network(text, strict=False)
    except ValueError as error:
        raise InvalidParameter(f"Invalid {noun} {text[:60]} : invalid CIDR address: {text[:60]}") from error
    if "/" not in text:
        raise InvalidParameter(
            f"Invalid {noun} {text[:60]} : invalid CIDR address: {text[:60]} (give it with its length, as /24)"
        )
    return network


def _member(noun: str, text: str, subnet: Subnet) -> Address:
    try:
        address = ip_address(text)
    except ValueError as error:
        raise InvalidParameter(f"invalid {noun}: {text[:60]!r} is no IP address") from error
    if address.version != subnet.version or address not in subnet:
        raise Forbidden(f"invalid {noun}: ({address}) must belong to the master pool: {subnet}")
    return address


def overlap(one: Subnet, other: Subnet) -> bool:
    """Whether an address may be of both."""
    return one.version == other.version and one.overlaps(other)
