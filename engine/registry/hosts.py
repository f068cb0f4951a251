"""Where a registry is reached: by TLS, by plain HTTP, through a mirror."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from engine.errors import InvalidParameter
from engine.registry.certificates import Trust
from engine.registry.reference import DEFAULT_DOMAIN

DEFAULT_HOST: Final = "registry-1.docker.io"
"""The host that serves the images of `docker.io`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One way to reach a registry."""

    url: str
    """Scheme, host and port: `https://registry-1.docker.io`."""
    verify: bool = True
    """Whether its certificate must be valid."""
    mirror: bool = False
    """A mirror is never given the user's credentials, and a failure of it is no failure of the pull."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryHosts:
    """How this host reaches its registries: the mirrors of the default one, and those without proper TLS.

    `mirrors` are base URLs; `insecure` are `host`, `host:port` or CIDR; `certificates` is the directory of those for
    single registries; `token_servers` are hosts that may ask for any registry's credentials; as in `EngineConfig`.
    """

    mirrors: Sequence[str] = ()
    insecure: Sequence[str] = ()
    certificates: Path | None = None
    token_servers: Sequence[str] = ()
    _networks: tuple[IPv4Network | IPv6Network, ...] = field(init=False)

    def __post_init__(self) -> None:
        for mirror in self.mirrors:
            _check_mirror(mirror)
        object.__setattr__(self, "_networks", tuple(filter(None, map(_network, self.insecure))))

    def endpoints(self, domain: str) -> tuple[Endpoint, ...]:
        """The ways to reach the registry *domain*, in the order in which to try them."""
        if domain == DEFAULT_DOMAIN:
            mirrors = tuple(
                Endpoint(url=url.rstrip("/"), verify=not self.is_insecure(urlsplit(url).netloc.lower()), mirror=True)
                for url in self.mirrors
            )
            return (*mirrors, Endpoint(url=f"https://{DEFAULT_HOST}"))
        if not self.is_insecure(domain):
            return (Endpoint(url=f"https://{domain}"),)
        # TLS first even here: a registry that speaks it must not get its credentials in the clear.
        secure = Endpoint(url=f"https://{domain}", verify=False)
        plain = Endpoint(url=f"http://{domain}", verify=False)
        port = urlsplit(f"//{domain}").port
        if port == 443:
            return (secure,)
        return (plain,) if port == 80 else (secure, plain)

    def trust(self, endpoints: Sequence[Endpoint]) -> Trust:
        """The certificates for *endpoints*; `InvalidParameter` when there are some that cannot be used."""
        secure = [urlsplit(each.url).netloc for each in endpoints if each.url.startswith("https:")]
        return Trust(self.certificates, secure)

    def is_insecure(self, domain: str) -> bool:
        """Whether plain HTTP and unverified TLS are allowed with *domain* (`host[:port]`)."""
        host = urlsplit(f"//{domain}").hostname or ""
        if is_loopback(host) or domain in self.insecure or host in self.insecure:
            return True
        return bool(self._networks) and any(
            address in network for address in _addresses(host) for network in self._networks
        )


def is_loopback(host: str) -> bool:
    """Whether *host*, a name or an address, is this machine without a resolver being asked."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def is_address(host: str) -> bool:
    """Whether *host* is an IP address."""
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _addresses(host: str) -> list[object]:
    try:
        return [ip_address(host)]
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text, strict=False) if "/" in text else None
    except ValueError:
        raise InvalidParameter(f"insecure registry {text!r}: give host, host:port or a CIDR") from None


def _check_mirror(text: str) -> None:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidParameter(f"registry mirror {text!r}: give a URL such as https://mirror.example")
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username:
        raise InvalidParameter(f"registry mirror {text!r}: path, query, fragment and user are not allowed")
