"""Networks and endpoints, as the API tells them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.networks.model import Driver, Endpoint, Network
from engine.types import rfc3339


def network(found: Network, *, containers: Mapping[str, Any], bridge: str) -> dict[str, Any]:
    """A network; *containers* is its map of members, *bridge* the default network's interface."""
    config = []
    if found.subnet is not None:
        config = [{"Subnet": str(found.subnet)} | ({"Gateway": str(found.gateway)} if found.gateway else {})]
    options = dict(found.options)
    if found.driver is Driver.BRIDGE and found.name == "bridge":
        options = {
            "com.docker.network.bridge.default_bridge": "true",
            "com.docker.network.bridge.enable_icc": "true",
            "com.docker.network.bridge.enable_ip_masquerade": "true",
            "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",
            "com.docker.network.bridge.name": bridge,
        } | options
    return {
        "Name": found.name,
        "Id": found.id,
        "Created": rfc3339(found.created),
        "Scope": "local",
        "Driver": str(found.driver),
        "EnableIPv6": False,
        "IPAM": {"Driver": "default", "Options": None, "Config": config},
        "Internal": found.internal,
        "Attachable": False,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": dict(containers),
        "Options": options,
        "Labels": dict(found.labels),
    }


def members(endpoints: Sequence[Endpoint], names: Mapping[str, str]) -> dict[str, Any]:
    """Who is in a network; *names* are the containers' names by id."""
    return {
        endpoint.container_id: {
            "Name": names.get(endpoint.container_id, ""),
            "EndpointID": endpoint.id,
            "MacAddress": endpoint.mac,
            "IPv4Address": str(endpoint.address) if endpoint.address else "",
            "IPv6Address": "",
        }
        for endpoint in endpoints
    }


def endpoint_settings(endpoint: Endpoint | None) -> dict[str, Any]:
    """`EndpointSettings`; empty values for a container that is in the network only when it runs."""
    address = endpoint.address if endpoint else None
    return {
        "IPAMConfig": None,
        "Links": None,
        "Aliases": list(endpoint.aliases) or None if endpoint else None,
        "MacAddress": endpoint.mac if endpoint else "",
        "DriverOpts": None,
        "NetworkID": endpoint.network_id if endpoint else "",
        "EndpointID": endpoint.id if endpoint else "",
        "Gateway": str(endpoint.gateway) if endpoint and endpoint.gateway else "",
        "IPAddress": str(address.ip) if address else "",
        "IPPrefixLen": address.network.prefixlen if address else 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "DNSNames": None,
    }
