"""Where a request may go, for people who must not reach what listens on the engine's host and around it.

A name is looked up once, all its addresses are judged, and the connection goes to one of them: another look-up could
bring another answer (DNS rebinding).
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from engine.errors import Forbidden

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NAT64: Final = IPv6Network("64:ff9b::/96")
"""IPv4 addresses as a translator shows them (RFC 6052)."""
_DISCARD: Final = 9
"""A port to ask the kernel for a route with; nothing is sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicReach:
    """Lets through public addresses and those that the engine's administrator has named."""

    networks: tuple[Network, ...] = ()
    """Networks that may be reached as well."""
    peers: frozenset[tuple[str, int]] = frozenset()
    """Hosts and ports that may be reached wherever they lie."""

    def trusting(self, peers: frozenset[tuple[str, int]]) -> PublicReach:
        """The same, with more of those."""
        return replace(self, peers=self.peers | peers)

    def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of *host*, each of which may be connected to.

        `Forbidden` when one of them may not, `OSError` when the host has none.
        """
        found = dict.fromkeys(
            str(entry[4][0]) for entry in socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
        )
        if (host.lower(), port) not in self.peers:
            for address in found:
                self._judge(host, ip_address(address.partition("%")[0]))
        return list(found)

    def judge_behind_proxy(self, host: str, port: int) -> None:
        """`Forbidden` for a host that a proxy is to connect to, as far as its name means something here."""
        try:
            self.addresses(host, port)
        except OSError:
            return  # only the proxy knows the name

    def _judge(self, host: str, address: Address) -> None:
        if any(address in network for network in self.networks) or _is_public(address):
            return
        what = host if host.strip("[]") == str(address) else f"{host} ({address})"
        raise Forbidden(
            f"{what} is no public address: only an administrator may have the engine go there, or enter it as a "
            "registry, or allow its network (HAVRE_REACHABLE_NETWORKS)"
        )


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return _is_public(inner)
        if address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or _is_own(address))


def _is_own(address: Address) -> bool:
    """Whether *address* is one of this host's: packets to it would come from it."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(address), _DISCARD))
        except OSError:
            return False  # there is no way there
        return ip_address(probe.getsockname()[0].partition("%")[0]) == address
