"""Bridges and veth pairs, by rtnetlink (rtnetlink(7)) through pyroute2."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from engine.errors import EngineFault
from engine.kernel import netns

_SYSCTL = Path("/proc/sys/net")
DEFAULT_MTU = 1500


def interface_name(endpoint_id: str) -> str:
    """The host's end of an endpoint's veth pair: at most 15 characters (IFNAMSIZ).

    Named after the endpoint, not its container: the kernel ends a namespace some 30 ms after it was let go, and a
    container that starts again meanwhile must not meet its old link.
    """
    return f"veth{endpoint_id[:11]}"


def ensure_bridge(name: str, address: IPv4Interface, *, mac: str) -> None:
    """Make the bridge *name* with *address* and *mac*, or put right the one that is there; forward packets.

    Without an address of its own a bridge takes the lowest of its ports', which changes as containers come and go, and
    the others' neighbour tables would lead nowhere for a while.
    """
    with IPRoute() as route:
        found = route.link_lookup(ifname=name)
        if not found:
            route.link("add", ifname=name, kind="bridge")
            found = route.link_lookup(ifname=name)
        index = found[0]
        held = {
            IPv4Interface((row.get_attr("IFA_ADDRESS"), row["prefixlen"]))
            for row in route.get_addr(index=index, family=2)
        }
        for other in held - {address}:
            route.addr("del", index=index, address=str(other.ip), prefixlen=other.network.prefixlen)
        if address not in held:
            route.addr("add", index=index, address=str(address.ip), prefixlen=address.network.prefixlen)
        route.link("set", index=index, state="up", mtu=default_mtu(route), address=mac)
    _write("ipv4/ip_forward", "1")
    # Lets the host reach published ports at 127.0.0.1; the firewall drops what containers send there.
    _write(f"ipv4/conf/{name}/route_localnet", "1")
    with contextlib.suppress(FileNotFoundError):
        _write(f"ipv6/conf/{name}/disable_ipv6", "1")


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
        (master,) = route.link_lookup(ifname=bridge)
        for name in host_ends:
            for index in route.link_lookup(ifname=name):
                route.link("set", index=index, master=master, state="up")


def unplug(host_ends: Sequence[str]) -> None:
    """Take links off their bridge at once, long before the kernel removes them with their namespace.

    The address of an endpoint may be given to another right after: only one of them may answer for it.
    """
    if not host_ends:
        return
    with IPRoute() as route:
        for name in host_ends:
            try:
                route.link("set", index=_index(name), master=0)
            except NetlinkError as error:
                if error.code != errno.ENODEV:
                    raise


def bridge_ports(bridge: str) -> dict[str, int]:
    """The links that are ports of *bridge*: name to index."""
    with IPRoute() as route:
        masters = route.link_lookup(ifname=bridge)
        if not masters:
            return {}
        return {
            row.get_attr("IFLA_IFNAME"): row["index"]
            for row in route.get_links()
            if row.get_attr("IFLA_MASTER") == masters[0]
        }


def plug(
    *, path: Path, bridge: str, host_end: str, address: IPv4Interface, gateway: str, mac: str, hairpin: bool
) -> None:
    """A new namespace at *path* whose eth0, with *address* and *mac*, is plugged into *bridge*.

    A container with published ports reaches them itself only by a *hairpin*: where bridges pass packets through the
    firewall (br_netfilter, which Docker loads) they are translated in the bridge, and go out as they came in.

    Nothing stays when it fails. `EngineFault` with the kernel's words.
    """
    try:
        netns.create(path, lambda: None)
        with _undone(path, host_end):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                with IPRoute() as route:
                    (found,) = route.link("get", index=_index(bridge))
                    mtu = found.get_attr("IFLA_MTU")
                    route.link(
                        "add",
                        ifname=host_end,
                        kind="veth",
                        master=found["index"],
                        state="up",
                        mtu=mtu,
                        peer={"ifname": "eth0", "net_ns_fd": descriptor, "address": mac, "mtu": mtu},
                    )
                    if hairpin:
                        route.brport("set", index=_index(host_end), mode=1)
            finally:
                os.close(descriptor)
            netns.run_inside(path, lambda: _configure(address, gateway))
    except NetlinkError as error:
        raise EngineFault(
            f"cannot plug {host_end} into {bridge}: {os.strerror(abs(error.code))} (a restart of the engine puts a "
            "lost or changed bridge right)"
        ) from error
    except OSError as error:
        raise EngineFault(f"cannot make the network namespace {path}: {error.strerror}") from error


def isolated(path: Path) -> None:
    """A new namespace at *path* with nothing but its loopback."""

    def configure() -> None:
        with IPRoute() as route:
            route.link("set", index=1, state="up")

    netns.create(path, configure)


def routed_networks() -> list[IPv4Network]:
    """The IPv4 networks that this host has addresses in or routes to, without the default route."""
    networks: list[IPv4Network] = []
    with IPRoute() as route:
        networks.extend(
            IPv4Network(f"{row.get_attr('RTA_DST')}/{row['dst_len']}", strict=False)
            for row in route.get_routes(family=2, table=254)
            if row["dst_len"]
        )
        networks.extend(
            IPv4Network(f"{row.get_attr('IFA_ADDRESS')}/{row['prefixlen']}", strict=False)
            for row in route.get_addr(family=2)
        )
    return networks


def default_mtu(route: Any) -> int:
    """The MTU of the default route's device: a larger one would make packets that the way out does not take."""
    for row in route.get_default_routes(family=2):
        device = row.get_attr("RTA_OIF")
        if device:
            return int(route.get_links(device)[0].get_attr("IFLA_MTU"))
    return DEFAULT_MTU


def _configure(address: IPv4Interface, gateway: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        _write("ipv6/conf/eth0/disable_ipv6", "1")
    with IPRoute() as route:
        route.link("set", index=1, state="up")
        index = _index("eth0")
        route.addr(
            "add",
            index=index,
            address=str(address.ip),
            prefixlen=address.network.prefixlen,
            broadcast=str(address.network.broadcast_address),
        )
        route.link("set", index=index, state="up")
        route.route("add", dst="default", gateway=gateway)


def _index(name: str) -> int:
    """The index of a link of this thread's namespace: an ioctl, a tenth of what asking pyroute2 takes."""
    try:
        return socket.if_nametoindex(name)
    except OSError as error:
        raise NetlinkError(errno.ENODEV, f"no link {name}") from error


@contextlib.contextmanager
def _undone(path: Path, host_end: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        netns.delete(path)
        delete_link(host_end)
        raise


def _write(key: str, value: str) -> None:
    (_SYSCTL / key).write_text(value, encoding="ascii")
