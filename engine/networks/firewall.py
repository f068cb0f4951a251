"""The engine's one nftables table: address translation, published ports, and what may be forwarded.

Bridges and published ports are elements of sets and maps, so that a packet costs the same however many there are. The
table is named after the engine's instance, and touches no rule of anybody else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from engine.networks.model import Address, PublishedPort, Subnet
from engine.networks.nftables import Nftables

_ANY = ("0.0.0.0", "::")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a published port leads."""

    port: PublishedPort
    address: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A bridge as the firewall sees it."""

    bridge: str
    subnets: tuple[Subnet, ...]
    internal: bool = False
    masquerade: bool = True
    """Whether what leaves for elsewhere takes the host's address."""


class Firewall:
    def __init__(self, *, instance: str) -> None:
        self._table = f"inet {instance}"
        self._nft = Nftables(table=instance)

    def close(self) -> None:
        self._nft.close()

    def install(self, sides: Iterable[Side], targets: Iterable[Target]) -> None:
        """Replace the whole table in one transaction: what a crash left in it is gone, what runs stays reachable."""
        table = self._table
        elements = [f"add element {table} {element}" for side in sides for element in _elements(side)]
        elements += [self._published("add", target) for target in targets]
        self._nft.run(f"add table {table}\ndelete table {table}\ntable {table} {{{_TABLE}}}\n" + "\n".join(elements))

    def admit(self, side: Side) -> None:
        """Let a bridge's packets out, and keep others' out of it."""
        self._nft.run("\n".join(f"add element {self._table} {element}" for element in _elements(side)))

    def dismiss(self, side: Side) -> None:
        """Forget a bridge. What is not there is added first, so that all of it can be deleted."""
        self._nft.run(
            "\n".join(
                f"{verb} element {self._table} {element}" for verb in ("add", "delete") for element in _elements(side)
            )
        )

    def publish(self, targets: Iterable[Target], *, instead_of: Iterable[Target] = ()) -> None:
        """Lead the host's ports to their containers, all or none, *instead_of* where they led until now."""
        commands = [self._published("delete", target) for target in instead_of]
        commands += [self._published("add", target) for target in targets]
        if commands:
            self._nft.run("\n".join(commands))

    def withdraw(self, targets: Iterable[Target]) -> None:
        """Take published ports back."""
        self.publish((), instead_of=targets)

    def remove(self) -> None:
        """Remove the table."""
        self._nft.run(f"add table {self._table}\ndelete table {self._table}")

    def _published(self, verb: str, target: Target) -> str:
        port = target.port
        family = "6" if target.address.version == 6 else ""
        key, name = f"{port.protocol} . {port.host_port}", f"published{family}"
        if port.host_ip not in _ANY:
            key, name = f"{port.host_ip} . {key}", f"{name}_at"
        return f"{verb} element {self._table} {name} {{ {key} : {target.address} . {port.container_port} }}"


def _elements(side: Side) -> Iterator[str]:
    name = f'"{side.bridge}"'
    yield f"bridges {{ {name} }}"
    yield f"same {{ {name} . {name} }}"
    if side.internal:
        yield f"internal {{ {name} }}"
    for subnet in side.subnets:
        family = "6" if subnet.version == 6 else ""
        yield f"inside{family} {{ {subnet} . {name} }}"
        if side.masquerade and not side.internal:
            yield f"outward{family} {{ {subnet} }}"


_TABLE = """
    set bridges { type ifname; }
    set internal { type ifname; }
    set same { type ifname . ifname; }
    set inside { type ipv4_addr . ifname; flags interval; }
    set inside6 { type ipv6_addr . ifname; flags interval; }
    set outward { type ipv4_addr; flags interval; }
    set outward6 { type ipv6_addr; flags interval; }
    map published { type inet_proto . inet_service : ipv4_addr . inet_service; }
    map published_at { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }
    map published6 { type inet_proto . inet_service : ipv6_addr . inet_service; }
    map published6_at { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }
    chain raw {
        type filter hook prerouting priority raw; policy accept
        # route_localnet is for the host's own connections: a container must not reach the host's loopback by it.
        iifname @bridges ip daddr 127.0.0.0/8 drop
    }
    chain prerouting {
        type nat hook prerouting priority dstnat; policy accept
        # What a neighbour sends to 127.0.0.1 must not reach a port published there; our own goes through output.
        ip daddr != 127.0.0.0/8 fib daddr type local jump publish
        meta nfproto ipv6 fib daddr type local jump publish6
    }
    chain output {
        type nat hook output priority -100; policy accept
        meta nfproto ipv4 fib daddr type local jump publish
        # Nothing leaves the loopback with ::1 for its source: such connections are relayed (ports.py).
        ip6 daddr != ::1 fib daddr type local jump publish6
    }
    chain publish {
        dnat ip to ip daddr . meta l4proto . th dport map @published_at
        dnat ip to meta l4proto . th dport map @published
    }
    chain publish6 {
        dnat ip6 to ip6 daddr . meta l4proto . th dport map @published6_at
        dnat ip6 to meta l4proto . th dport map @published6
    }
    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept
        # Answers must come back this way: from the host's loopback, and from a container to a port of the same bridge.
        oifname @bridges ip saddr 127.0.0.0/8 masquerade
        ip saddr . oifname @inside ct status dnat masquerade
        ip6 saddr . oifname @inside6 ct status dnat masquerade
        ip saddr . oifname @inside return
        ip6 saddr . oifname @inside6 return
        ip saddr @outward masquerade
        ip6 saddr @outward6 masquerade
    }
    chain forward {
        type filter hook forward priority filter; policy accept
        # Within a bridge, where bridges pass their packets through here (br_netfilter).
        iifname . oifname @same accept
        iifname @internal drop
        oifname @internal drop
        oifname @bridges ct state established,related accept
        oifname @bridges ct status dnat accept
        oifname @bridges drop
    }
"""
