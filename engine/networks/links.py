"""Links of the host, by rtnetlink (rtnetlink(7)) through pyroute2."""

from __future__ import annotations

import errno
import hashlib
import socket
from collections.abc import Collection, Iterable
from ipaddress import IPv4Interface, IPv6Interface, ip_interface, ip_network
from pathlib import Path
from typing import Any, Final

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from engine.networks.model import Endpoint, Route, Subnet

_SYSCTL: Final = Path("/proc/sys/net")
FAILURES: Final = (NetlinkError,)
"""What the kernel's refusals are raised as."""
DEFAULT_MTU: Final = 1500
MADE_HERE: Final = "made by havre"
"""The alias of links under names that people chose, by which those of others are told apart and left alone."""
_LINK_LOCAL: Final = ip_interface("fe80::1/64")
_LOOPBACK: Final = 0x8
"""IFF_LOOPBACK (netdevice(7))."""
_NODAD: Final = 0x02
"""IFA_F_NODAD: an address that the engine gives is nobody else's, and is to work at once."""


def interface_name(endpoint_id: str) -> str:
    """The host's end of an endpoint's veth pair: at most 15 characters (IFNAMSIZ).

    Named after the endpoint, not its container: the kernel ends a namespace some 30 ms after it was let go, and a
    container that starts again meanwhile must not meet its old link.
    """
    return f"veth{endpoint_id[:11]}"


def exists(name: str) -> bool:
    """Whether this host has a link of that name."""
    return name in {known for _, known in socket.if_nameindex()}


def is_bridge(name: str) -> bool:
    """Whether the link of that name is a bridge."""
    with IPRoute() as route:
        (row,) = route.link("get", ifname=name)
        return bool(row.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") == "bridge")


def is_loopback(name: str) -> bool:
    """Whether the link of that name leads back to the host itself; false where there is none."""
    with IPRoute() as route:
        return exists(name) and bool(route.link("get", ifname=name)[0]["flags"] & _LOOPBACK)


def is_made_here(name: str) -> bool:
    """Whether the link of that name was made by an engine."""
    with IPRoute() as route:
        return exists(name) and route.link("get", ifname=name)[0].get_attr("IFLA_IFALIAS") == MADE_HERE


def add(route: Any, name: str, **options: Any) -> None:
    """Make a link that `is_made_here`.

    The kernel takes no alias with a new link. So it gets its name together with its alias, in one message: an engine
    that is killed meanwhile leaves none under that name that it would take for somebody else's.
    """
    making = f"new-{hashlib.sha256(name.encode()).hexdigest()[:11]}"
    delete_link(making)
    route.link("add", ifname=making, **options)
    try:
        route.link("set", index=index_of(making), ifname=name, ifalias=MADE_HERE)
    except NetlinkError:
        delete_link(making)
        raise


def index_of(name: str) -> int:
    """The index of a link of this thread's namespace: an ioctl, a tenth of what asking pyroute2 takes."""
    try:
        return socket.if_nametoindex(name)
    except OSError as error:
        raise NetlinkError(errno.ENODEV, f"no link {name}") from error


def ensure_bridge(
    name: str, addresses: Collection[IPv4Interface | IPv6Interface], *, mac: str | None, mtu: int | None
) -> None:
    """Make the bridge *name* with *addresses* and *mac*, or put right the one that is there; forward packets.

    Without an address of its own a bridge takes the lowest of its ports', which changes as containers come and go, and
    the others' neighbour tables would lead nowhere for a while. *mtu* `None` is that of the way out of this host.
    """
    ipv6 = any(address.version == 6 for address in addresses)
    with IPRoute() as route:
        if not exists(name):
            add(route, name, kind="bridge")
        index = index_of(name)
        _write(f"ipv6/conf/{name}/disable_ipv6", "0" if ipv6 else "1")
        _set_addresses(route, index, {*addresses, _LINK_LOCAL} if ipv6 else addresses)
        route.link("set", index=index, state="up", mtu=mtu or default_mtu(route), **({"address": mac} if mac else {}))
    _write("ipv4/ip_forward", "1")
    # Lets the host reach published ports at 127.0.0.1; the firewall drops what containers send there.
    _write(f"ipv4/conf/{name}/route_localnet", "1")
    if ipv6:
        _forward_ipv6()


def delete_link(name: str) -> None:
    """Remove a link; no error when there is none of that name."""
    with IPRoute() as route:
        for index in route.link_lookup(ifname=name):
            try:
                route.link("del", index=index)
            except NetlinkError as error:
                if error.code != errno.ENODEV:
                    raise


def ensure_plugged(bridge: str, host_ends: Iterable[str]) -> None:
    """Plug links into *bridge* again, where it was made anew under running containers. Missing ones are passed over."""
    with IPRoute() as route:
        master = index_of(bridge)
        for name in host_ends:
            for index in route.link_lookup(ifname=name):
                route.link("set", index=index, master=master, state="up")


def unplug(host_end: str) -> None:
    """Take a link off its bridge at once, long before the kernel removes it with its namespace.

    The address of an endpoint may be given to another right after: only one of them may answer for it.
    """
    with IPRoute() as route:
        try:
            route.link("set", index=index_of(host_end), master=0)
        except NetlinkError as error:
            if error.code != errno.ENODEV:
                raise


def bridge_ports(bridge: str) -> dict[str, int]:
    """The links that are ports of *bridge*: name to index."""
    if not exists(bridge):
        return {}
    with IPRoute() as route:
        master = index_of(bridge)
        return {
            row.get_attr("IFLA_IFNAME"): row["index"]
            for row in route.get_links()
            if row.get_attr("IFLA_MASTER") == master
        }


def add_veth(
    route: Any, endpoint: Endpoint, *, bridge: str, descriptor: int, hairpin: bool = False, isolated: bool = False
) -> None:
    """A veth pair from *bridge* into the namespace that *descriptor* is open on.

    A container with published ports reaches them itself only by a *hairpin*: where bridges pass packets through the
    firewall (br_netfilter, which Docker loads) they are translated in the bridge, and go out as they came in.
    *isolated* ports reach the bridge, and no other isolated port.
    """
    (found,) = route.link("get", index=index_of(bridge))
    mtu = found.get_attr("IFLA_MTU")
    host_end = interface_name(endpoint.id)
    peer = {"ifname": endpoint.interface, "net_ns_fd": descriptor, "mtu": mtu}
    if endpoint.mac:
        peer["address"] = endpoint.mac
    route.link("add", ifname=host_end, kind="veth", master=found["index"], state="up", mtu=mtu, peer=peer)
    if hairpin or isolated:
        route.brport("set", index=index_of(host_end), mode=int(hairpin), isolated=int(isolated))


def routed_networks() -> list[Subnet]:
    """The networks that this host has addresses in or routes to, without the default route."""
    return [routed.subnet for routed in routes()]


def routes() -> list[Route]:
    """The networks that this host has addresses in or routes to, without the default route, and by which links."""
    found: list[Route] = []
    with IPRoute() as route:
        names = dict(socket.if_nameindex())
        for family in (socket.AF_INET, socket.AF_INET6):
            found.extend(
                Route(
                    subnet=ip_network(f"{row.get_attr('RTA_DST')}/{row['dst_len']}", strict=False),
                    link=names.get(row.get_attr("RTA_OIF") or 0, ""),
                )
                for row in route.get_routes(family=family, table=254)
                if row["dst_len"]
            )
            found.extend(
                Route(
                    subnet=ip_network(f"{row.get_attr('IFA_ADDRESS')}/{row['prefixlen']}", strict=False),
                    link=names.get(row["index"], ""),
                )
                for row in route.get_addr(family=family)
            )
    return list(dict.fromkeys(found))


def default_mtu(route: Any) -> int:
    """The MTU of the default route's device: a larger one would make packets that the way out does not take."""
    for row in route.get_default_routes(family=socket.AF_INET):
        device = row.get_attr("RTA_OIF")
        if device:
            return int(route.get_links(device)[0].get_attr("IFLA_MTU"))
    return DEFAULT_MTU


def add_address(route: Any, index: int, address: IPv4Interface | IPv6Interface) -> None:
    options: dict[str, Any] = {"index": index, "address": str(address.ip), "prefixlen": address.network.prefixlen}
    if address.version == 4 and address.network.prefixlen < 31:
        options["broadcast"] = str(address.network.broadcast_address)
    elif address.version == 6:
        options["flags"] = _NODAD
    route.addr("replace", **options)


def _set_addresses(route: Any, index: int, wanted: Collection[IPv4Interface | IPv6Interface]) -> None:
    held = {
        ip_interface((row.get_attr("IFA_ADDRESS"), row["prefixlen"]))
        for family in (socket.AF_INET, socket.AF_INET6)
        for row in route.get_addr(index=index, family=family)
    }
    for address in held - set(wanted):
        if not address.is_link_local:
            route.addr("del", index=index, address=str(address.ip), prefixlen=address.network.prefixlen)
    for address in set(wanted) - held:
        add_address(route, index, address)


def _forward_ipv6() -> None:
    """Forward IPv6 without losing the host's own routes: a router listens to advertisements only when told so twice
    (accept_ra 2, kernel's ip-sysctl)."""
    if (_SYSCTL / "ipv6/conf/all/forwarding").read_text(encoding="ascii").strip() == "1":
        return
    for accepting in (_SYSCTL / "ipv6/conf").glob("*/accept_ra"):
        if accepting.read_text(encoding="ascii").strip() == "1":
            accepting.write_text("2", encoding="ascii")
    _write("ipv6/conf/all/forwarding", "1")


def _write(key: str, value: str) -> None:
    path = _SYSCTL / key
    if key.startswith("ipv6/") and not path.exists():
        return  # a kernel without IPv6
    path.write_text(value, encoding="ascii")
