"""Macvlan networks: containers are neighbours on a link of the host, with addresses of that link's own network."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from engine.errors import EngineFault, Forbidden, InvalidParameter
from engine.kernel import netns
from engine.networks import interfaces, links
from engine.networks.drivers.interface import LocalDriver, mtu_of
from engine.networks.firewall import Side
from engine.networks.model import Driver, Endpoint, Network

PARENT: Final = "parent"
MODE: Final = "macvlan_mode"
_ALONE: Final = "passthru"
_MODES: Final = ("bridge", "private", "vepa", _ALONE)
_VLAN: Final = re.compile(r"(?P<link>[^\s/]{1,13})\.(?P<id>[0-9]{1,4})")
_LONGEST: Final = 15
_FIRST_INDEX: Final = 10_000


def parent_of(network: Network) -> str:
    """The host's link that containers are put on. Without one it is a link of the engine's own that leads nowhere."""
    return network.options.get(PARENT) or own_parent(network.id)


def own_parent(network_id: str) -> str:
    return f"dm-{network_id[:12]}"


class MacvlanDriver(LocalDriver):
    def check(self, network: Network, others: Collection[Network]) -> Network:
        mode = network.options.get(MODE) or "bridge"
        if mode not in _MODES:
            raise InvalidParameter(
                f"requested macvlan mode '{mode[:40]}' is not valid, 'bridge' mode is the macvlan driver default: "
                f"choose one of {', '.join(_MODES)}"
            )
        mtu_of(network)
        parent = network.options.get(PARENT, "")
        if not parent:
            # There is no way out of a link that leads nowhere.
            return replace(network, internal=True)
        if links.is_loopback(parent):
            raise InvalidParameter(f"loopback interface is not a valid macvlan parent link: {parent}")
        for other in others:
            if other.driver is Driver.MACVLAN and parent_of(other) == parent:
                raise Forbidden(f"network {own_parent(other.id)} is already using parent interface {parent}")
        if not links.exists(parent):
            _vlan(parent)
        return network

    def ensure(self, network: Network) -> None:
        parent = parent_of(network)
        with IPRoute() as route:
            if not links.exists(parent):
                if network.options.get(PARENT):
                    link, number = _vlan(parent)
                    _add(route, parent, kind="vlan", link=links.index_of(link), vlan_id=number)
                else:
                    # A bridge without ports: every kernel that runs containers has it, and not every one has dummy.
                    _add(route, parent, kind="bridge")
            if links.is_made_here(parent):
                route.link("set", index=links.index_of(parent), state="up")

    def delete(self, network: Network) -> None:
        parent = parent_of(network)
        if not network.options.get(PARENT) or (_VLAN.fullmatch(parent) and links.is_made_here(parent)):
            links.delete_link(parent)

    def side(self, network: Network) -> Side | None:  # noqa: ARG002
        return None

    def attach(
        self,
        route: Any,
        network: Network,
        endpoint: Endpoint,
        descriptor: int,
        *,
        publishing: bool,  # noqa: ARG002 - containers have addresses that others reach directly
    ) -> None:
        mode = network.options.get(MODE) or "bridge"
        options: dict[str, Any] = {"macvlan_mode": mode}
        if endpoint.mac:
            options["address"] = endpoint.mac
        if (mtu := mtu_of(network)) is not None:
            options["mtu"] = mtu
        try:
            route.link(
                "add",
                # Where the index was the parent's own, in the other namespace, the kernel would not tell of a parent.
                index=_FIRST_INDEX + int(endpoint.interface.removeprefix("eth")),
                ifname=endpoint.interface,
                kind="macvlan",
                link=links.index_of(parent_of(network)),
                net_ns_fd=descriptor,
                **options,
            )
        except NetlinkError as error:
            if mode == _ALONE and error.code == errno.EINVAL:
                raise Forbidden(
                    f"network {network.name} gives {parent_of(network)} to one container alone "
                    f"({MODE}={_ALONE}), and another one has it"
                ) from error
            raise

    def detach(self, endpoint: Endpoint, namespace: Path) -> None:
        """From inside, since nothing of it is on the host.

        The kernel ends a namespace some 30 ms after the last one let go. Until then the parent takes no other link with
        the same address, such as that of the same container when it starts again.
        """
        if namespace.exists():
            netns.run_inside(namespace, lambda: interfaces.remove(endpoint.interface))

    def sweep(self, network: Network, kept: Sequence[Endpoint]) -> None:
        """Nothing: the links of containers that are no more have ended with their namespaces."""


def _vlan(name: str) -> tuple[str, int]:
    """The link and the number of a VLAN's sub-interface such as `eth0.10`."""
    match = _VLAN.fullmatch(name)
    if match is None or len(name) > _LONGEST:
        raise InvalidParameter(
            f"invalid subinterface vlan name {name[:40]}, example formatting is eth0.10: the host has no link of that "
            "name"
        )
    link, number = match["link"], int(match["id"])
    if not 1 <= number <= 4094:
        raise InvalidParameter(f"vlan id must be between 1-4094, received: {number}")
    if not links.exists(link):
        raise InvalidParameter(f"parent interface was not found on the host: {link}")
    if links.is_loopback(link):
        raise InvalidParameter(f"loopback interface is not a valid macvlan parent link: {link}")
    return link, number


def _add(route: Any, name: str, **options: Any) -> None:
    kind = options["kind"]
    try:
        links.add(route, name, **options)
    except NetlinkError as error:
        why = os.strerror(abs(error.code)).lower()
        if error.code == errno.EOPNOTSUPP:
            why += f": this host's kernel has no links of the kind {kind}" + (
                " (module 8021q)" if kind == "vlan" else ""
            )
        raise EngineFault(f"failed to create {name} {kind} link: {why}") from error
