"""Endpoints in bodies: `NetworkingConfig` of a new container, `EndpointConfig` of a connection (`EndpointSettings`)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from engine.api import create_config
from engine.api.fields import Fields
from engine.errors import InvalidParameter
from engine.networks.creation import is_user_defined
from engine.networks.model import Attachment

_OPERATIONAL: Final = (
    *("NetworkID", "EndpointID", "Gateway", "IPAddress", "IPPrefixLen", "IPv6Gateway", "GlobalIPv6Address"),
    *("GlobalIPv6PrefixLen", "DNSNames"),
)
"""What inspect tells of an endpoint that is there: clients that make a container anew send it along."""


def attachments(networking: Fields, *, mode: str, mac: str, links: tuple[str, ...]) -> tuple[Attachment, ...]:
    """What a container asks of its networks, that of its *mode* first; *mac* and *links* are the whole container's.

    One that shares another container's network has none of its own.
    """
    endpoints = networking.section("EndpointsConfig")
    if mode.startswith("container:"):
        if endpoints.names:
            raise InvalidParameter(
                "NetworkMode: conflicting options: a network and the container type network mode (NetworkingConfig)"
            )
        return ()
    asked = {_named(name): attachment(endpoints.section(name), network=_named(name)) for name in endpoints.names}
    main = _named(mode)
    first = asked.pop(main, Attachment(network=main))
    if mac and first.mac not in ("", mac):
        raise InvalidParameter("MacAddress: the container-wide address and the network's own must be the same")
    if asked and main in ("host", "none"):
        raise networking.refused(
            "EndpointsConfig",
            f"a container of network {main} (NetworkMode) cannot be in others: {', '.join(asked)[:200]}",
        )
    if is_user_defined(main):
        first = replace(first, links=tuple(dict.fromkeys((*first.links, *links))))
    return (replace(first, mac=mac or first.mac), *(asked[name] for name in sorted(asked)))


def attachment(settings: Fields, *, network: str) -> Attachment:
    """One endpoint's settings."""
    for name in _OPERATIONAL:
        settings.get(name)
    ipam = settings.section("IPAMConfig")
    address, address6 = _address(ipam, "IPv4Address", 4), _address(ipam, "IPv6Address", 6)
    return Attachment(
        network=network,
        address=address if isinstance(address, IPv4Address) else None,
        address6=address6 if isinstance(address6, IPv6Address) else None,
        link_local=_link_local(ipam),
        mac=create_config.mac_address(settings),
        aliases=settings.texts("Aliases"),
        links=settings.texts("Links"),
        options=settings.text_map("DriverOpts"),
        gateway_priority=settings.integer("GwPriority"),
    )


def _named(name: str) -> str:
    return "bridge" if name == "default" else name


def _link_local(ipam: Fields) -> tuple[str, ...]:
    texts = ipam.texts("LinkLocalIPs")
    for text in texts:
        try:
            ip_address(text)
        except ValueError as error:
            raise InvalidParameter(f"Invalid link-local IP address: [{text[:60]}]") from error
    return texts


def _address(ipam: Fields, name: str, version: int) -> IPv4Address | IPv6Address | None:
    text = ipam.text(name)
    if not text:
        return None
    try:
        address = ip_address(text)
    except ValueError as error:
        raise InvalidParameter(f"Invalid IPv{version} address: {text[:60]}") from error
    if address.version != version:
        raise InvalidParameter(f"Invalid IPv{version} address: {text[:60]}")
    return address
