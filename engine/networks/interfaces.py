"""Interfaces inside a container's namespace: addresses, routes, and which network has the default route."""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from engine.networks.links import add_address, index_of
from engine.networks.model import Endpoint, Network

_LOOPBACK: Final = 1
_UP: Final = 1
"""IFF_UP (netdevice(7))."""
_OURS: Final = ("veth", "macvlan")
_OUR_NAME: Final = re.compile(r"eth[0-9]+")


def gateway_endpoint(endpoints: Collection[Endpoint], networks: Collection[Network]) -> Endpoint | None:
    """The endpoint whose network has the default route, by Docker's rule: not an internal one, of the highest priority,
    and of several the first by name."""
    by_id = {network.id: network for network in networks}
    candidates = [
        endpoint
        for endpoint in endpoints
        if not by_id[endpoint.network_id].internal and (endpoint.gateway or endpoint.gateway6)
    ]
    return min(candidates, key=lambda each: (-each.gateway_priority, each.network_name), default=None)


def configure(endpoints: Sequence[Endpoint], *, default: Endpoint | None) -> None:
    """Bring up the loopback and the interfaces of *endpoints*; *default* has the default routes.

    In the container's namespace, as `set_default` and `remove`.
    """
    with IPRoute() as route:
        route.link("set", index=_LOOPBACK, state="up")
        for endpoint in endpoints:
            _configure(route, endpoint)
        if default is not None:
            _set_default(route, default)


def set_default(default: Endpoint | None) -> None:
    """Have *default* and no other network lead out; without one there is no way out."""
    with IPRoute() as route:
        _clear_default(route)
        if default is not None:
            _set_default(route, default)


def settle(endpoints: Sequence[Endpoint], networks: Collection[Network]) -> list[Endpoint]:
    """Make what is there agree with *endpoints*, and say which of them have no interface.

    Of an endpoint that was being made, what is missing is added; an interface that no endpoint has is removed.
    """
    with IPRoute() as route:
        there = {row.get_attr("IFLA_IFNAME"): row for row in route.get_links()}
        wanted = {endpoint.interface for endpoint in endpoints}
        for name, row in there.items():
            kind = row.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND")
            if kind in _OURS and _OUR_NAME.fullmatch(name) and name not in wanted:
                route.link("del", index=row["index"])
        present = [endpoint for endpoint in endpoints if endpoint.interface in there]
        for endpoint in present:
            if not there[endpoint.interface]["flags"] & _UP:
                _configure(route, endpoint)
        default = gateway_endpoint(present, networks)
        ours = {index_of(endpoint.interface): endpoint for endpoint in present}
        ways = [row.get_attr("RTA_OIF") for row in route.get_default_routes(family=socket.AF_INET)]
        # A default route of the container's own making, as into a tunnel, stays.
        if any(way in ours and ours[way] != default for way in ways) or (default is not None and not ways):
            _clear_default(route)
            if default is not None:
                _set_default(route, default)
    return [endpoint for endpoint in endpoints if endpoint not in present]


def remove(interface: str) -> None:
    """Remove a link; no error when there is none of that name."""
    with IPRoute() as route:
        try:
            route.link("del", index=index_of(interface))
        except NetlinkError as error:
            if error.code != errno.ENODEV:
                raise


def _configure(route: Any, endpoint: Endpoint) -> None:
    disabled = Path(f"/proc/sys/net/ipv6/conf/{endpoint.interface}/disable_ipv6")
    if disabled.exists():
        disabled.write_text("0" if endpoint.address6 else "1", encoding="ascii")
    index = index_of(endpoint.interface)
    for address in endpoint.addresses:
        add_address(route, index, address)
    route.link("set", index=index, state="up")


def _clear_default(route: Any) -> None:
    for family in (socket.AF_INET, socket.AF_INET6):
        for row in route.get_default_routes(family=family):
            route.route("del", dst="default", oif=row.get_attr("RTA_OIF"), family=family)


def _set_default(route: Any, endpoint: Endpoint) -> None:
    for gateway in (endpoint.gateway, endpoint.gateway6):
        if gateway is not None:
            route.route("add", dst="default", gateway=str(gateway), oif=index_of(endpoint.interface))
