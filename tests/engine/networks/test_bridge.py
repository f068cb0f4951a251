"""Sandboxes in a real kernel: addresses, ways in and out, and nothing left of what fails or ends."""

from __future__ import annotations

import os
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from engine.errors import EngineFault, InvalidParameter, NetworkNotFound
from engine.networks.model import Driver, PublishedPort, Sandbox
from engine.types import new_id
from tests.fixtures.netlab import Echo, Lab, LabService, address, ask, inside
from tests.fixtures.processes import wait_until

WEB = 8080
"""The port of servers in containers."""


def links() -> set[str]:
    """The links of this host, as `ip` sees them."""
    found = subprocess.run(["ip", "-brief", "link"], capture_output=True, text=True, check=True).stdout
    return {line.split()[0].partition("@")[0] for line in found.splitlines()}


def elements(service: LabService) -> str:
    """The published ports that the kernel leads to containers."""
    command = ["nft", "list", "map", "inet", service.config.instance, "published"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.partition("elements")[2]


def assert_nothing_left(service: LabService) -> None:
    """No sandbox is left in the kernel, on disk or in the rows."""
    assert service.namespaces() == []
    assert not elements(service)
    for table in ("endpoints", "published_ports"):
        assert service.database.query(f"SELECT * FROM {table}") == []
    wait_until(lambda: not [link for link in links() if link.startswith("veth")], what="the links to be gone")


def test_the_predefined_networks(networks: LabService) -> None:
    found = {network.name: network for network in networks.list()}
    assert {name: network.driver for name, network in found.items()} == {
        "bridge": Driver.BRIDGE,
        "host": Driver.HOST,
        "none": Driver.NONE,
    }
    bridge = found["bridge"]
    assert (str(bridge.subnet), str(bridge.gateway)) == ("172.17.0.0/16", "172.17.0.1")
    assert networks.get("default") == networks.get(bridge.id) == networks.get(bridge.id[:12]) == bridge
    with pytest.raises(NetworkNotFound, match="network nowhere not found"):
        networks.get("nowhere")
    with pytest.raises(NetworkNotFound):
        networks.get("")


def test_ids_and_subnet_stay_at_the_next_start(host: Lab) -> None:
    first = host.service()
    before = first.list()
    first.close()
    # The subnet is in use now, by the bridge itself: that is no reason to take another.
    assert host.service().list() == before


def test_the_default_subnet_avoids_what_the_host_routes(host: Lab) -> None:
    subprocess.run(["ip", "route", "add", "172.16.0.0/14", "via", host.outside], check=True)
    subprocess.run(["ip", "address", "add", "172.20.3.4/24", "dev", "lo"], check=True)
    assert str(host.service().get("bridge").subnet) == "172.21.0.0/16"


def test_a_configured_subnet_and_gateway_are_taken(host: Lab) -> None:
    service = host.service(subnet="10.99.0.254/24")
    assert str(service.get("bridge").gateway) == "10.99.0.254"
    assert address(service.plug()) == "10.99.0.1"


def test_a_container_has_eth0_as_docker_gives_it(networks: LabService) -> None:
    sandbox = networks.plug()

    def look(*command: str) -> str:
        return inside(sandbox, lambda: subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    shown = look("ip", "address")
    assert "inet 172.17.0.2/16 brd 172.17.255.255 scope global eth0" in shown
    assert "link/ether 02:42:ac:11:00:02" in shown
    assert "inet 127.0.0.1/8" in shown
    assert "inet6" not in shown.partition("eth0")[2], "the network has no IPv6"
    assert look("ip", "route").splitlines()[0].split()[:5] == ["default", "via", "172.17.0.1", "dev", "eth0"]


def test_links_have_the_mtu_of_the_way_out(host: Lab) -> None:
    subprocess.run(["ip", "link", "set", "eth0", "mtu", "1380"], check=True)
    service = host.service()
    sandbox = service.plug()
    shown = subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout
    assert shown.count("mtu 1380") == 3, "eth0, the bridge and the host's end"
    assert "mtu 1380" in inside(
        sandbox, lambda: subprocess.run(["ip", "link", "show", "eth0"], capture_output=True, text=True).stdout
    )


def test_none_has_only_a_loopback_that_works(networks: LabService) -> None:
    sandbox = networks.plug(network="none")
    assert inside(sandbox, lambda: [name for _, name in socket.if_nameindex()]) == ["lo"]
    with inside(sandbox, Echo) as echo:
        assert inside(sandbox, lambda: ask("127.0.0.1", echo.port)) == "127.0.0.1 hello"


def test_host_has_no_namespace_and_ignores_ports(networks: LabService) -> None:
    sandbox = networks.plug(PublishedPort(container_port=80, host_port=80), network="host")
    assert (sandbox.netns, sandbox.ports) == (None, ())
    networks.release(sandbox.container_id)
    assert_nothing_left(networks)


def test_containers_reach_each_other_and_the_world(host: Lab, networks: LabService) -> None:
    one, two = networks.plug(), networks.plug()
    with inside(two, lambda: Echo(port=WEB)), host.beyond(Echo) as world:
        assert inside(one, lambda: ask(address(two), WEB)) == f"{address(one)} hello"
        # The world sees the host's address, not the container's.
        answer = inside(one, lambda: ask(host.outside, world.port))
        assert answer == f"{host.inside} hello"


def test_the_host_reaches_a_container_and_the_world_does_not(host: Lab, networks: LabService) -> None:
    sandbox = networks.plug()
    with inside(sandbox, lambda: Echo(port=WEB)):
        assert ask(address(sandbox), WEB) == "172.17.0.1 hello"
        # The neighbour knows the way, and forwarding is on: only the firewall is between.
        with pytest.raises(TimeoutError):
            host.beyond(lambda: ask(address(sandbox), WEB, timeout=0.5))


def test_a_container_does_not_reach_the_host_s_loopback(networks: LabService) -> None:
    sandbox = networks.plug()
    with Echo(host="127.0.0.1") as private:
        # route_localnet would let it through, were a route there.
        command = ["ip", "route", "add", "127.7.0.0/16", "via", "172.17.0.1"]
        inside(sandbox, lambda: subprocess.run(command, check=False, capture_output=True))
        with pytest.raises(OSError):
            inside(sandbox, lambda: ask("127.7.0.1", private.port, timeout=0.5))


def test_a_mac_may_be_asked_for(networks: LabService) -> None:
    sandbox = networks.plug(mac="02:00:00:00:00:aa")
    assert sandbox.endpoints[0].mac == "02:00:00:00:00:aa"
    shown = inside(sandbox, lambda: subprocess.run(["ip", "link"], capture_output=True, text=True).stdout)
    assert "02:00:00:00:00:aa" in shown


def test_the_bridge_keeps_its_mac_when_ports_come_and_go(networks: LabService) -> None:
    def mac() -> str:
        shown = subprocess.run(["ip", "-brief", "link", "show", "hvlab0"], capture_output=True, text=True).stdout
        return shown.split()[2]

    before = mac()
    sandboxes = [networks.plug() for _ in range(6)]
    for sandbox in sandboxes:
        networks.release(sandbox.container_id)
    assert mac() == before == "02:42:ac:11:00:01"


def test_release_leaves_nothing_and_may_be_repeated(networks: LabService) -> None:
    sandbox = networks.plug(PublishedPort(container_port=WEB, host_port=18080))
    networks.release(sandbox.container_id)
    networks.release(sandbox.container_id)
    assert networks.sandbox(sandbox.container_id) is None
    assert_nothing_left(networks)


def test_a_container_that_starts_again_at_once(networks: LabService) -> None:
    container = new_id()
    for _ in range(10):
        sandbox = networks.plug(PublishedPort(container_port=WEB, host_port=18080), container_id=container)
        assert address(sandbox) == "172.17.0.2"
        networks.release(container)
    assert_nothing_left(networks)


def test_an_address_leads_to_its_new_owner_at_once(networks: LabService) -> None:
    for _ in range(5):
        former = networks.plug()
        with inside(former, lambda: Echo(port=WEB)):
            assert ask(address(former), WEB) == "172.17.0.1 hello"
        # A process of the former one may linger: its namespace then lives on, and must not answer.
        lingering = os.open(str(former.netns), os.O_RDONLY)
        try:
            networks.release(former.container_id)
            owner = networks.plug()
            assert address(owner) == address(former)
            with inside(owner, lambda: Echo(port=WEB)):
                assert ask(address(owner), WEB) == "172.17.0.1 hello"
            networks.release(owner.container_id)
        finally:
            os.close(lingering)


def test_fifty_at_once_share_nothing(networks: LabService) -> None:
    with ThreadPoolExecutor(16) as pool:
        sandboxes = list(pool.map(lambda _: networks.plug(PublishedPort(container_port=WEB)), range(50)))
    assert len({address(sandbox) for sandbox in sandboxes}) == 50
    assert len({sandbox.endpoints[0].mac for sandbox in sandboxes}) == 50
    assert len({port.host_port for sandbox in sandboxes for port in sandbox.ports}) == 50
    assert len(networks.endpoints(networks.get("bridge").id)) == 50
    with inside(sandboxes[49], lambda: Echo(port=WEB)):
        assert inside(sandboxes[0], lambda: ask(address(sandboxes[49]), WEB)).endswith(" hello")
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda sandbox: networks.release(sandbox.container_id), sandboxes))
    assert_nothing_left(networks)


def test_events_tell_who_joined_and_left(networks: LabService) -> None:
    sandbox = networks.plug()
    networks.release(sandbox.container_id)
    networks.release(sandbox.container_id)
    bridge = networks.get("bridge")
    attributes = {"container": sandbox.container_id, "name": "bridge", "type": "bridge"}
    assert [(event.kind, event.action, event.actor, event.attributes) for event in networks.told] == [
        ("network", "connect", bridge.id, attributes),
        ("network", "disconnect", bridge.id, attributes),
    ]


def break_bridge(networks: LabService) -> None:
    subprocess.run(["ip", "link", "delete", networks.config.bridge], check=True)


def break_table(networks: LabService) -> None:
    subprocess.run(["nft", "delete", "table", "inet", networks.config.instance], check=True)


def break_address(networks: LabService) -> None:
    """Somebody else's element is in the way: the transaction of ours fails."""
    table = f"inet {networks.config.instance}"
    element = f"add element {table} published {{ tcp . 18080 : 172.17.9.9 . 1 }}"
    subprocess.run(["nft", element], check=True)


@pytest.mark.parametrize("cause", [break_bridge, break_table, break_address])
def test_nothing_is_left_of_an_attempt_that_fails(networks: LabService, cause: object) -> None:
    assert callable(cause)
    cause(networks)
    with pytest.raises(EngineFault):
        networks.plug(PublishedPort(container_port=WEB, host_port=18080))
    assert networks.told == []
    # A restart puts the host right, and the next attempt works.
    networks.start(live=[])
    assert_nothing_left(networks)
    sandbox = networks.plug(PublishedPort(container_port=WEB, host_port=18080))
    with inside(sandbox, lambda: Echo(port=WEB)):
        assert ask("127.0.0.1", 18080).endswith(" hello")


@pytest.mark.parametrize("mac", ["01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "02:00", "nonsense"])
def test_nothing_is_left_of_an_impossible_mac(networks: LabService, mac: str) -> None:
    with pytest.raises((EngineFault, InvalidParameter)):
        networks.plug(PublishedPort(container_port=WEB, host_port=18080), mac=mac)
    assert_nothing_left(networks)


def test_an_unknown_network_is_not_found(networks: LabService) -> None:
    with pytest.raises(NetworkNotFound):
        networks.plug(network="nowhere")
    assert_nothing_left(networks)


def restarted(host: Lab, service: LabService, *alive: Sandbox) -> LabService:
    """The engine after kill -9: descriptors have closed, and nothing was put away."""
    service.close()
    return host.service(service.config.bridge, live=tuple(sandbox.container_id for sandbox in alive))


def test_what_lives_survives_a_crash_and_the_rest_is_swept(host: Lab, networks: LabService) -> None:
    alive = networks.plug(PublishedPort(container_port=WEB, host_port=18080))
    networks.plug(PublishedPort(container_port=WEB, host_port=18081))
    networks.plug(network="none")
    with inside(alive, lambda: Echo(port=WEB)):
        networks.close()
        assert ask("127.0.0.1", 18080).endswith(" hello"), "the kernel leads on without the daemon"
        again = restarted(host, networks, alive)
        assert ask("127.0.0.1", 18080).endswith(" hello")
        assert ask("::1", 18080).endswith(" hello")
        assert again.sandbox(alive.container_id) == alive
        assert again.namespaces() == [alive.netns]
        assert "18081" not in elements(again)
        with pytest.raises(OSError, match="in use"):
            socket.create_server(("", 18080))
        socket.create_server(("", 18081)).close()
    again.release(alive.container_id)
    assert_nothing_left(again)


def test_a_namespace_without_rows_and_rows_without_a_namespace(host: Lab, networks: LabService) -> None:
    networks.plug()
    with networks.database.transaction() as transaction:
        transaction.execute("DELETE FROM endpoints")
    again = restarted(host, networks)
    assert_nothing_left(again)
    lost = again.plug(PublishedPort(container_port=WEB, host_port=18080))
    assert lost.netns is not None
    subprocess.run(["umount", lost.netns], check=True)
    lost.netns.unlink()
    assert_nothing_left(restarted(host, again))


def test_a_bridge_and_a_table_that_vanished_are_made_anew(host: Lab, networks: LabService) -> None:
    alive = networks.plug(PublishedPort(container_port=WEB, host_port=18080))
    break_bridge(networks)
    break_table(networks)
    again = restarted(host, networks, alive)
    with inside(alive, lambda: Echo(port=WEB)), host.beyond(Echo) as world:
        assert ask("127.0.0.1", 18080).endswith(" hello")
        assert inside(alive, lambda: ask(host.outside, world.port)).startswith(host.inside)
        assert inside(again.plug(), lambda: ask(address(alive), WEB)).endswith(" hello")


def test_a_changed_bridge_is_put_right(host: Lab, networks: LabService) -> None:
    subprocess.run(["ip", "address", "flush", "dev", "hvlab0"], check=True)
    for wrong in ("10.1.2.3/24", "172.17.0.1/24"):
        subprocess.run(["ip", "address", "add", wrong, "dev", "hvlab0"], check=True)
    subprocess.run(["ip", "link", "set", "hvlab0", "down", "mtu", "1300"], check=True)
    restarted(host, networks)
    shown = subprocess.run(["ip", "address", "show", "hvlab0"], capture_output=True, text=True, check=True).stdout
    assert "172.17.0.1/16" in shown
    assert shown.count("inet ") == 1
    assert "mtu 1500" in shown
    assert ",UP" in shown


def test_two_engines_on_one_host(host: Lab) -> None:
    one, two = host.service("hvlab1"), host.service("hvlab2")
    assert str(one.get("bridge").subnet) != str(two.get("bridge").subnet)
    left, right = (engine.plug(PublishedPort(container_port=WEB, host_port=0)) for engine in (one, two))
    with inside(left, lambda: Echo(port=WEB)), inside(right, lambda: Echo(port=WEB)):
        for sandbox in (left, right):
            assert ask("127.0.0.1", sandbox.ports[0].host_port).endswith(" hello")
        # Their networks are apart, but what is published is for everybody.
        with pytest.raises(TimeoutError):
            inside(left, lambda: ask(address(right), WEB, timeout=0.5))
        assert inside(left, lambda: ask("172.17.0.1", right.ports[0].host_port)).endswith(" hello")
        one.release(left.container_id)
        one.purge()
        assert ask("127.0.0.1", right.ports[0].host_port).endswith(" hello")
    assert "hvlab1" not in links()
    assert "hvlab2" in links()


def test_purge_leaves_the_host_as_it_was(host: Lab) -> None:
    def state() -> tuple[set[str], str]:
        rules = subprocess.run(["nft", "--stateless", "list", "ruleset"], capture_output=True, text=True, check=True)
        return links(), rules.stdout

    # Docker's chain is there before, as on a host that has it.
    subprocess.run(["iptables", "-N", "DOCKER-USER"], check=True)
    before = state()
    service = host.service()
    service.release(service.plug(PublishedPort(container_port=WEB, host_port=18080)).container_id)
    service.purge()
    wait_until(lambda: state() == before, what="the host to be as it was")
