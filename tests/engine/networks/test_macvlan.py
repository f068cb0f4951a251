"""Macvlan networks: containers as neighbours on a link of the host."""

from __future__ import annotations

import socket
import struct
import subprocess
from typing import Any

import pytest
from pyroute2.netlink.core import AsyncCoreSocket

from engine.errors import EngineFault, Forbidden, InvalidParameter
from engine.networks.model import Attachment, Driver, Sandbox
from engine.types import new_id
from tests.fixtures.netlab import Echo, Lab, LabService, address, ask, inside

WEB = 8080
GATEWAY = "172.16.0.1"
"""The neighbour's address on the link, which is the way out of the network."""


@pytest.fixture
def host(host: Lab) -> Lab:
    """Whose neighbour is the gateway."""
    host.beyond(lambda: run("ip", "address", "add", f"{GATEWAY}/16", "dev", "lan0"))
    return host


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def links() -> set[str]:
    """The links of the host by name."""
    return {line.split()[0].partition("@")[0] for line in run("ip", "-brief", "link").splitlines()}


def public(networks: LabService, name: str = "public", subnet: str = "172.16.0.0/16", **options: str) -> None:
    networks.made(name, subnet, driver=Driver.MACVLAN, options={"parent": "lan0", **options})


def shown(sandbox: Sandbox, *command: str) -> str:
    return inside(sandbox, lambda: run(*command))


def test_a_container_is_a_neighbour(host: Lab, networks: LabService) -> None:
    public(networks)
    one, two = networks.plug(network="public", name="one"), networks.plug(network="public", name="two")
    assert (address(one), one.endpoints[0].mac) == ("172.16.0.2", "02:42:ac:10:00:02")
    assert "inet 172.16.0.2/16 brd 172.16.255.255 scope global eth0" in shown(one, "ip", "address")
    assert shown(one, "ip", "route").startswith(f"default via {GATEWAY} dev eth0")
    with host.beyond(lambda: Echo(port=WEB)), inside(two, lambda: Echo(port=WEB)):
        # Both see the container's own address: nothing is translated.
        assert inside(one, lambda: ask(GATEWAY, WEB)) == "172.16.0.2 hello"
        assert inside(one, lambda: ask(address(two), WEB)) == "172.16.0.2 hello"
        assert host.beyond(lambda: ask(address(two), WEB)).endswith(" hello")


@pytest.mark.parametrize("mode", ["bridge", "private", "vepa", "passthru"])
def test_modes(networks: LabService, mode: str) -> None:
    public(networks, macvlan_mode=mode)
    one = networks.plug(network="public")
    assert f"macvlan mode {mode}" in shown(one, "ip", "-details", "link", "show", "eth0")
    if mode == "passthru":
        with pytest.raises(Forbidden, match="network public gives lan0 to one container alone"):
            networks.plug(network="public")
        networks.release(one.container_id)
        one = networks.plug(network="public")
    assert shown(one, "ip", "route").startswith(f"default via {GATEWAY} dev eth0")


def test_a_container_that_starts_again_at_once(networks: LabService) -> None:
    """Its address, and with it its MAC, is free on the parent as soon as it is released."""
    public(networks)
    container_id = new_id()
    for _ in range(15):
        again = networks.plug(network="public", container_id=container_id)
        assert address(again) == "172.16.0.2"
        networks.release(container_id)


def test_private_ones_do_not_reach_each_other(networks: LabService) -> None:
    public(networks, macvlan_mode="private")
    one, two = networks.plug(network="public"), networks.plug(network="public")
    with inside(two, lambda: Echo(port=WEB)), pytest.raises(OSError):
        inside(one, lambda: ask(address(two), WEB, timeout=0.5))


def test_nothing_of_it_is_on_the_host(networks: LabService) -> None:
    before = links()
    public(networks)
    networks.release(networks.plug(network="public").container_id)
    networks.remove("public")
    assert links() == before


def test_joined_and_left_while_it_runs(networks: LabService) -> None:
    public(networks)
    sandbox = networks.plug_all(Attachment(network="bridge"), Attachment(network="public"))
    assert shown(sandbox, "ip", "route", "show", "default").split()[2] == "172.17.0.1"
    (_, endpoint) = sandbox.endpoints
    networks._sandboxes.disconnect(endpoint, wanted=())
    assert "eth1" not in shown(sandbox, "ip", "-brief", "link")


def test_what_is_refused(networks: LabService) -> None:
    public(networks)
    with pytest.raises(Forbidden, match="is already using parent interface lan0"):
        public(networks, "second", "172.26.0.0/16")
    for parent, words in (
        ("nope", "invalid subinterface vlan name nope"),
        ("nope.10", "parent interface was not found on the host: nope"),
        ("lan0.5000", "vlan id must be between 1-4094"),
        ("lo", "loopback interface is not a valid macvlan parent link"),
        ("lo.10", "loopback interface is not a valid macvlan parent link"),
    ):
        with pytest.raises(InvalidParameter, match=words):
            networks.made("wrong", driver=Driver.MACVLAN, options={"parent": parent})
    with pytest.raises(InvalidParameter, match="requested macvlan mode 'x' is not valid"):
        networks.made("wrong", driver=Driver.MACVLAN, options={"parent": "lo", "macvlan_mode": "x"})
    assert [network.name for network in networks.list()] == ["bridge", "host", "none", "public"]


def test_without_a_parent_it_leads_nowhere(networks: LabService) -> None:
    before = links()
    network = networks.made("alone", "172.26.0.0/16", driver=Driver.MACVLAN)
    assert network.internal
    one, two = networks.plug(network="alone"), networks.plug(network="alone")
    assert shown(one, "ip", "route", "show", "default") == ""
    with inside(two, lambda: Echo(port=WEB)):
        assert inside(one, lambda: ask(address(two), WEB)) == "172.26.0.2 hello"
    for sandbox in (one, two):
        networks.release(sandbox.container_id)
    networks.remove("alone")
    assert links() == before


def has_vlans() -> bool:
    """Whether this kernel has 8021q."""
    added = subprocess.run(["ip", "link", "add", "tried", "link", "lan0", "type", "vlan", "id", "9"]).returncode == 0
    if added:
        run("ip", "link", "del", "tried")
    return added


def test_a_vlan_is_made_on_demand_and_goes_with_its_network(networks: LabService) -> None:
    there = has_vlans()
    before = links()
    options = {"parent": "lan0.10"}
    if there:
        networks.made("tagged", "172.27.0.0/16", driver=Driver.MACVLAN, options=options)
        assert "vlan protocol 802.1Q id 10" in run("ip", "-details", "link", "show", "lan0.10")
        networks.remove("tagged")
    else:
        with pytest.raises(EngineFault, match=r"failed to create lan0\.10 vlan link: .*no links of the kind vlan"):
            networks.made("tagged", "172.27.0.0/16", driver=Driver.MACVLAN, options=options)
        assert "tagged" not in {network.name for network in networks.list()}
    assert links() == before


def attributes(data: bytes) -> dict[int, bytes]:
    """Netlink attributes by their number (netlink(7), rtnetlink(7))."""
    found = {}
    while data:
        length, kind = struct.unpack_from("=HH", data)
        found[kind & 0x3FFF] = data[4:length]
        data = data[(length + 3) & ~3 :]
    return found


def test_what_the_kernel_is_asked_for_a_vlan(networks: LabService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read by hand from the bytes on the socket: a kernel without VLANs says nothing of the rest of the request."""
    sent: list[bytes] = []

    def send(self: AsyncCoreSocket, data: bytes, flags: int = 0) -> Any:
        sent.append(bytes(data))
        return self.socket.send(data, flags)

    monkeypatch.setattr(AsyncCoreSocket, "send", send)
    try:
        networks.made("tagged", "172.27.0.0/16", driver=Driver.MACVLAN, options={"parent": "lan0.10"})
    except EngineFault:
        assert not has_vlans()
    else:
        networks.remove("tagged")
    (request,) = [each for each in sent if b"vlan" in each]
    kind, flags = struct.unpack_from("=HH", request, 4)
    assert (kind, flags & 0x600) == (16, 0x600)  # RTM_NEWLINK, with NLM_F_CREATE and NLM_F_EXCL
    link = attributes(request[32:])
    about = attributes(link[18])  # IFLA_LINKINFO: IFLA_INFO_KIND and IFLA_INFO_DATA
    assert link[3].startswith(b"new-")  # IFLA_IFNAME: `lan0.10` comes with its alias, by which the engine knows it
    assert struct.unpack("=I", link[5]) == (socket.if_nametoindex("lan0"),)  # IFLA_LINK
    assert about[1].rstrip(b"\0") == b"vlan"
    assert struct.unpack("=H", attributes(about[2])[1]) == (10,)  # IFLA_VLAN_ID


@pytest.mark.parametrize("own", [True, False])
def test_a_sub_interface_that_is_there_is_used(networks: LabService, own: bool) -> None:
    """One of somebody else's stays when the network goes; one that an engine has made goes along."""
    run("ip", "link", "add", "lan0.10", "type", "veth", "peer", "lan0.10-far")
    for name in ("lan0.10", "lan0.10-far"):
        run("ip", "link", "set", name, "up")
    if own:
        run("ip", "link", "set", "lan0.10", "alias", "made by havre")
    networks.made("tagged", "172.27.0.0/16", driver=Driver.MACVLAN, options={"parent": "lan0.10"})
    sandbox = networks.plug(network="tagged")
    assert "inet 172.27.0.2/16" in shown(sandbox, "ip", "address", "show", "eth0")
    index = socket.if_nametoindex("lan0.10")
    assert f"eth0@if{index}:" in shown(sandbox, "ip", "link", "show", "eth0")
    networks.release(sandbox.container_id)
    networks.remove("tagged")
    assert ("lan0.10" in links()) is not own
