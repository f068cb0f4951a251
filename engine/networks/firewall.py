"""The engine's one nftables table: address translation, published ports, and what may be forwarded.

Published ports are elements of maps, so that a packet costs the same however many there are. The table is named after
the engine's instance, and touches no rule of anybody else.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from engine.networks.model import PublishedPort
from engine.networks.nftables import Nftables

_ANY = "0.0.0.0"
_PROGRAMS: Final = "/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin:/usr/local/bin"
_DOCKERS_CHAIN: Final = "DOCKER-USER"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a published port leads."""

    port: PublishedPort
    address: IPv4Address


class Firewall:
    def __init__(self, *, instance: str, bridge: str) -> None:
        self._table = f"inet {instance}"
        self._bridge = bridge
        self._nft = Nftables()

    def close(self) -> None:
        self._nft.close()

    def install(self, subnet: IPv4Network, targets: Iterable[Target]) -> None:
        """Replace the whole table in one transaction: what a crash left in it is gone, what runs stays reachable."""
        bridge, table = self._bridge, self._table
        elements = "\n".join(self._element("add", target) for target in targets)
        self._nft.run(f"""
add table {table}
delete table {table}
table {table} {{
    map published {{
        type inet_proto . inet_service : ipv4_addr . inet_service
    }}
    map published_at {{
        type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
    }}
    chain raw {{
        type filter hook prerouting priority raw; policy accept
        # route_localnet is for the host's own connections: a container must not reach the host's loopback by it.
        iifname "{bridge}" ip daddr 127.0.0.0/8 drop
    }}
    chain prerouting {{
        type nat hook prerouting priority dstnat; policy accept
        # What a neighbour sends to 127.0.0.1 must not reach a port published there; our own goes through output.
        ip daddr != 127.0.0.0/8 fib daddr type local jump publish
    }}
    chain output {{
        type nat hook output priority -100; policy accept
        fib daddr type local jump publish
    }}
    chain publish {{
        dnat ip to ip daddr . meta l4proto . th dport map @published_at
        dnat ip to meta l4proto . th dport map @published
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept
        ip saddr {subnet} oifname != "{bridge}" masquerade
        # Answers must come back this way: from the host's loopback, and from a container to a port of the same bridge.
        oifname "{bridge}" ip saddr 127.0.0.0/8 masquerade
        oifname "{bridge}" ip saddr {subnet} ct status dnat masquerade
    }}
    chain forward {{
        type filter hook forward priority filter; policy accept
        iifname "{bridge}" accept
        oifname "{bridge}" ct state established,related accept
        oifname "{bridge}" ct status dnat accept
        oifname "{bridge}" drop
    }}
}}
{elements}
""")

    def publish(self, targets: Iterable[Target]) -> None:
        """Lead the host's ports to their containers, all or none."""
        self._elements("add", targets)

    def withdraw(self, targets: Iterable[Target]) -> None:
        """Take published ports back."""
        self._elements("delete", targets)

    def remove(self) -> None:
        """Remove the table."""
        self._nft.run(f"add table {self._table}\ndelete table {self._table}")

    def _elements(self, verb: str, targets: Iterable[Target]) -> None:
        commands = "\n".join(self._element(verb, target) for target in targets)
        if commands:
            self._nft.run(commands)

    def _element(self, verb: str, target: Target) -> str:
        port = target.port
        key = f"{port.protocol} . {port.host_port}"
        name = "published"
        if port.host_ip != _ANY:
            key, name = f"{port.host_ip} . {key}", "published_at"
        return f"{verb} element {self._table} {name} {{ {key} : {target.address} . {port.container_port} }}"


def accept_beside_docker(bridge: str) -> None:
    """Let the bridge's packets through where Docker has set the policy of forwarding to drop.

    A table of our own can only add refusals to those of another table; Docker keeps the chain DOCKER-USER for exactly
    this, and takes one that it finds. So where dockerd is installed the chain is made, in case it starts later than we.
    """
    if shutil.which("dockerd", path=_PROGRAMS) is not None:
        _iptables("-N", _DOCKERS_CHAIN)
    for option in ("-i", "-o"):
        rule = (_DOCKERS_CHAIN, option, bridge, "-j", "ACCEPT")
        # -C says 1 both for a missing rule and a missing chain; -I then fails in the second case, and rightly so.
        if _iptables("-C", *rule) == 1:
            _iptables("-I", *rule)


def forget_beside_docker(bridge: str) -> None:
    """Take back what `accept_beside_docker` has added."""
    for option in ("-i", "-o"):
        rule = (_DOCKERS_CHAIN, option, bridge, "-j", "ACCEPT")
        if _iptables("-C", *rule) == 0:
            _iptables("-D", *rule)


def _iptables(*arguments: str) -> int | None:
    """Run iptables on its table of filters; its exit code, `None` on a host without it."""
    program = shutil.which("iptables", path=_PROGRAMS)
    if program is None:
        return None
    return subprocess.run([program, "-w", *arguments], capture_output=True, check=False, timeout=30).returncode
