"""The daemon's configuration, read once from the environment (12-factor, III)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Network, ip_interface, ip_network
from pathlib import Path
from typing import Final, Self

from engine.errors import InvalidParameter

_CONTEXT_BYTES: Final = 8 * 1024**3
_CONTEXT_FILES: Final = 1_000_000
_KEEP_FREE: Final = 256 * 1024**2
_LAYER_BYTES: Final = 64 * 1024**3
_LAYER_FILES: Final = 2_000_000
_LAYER_RATIO: Final = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """Where one engine keeps its things and what it may talk to.

    Two engines live side by side on a host when their `root`, `run` and `bridge` differ.
    """

    root: Path
    """State that survives a reboot: database, blobs, layers, containers (`HAVRE_ROOT`)."""
    run: Path
    """What a reboot clears: sockets, pids, network namespaces (`HAVRE_RUN`)."""
    socket: Path
    """The API's unix socket (`HAVRE_SOCKET`)."""
    socket_group: str = "havre"
    """The group that may open the socket, beside root (`HAVRE_GROUP`). Membership equals root."""
    bridge: str = "havre0"
    """Name of the default network's bridge (`HAVRE_BRIDGE`), at most 15 characters."""
    subnet: IPv4Interface | None = None
    """The default network's subnet (`HAVRE_SUBNET`); `None` takes 172.17.0.0/16 or the next free one."""
    registry_mirrors: tuple[str, ...] = ()
    """Base URLs asked before the default registry (`HAVRE_REGISTRY_MIRRORS`, separated by commas)."""
    insecure_registries: tuple[str, ...] = ()
    """`host[:port]` or CIDR reached by plain HTTP (`HAVRE_INSECURE_REGISTRIES`); loopback always is."""
    registry_certs: Path = Path("/etc/docker/certs.d")
    """The directory of certificates for single registries (`HAVRE_REGISTRY_CERTS`)."""
    token_servers: tuple[str, ...] = ()
    """Hosts that may ask for the credentials of registries they do not seem to belong to (`HAVRE_TOKEN_SERVERS`)."""
    layer_bytes: int = _LAYER_BYTES
    """Bytes of a layer at most, unpacked (`HAVRE_LAYER_SIZE`, such as `64g`)."""
    layer_files: int = _LAYER_FILES
    """Files and directories of a layer at most (`HAVRE_LAYER_FILES`)."""
    layer_ratio: int = _LAYER_RATIO
    """How many bytes a compressed byte of a layer or an upload may become (`HAVRE_LAYER_RATIO`)."""
    build_context_bytes: int = _CONTEXT_BYTES
    """Bytes of a build's context at most, unpacked (`HAVRE_BUILD_CONTEXT_SIZE`, such as `8g`)."""
    build_context_files: int = _CONTEXT_FILES
    """Files and directories of a build's context at most (`HAVRE_BUILD_CONTEXT_FILES`)."""
    build_step_bytes: int = 0
    """Bytes that a step of a build may write, 0 for no limit (`HAVRE_BUILD_STEP_SIZE`)."""
    build_keep_free: int = _KEEP_FREE
    """Bytes of the disk that a step of a build leaves free (`HAVRE_BUILD_KEEP_FREE`)."""
    reachable_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks that builds, pulls and pushes may reach which are else held to public addresses
    (`HAVRE_REACHABLE_NETWORKS`, such as `10.1.0.0/16`, separated by commas)."""
    cluster_url: str = ""
    """The Redis by which engines of several hosts share overlay networks (`HAVRE_CLUSTER_URL`); empty where alone."""
    cluster_address: IPv4Address | None = None
    """Where this host takes the packets of overlay networks (`HAVRE_CLUSTER_ADDRESS`); `None` is the address that it
    reaches the store from."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the variables named above; `InvalidParameter` names the variable that is wrong."""
        root = _absolute("HAVRE_ROOT", environ.get("HAVRE_ROOT") or "/var/lib/havre")
        run = _absolute("HAVRE_RUN", environ.get("HAVRE_RUN") or "/run/havre")
        bridge = environ.get("HAVRE_BRIDGE") or "havre0"
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,14}", bridge):
            raise InvalidParameter(
                f"HAVRE_BRIDGE={bridge!r}: an interface name has 1 to 15 letters, digits, '_', '.' or '-'"
            )
        return cls(
            root=root,
            run=run,
            socket=_absolute("HAVRE_SOCKET", environ.get("HAVRE_SOCKET") or str(run / "engine.sock")),
            socket_group=environ.get("HAVRE_GROUP") or "havre",
            bridge=bridge,
            subnet=_subnet(environ.get("HAVRE_SUBNET")),
            registry_mirrors=_list(environ.get("HAVRE_REGISTRY_MIRRORS")),
            insecure_registries=_list(environ.get("HAVRE_INSECURE_REGISTRIES")),
            cluster_url=environ.get("HAVRE_CLUSTER_URL") or "",
            cluster_address=_address("HAVRE_CLUSTER_ADDRESS", environ.get("HAVRE_CLUSTER_ADDRESS")),
            registry_certs=_absolute(
                "HAVRE_REGISTRY_CERTS", environ.get("HAVRE_REGISTRY_CERTS") or "/etc/docker/certs.d"
            ),
            token_servers=_list(environ.get("HAVRE_TOKEN_SERVERS")),
            layer_bytes=_size("HAVRE_LAYER_SIZE", environ, _LAYER_BYTES),
            layer_files=_size("HAVRE_LAYER_FILES", environ, _LAYER_FILES),
            layer_ratio=_size("HAVRE_LAYER_RATIO", environ, _LAYER_RATIO),
            build_context_bytes=_size("HAVRE_BUILD_CONTEXT_SIZE", environ, _CONTEXT_BYTES),
            build_context_files=_size("HAVRE_BUILD_CONTEXT_FILES", environ, _CONTEXT_FILES),
            build_step_bytes=_size("HAVRE_BUILD_STEP_SIZE", environ, 0),
            reachable_networks=_networks("HAVRE_REACHABLE_NETWORKS", environ.get("HAVRE_REACHABLE_NETWORKS")),
            build_keep_free=_size("HAVRE_BUILD_KEEP_FREE", environ, _KEEP_FREE),
        )

    @property
    def instance(self) -> str:
        """A word that tells this engine's kernel objects (nft table, cgroup parent) from another engine's."""
        return "havre" if self.bridge == "havre0" else f"havre-{self.bridge}"


def _absolute(variable: str, text: str) -> Path:
    path = Path(text)
    if not path.is_absolute():
        raise InvalidParameter(f"{variable}={text!r}: give an absolute path")
    return path


def _address(variable: str, text: str | None) -> IPv4Address | None:
    if not text:
        return None
    try:
        return IPv4Address(text)
    except ValueError as error:
        raise InvalidParameter(f"{variable}={text!r}: give an IPv4 address of this host") from error


def _networks(variable: str, text: str | None) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(map(ip_network, _list(text)))
    except ValueError as error:
        raise InvalidParameter(f"{variable}={text!r}: {error}; give networks such as 10.1.0.0/16") from error


def _list(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _size(variable: str, environ: Mapping[str, str], default: int) -> int:
    """A number with perhaps k, m, g or t behind it, each 1024 times the one before."""
    text = environ.get(variable) or ""
    if not text:
        return default
    match = re.fullmatch(r"([0-9]{1,15})([kmgt]?)b?", text.strip().lower())
    if match is None or not int(match[1]):
        raise InvalidParameter(f"{variable}={text!r}: give a number such as 500000, 512m or 8g")
    return int(match[1]) << 10 * " kmgt".index(match[2] or " ")


def _subnet(text: str | None) -> IPv4Interface | None:
    if not text:
        return None
    try:
        interface = ip_interface(text)
    except ValueError as error:
        raise InvalidParameter(f"HAVRE_SUBNET={text!r}: {error}; give a subnet such as 172.17.0.0/16") from error
    if not isinstance(interface, IPv4Interface) or not 8 <= interface.network.prefixlen <= 29:
        raise InvalidParameter(f"HAVRE_SUBNET={text!r}: give an IPv4 subnet between /8 and /29, such as 172.17.0.0/16")
    return interface
