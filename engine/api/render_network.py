"""Networks and endpoints, as the API tells them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.networks.creation import is_user_defined
from engine.networks.model import Attachment, Endpoint, Network, Pool, Route
from engine.types import rfc3339


def network(found: Network, *, containers: Mapping[str, Any]) -> dict[str, Any]:
    """A network; *containers* is its map of members."""
    return {
        "Name": found.name,
        "Id": found.id,
        "Created": rfc3339(found.created),
        "Scope": found.scope,
        "Driver": str(found.driver),
        "EnableIPv6": found.ipv6,
        "IPAM": {
            "Driver": "default",
            "Options": None if found.ipam_options is None else dict(found.ipam_options),
            "Config": [_pool(pool) for pool in found.pools],
        },
        "Internal": found.internal,
        "Attachable": found.attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": dict(containers),
        "Options": dict(found.options),
        "Labels": dict(found.labels),
    }


def warning(hidden: Sequence[Route]) -> str:
    """What is to be said of a network that hides what the host reaches otherwise; "" where it hides nothing."""
    if not hidden:
        return ""
    shown = ", ".join(f"{route.subnet} ({route.link or 'another way'})" for route in hidden[:5])
    return f"the host reaches these by other links, and may not find them any more while this network is there: {shown}"


def members(endpoints: Sequence[Endpoint], names: Mapping[str, str]) -> dict[str, Any]:
    """Who is in a network; *names* are the containers' names by id."""
    return {
        endpoint.container_id: {
            "Name": names.get(endpoint.container_id, ""),
            "EndpointID": endpoint.id,
            "MacAddress": endpoint.mac,
            "IPv4Address": str(endpoint.address) if endpoint.address else "",
            "IPv6Address": str(endpoint.address6) if endpoint.address6 else "",
        }
        for endpoint in endpoints
    }


def endpoint_settings(asked: Attachment | None, endpoint: Endpoint | None, *, short_id: str = "") -> dict[str, Any]:
    """`EndpointSettings`: what a container asks of a network, and what it has there while it runs.

    *short_id* is that of a container that has been started: from then on it is one of its names.
    """
    address = endpoint.address if endpoint else None
    address6 = endpoint.address6 if endpoint else None
    aliases = list(asked.aliases) if asked else []
    if asked is not None and is_user_defined(asked.network) and short_id:
        aliases.append(short_id)
    return {
        "IPAMConfig": _ipam_config(asked) if asked else None,
        "Links": list(asked.links) or None if asked else None,
        "Aliases": aliases or None,
        "MacAddress": endpoint.mac if endpoint else asked.mac if asked else "",
        "DriverOpts": dict(asked.options) or None if asked else None,
        "GwPriority": asked.gateway_priority if asked else 0,
        "NetworkID": endpoint.network_id if endpoint else asked.network_id if asked else "",
        "EndpointID": endpoint.id if endpoint else "",
        "Gateway": str(endpoint.gateway) if endpoint and endpoint.gateway else "",
        "IPAddress": str(address.ip) if address else "",
        "IPPrefixLen": address.network.prefixlen if address else 0,
        "IPv6Gateway": str(endpoint.gateway6) if endpoint and endpoint.gateway6 else "",
        "GlobalIPv6Address": str(address6.ip) if address6 else "",
        "GlobalIPv6PrefixLen": address6.network.prefixlen if address6 else 0,
        "DNSNames": list(endpoint.names) or None if endpoint else None,
    }


def _ipam_config(asked: Attachment) -> dict[str, Any] | None:
    config: dict[str, Any] = {}
    if asked.address is not None:
        config["IPv4Address"] = str(asked.address)
    if asked.address6 is not None:
        config["IPv6Address"] = str(asked.address6)
    if asked.link_local:
        config["LinkLocalIPs"] = list(asked.link_local)
    return config or None


def _pool(pool: Pool) -> dict[str, Any]:
    config: dict[str, Any] = {"Subnet": str(pool.subnet)}
    if pool.ip_range is not None:
        config["IPRange"] = str(pool.ip_range)
    if pool.gateway is not None:
        config["Gateway"] = str(pool.gateway)
    if pool.reserved:
        config["AuxiliaryAddresses"] = {name: str(address) for name, address in pool.reserved.items()}
    return config
