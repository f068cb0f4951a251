"""Published ports: who reaches them, who may hold them, and when they are free again."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from engine.errors import InvalidParameter, PortInUse
from engine.networks.model import PublishedPort
from tests.conftest import scratch_directory
from tests.fixtures.daemons import PeerDaemon
from tests.fixtures.netlab import Echo, Lab, LabService, address, ask, inside

WEB = 8080
"""The port of servers in containers."""

AT_18080 = PublishedPort(container_port=WEB, host_port=18080)


def test_a_port_is_shown_and_answers_for_both_families(networks: LabService) -> None:
    sandbox = networks.plug(AT_18080)
    assert sandbox.ports == (
        PublishedPort(container_port=WEB, protocol="tcp", host_ip="0.0.0.0", host_port=18080),
        PublishedPort(container_port=WEB, protocol="tcp", host_ip="::", host_port=18080),
    )
    with inside(sandbox, lambda: Echo(port=WEB)):
        assert ask("127.0.0.1", 18080) == "172.17.0.1 hello"
        assert ask("::1", 18080) == "172.17.0.1 hello"
        assert ask("172.17.0.1", 18080) == "172.17.0.1 hello"


def test_the_world_a_neighbour_and_the_container_itself_reach_it(host: Lab, networks: LabService) -> None:
    sandbox, neighbour = networks.plug(AT_18080), networks.plug()
    with inside(sandbox, lambda: Echo(port=WEB)):
        # The client's address is kept where it can be.
        assert host.beyond(lambda: ask(host.inside, 18080)) == f"{host.outside} hello"
        for client in (neighbour, sandbox):
            for way in (host.inside, "172.17.0.1"):
                assert inside(client, lambda way=way: ask(way, 18080)).endswith(" hello")


def test_datagrams(host: Lab, networks: LabService) -> None:
    port = PublishedPort(container_port=5300, protocol="udp", host_port=15300)
    sandbox = networks.plug(port, PublishedPort(container_port=5300, host_port=15300))
    assert {(row.protocol, row.host_port) for row in sandbox.ports} == {("udp", 15300), ("tcp", 15300)}
    with inside(sandbox, lambda: Echo(port=5300, kind=socket.SOCK_DGRAM)):
        assert ask("127.0.0.1", 15300, kind=socket.SOCK_DGRAM).endswith(" hello")
        answer = host.beyond(lambda: ask(host.inside, 15300, kind=socket.SOCK_DGRAM))
        assert answer == f"{host.outside} hello"
        # Without IPv6 in the container, the engine carries them there and back.
        for _ in range(2):
            assert ask("::1", 15300, kind=socket.SOCK_DGRAM) == "172.17.0.1 hello"


def test_one_address_is_no_other(host: Lab, networks: LabService) -> None:
    private = networks.plug(PublishedPort(container_port=WEB, host_ip="127.0.0.1", host_port=18080))
    public = networks.plug(PublishedPort(container_port=WEB, host_ip=host.inside, host_port=18080))
    assert [port.host_ip for port in private.ports + public.ports] == ["127.0.0.1", host.inside]
    with inside(private, lambda: Echo(port=WEB)):
        assert ask("127.0.0.1", 18080).endswith(" hello")
        with pytest.raises(ConnectionRefusedError):
            ask("::1", 18080)
        with pytest.raises(ConnectionRefusedError):
            host.beyond(lambda: ask(host.inside, 18080))
    with inside(public, lambda: Echo(port=WEB)):
        assert host.beyond(lambda: ask(host.inside, 18080)) == f"{host.outside} hello"


def test_a_port_of_the_loopback_is_not_the_neighbours(host: Lab, networks: LabService) -> None:
    private = networks.plug(PublishedPort(container_port=WEB, host_ip="127.0.0.1", host_port=18080))

    def intrude() -> str:
        # Martians leave where the sender says so.
        for command in (
            ["ip", "address", "delete", "127.0.0.1/8", "dev", "lo"],
            ["ip", "rule", "add", "preference", "0", "to", "127.0.0.1", "lookup", "99"],
            ["ip", "rule", "delete", "preference", "0", "lookup", "local"],
            ["ip", "rule", "add", "preference", "1", "lookup", "local"],
            ["ip", "route", "add", "127.0.0.1", "via", host.inside, "table", "99"],
        ):
            subprocess.run(command, check=True)
        (Path("/proc/sys/net/ipv4/conf/lan0/route_localnet")).write_text("1")
        return ask("127.0.0.1", 18080, timeout=0.5)

    with inside(private, lambda: Echo(port=WEB)), pytest.raises(OSError):
        host.beyond(intrude)


def test_a_port_at_an_ipv6_address(networks: LabService) -> None:
    sandbox = networks.plug(PublishedPort(container_port=WEB, host_ip="::1", host_port=18080))
    assert [port.host_ip for port in sandbox.ports] == ["::1"]
    with inside(sandbox, lambda: Echo(port=WEB)):
        assert ask("::1", 18080).endswith(" hello")
        with pytest.raises(ConnectionRefusedError):
            ask("127.0.0.1", 18080)


def test_a_host_without_ipv6_publishes_for_ipv4(host: Lab, networks: LabService) -> None:
    Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").write_text("1")
    assert "0.0.0.0" in [port.host_ip for port in networks.plug(AT_18080).ports]


def test_a_free_port_is_found_for_both_families(networks: LabService) -> None:
    sandbox = networks.plug(PublishedPort(container_port=WEB), PublishedPort(container_port=WEB + 1))
    assert len({port.host_port for port in sandbox.ports}) == 2
    low, high = (int(word) for word in Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert all(low <= port.host_port <= high for port in sandbox.ports)
    with inside(sandbox, lambda: Echo(port=WEB)):
        assert ask("127.0.0.1", sandbox.ports[0].host_port).endswith(" hello")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_port_of_another_container(networks: LabService, protocol: str) -> None:
    port = PublishedPort(container_port=WEB, protocol=protocol, host_port=18080)
    holder = networks.plug(port)
    with pytest.raises(PortInUse, match=r"^Bind for 0\.0\.0\.0:18080 failed: port is already allocated$"):
        networks.plug(PublishedPort(container_port=1, protocol=protocol, host_port=18081), port)
    # Nothing was kept of the attempt, and the port is free as soon as its holder has gone.
    networks.plug(PublishedPort(container_port=1, protocol=protocol, host_port=18081))
    networks.release(holder.container_id)
    networks.plug(port)


def test_a_port_twice_in_one_request(networks: LabService) -> None:
    with pytest.raises(PortInUse, match="port is already allocated"):
        networks.plug(AT_18080, PublishedPort(container_port=1, host_port=18080))
    networks.plug(AT_18080)


@pytest.mark.parametrize("listening_at", ["0.0.0.0", "127.0.0.1", "::"])
def test_a_port_of_a_stranger(networks: LabService, listening_at: str) -> None:
    family = socket.AF_INET6 if ":" in listening_at else socket.AF_INET
    words = r"^listen tcp[46] (0\.0\.0\.0|\[::\]):18080: bind: address already in use$"
    with socket.create_server((listening_at, 18080), family=family), pytest.raises(PortInUse, match=words):
        networks.plug(AT_18080)
    networks.plug(AT_18080)


def test_two_engines_do_not_share_a_port(host: Lab) -> None:
    one, two = host.service("hvlab1"), host.service("hvlab2")
    holder = one.plug(AT_18080)
    with pytest.raises(PortInUse):
        two.plug(AT_18080)
    one.release(holder.container_id)
    two.plug(AT_18080)


@pytest.mark.parametrize("listening_at", ["0.0.0.0", "127.0.0.1", "::"])
def test_a_stranger_cannot_take_a_port_that_is_held(networks: LabService, listening_at: str) -> None:
    sandbox = networks.plug(AT_18080)
    family = socket.AF_INET6 if ":" in listening_at else socket.AF_INET
    # create_server sets SO_REUSEADDR, as almost every server does.
    with pytest.raises(OSError, match="in use"):
        socket.create_server((listening_at, 18080), family=family)
    networks.release(sandbox.container_id)
    socket.create_server((listening_at, 18080), family=family).close()


@pytest.mark.parametrize("server", ["127.0.0.1", "::1"])
def test_connections_of_a_former_server_are_no_hindrance(networks: LabService, server: str) -> None:
    """As after `run --net=host nginx` has ended: its side of the connections is in TIME-WAIT for a minute."""
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with (
        socket.create_server((server, 18080), family=family) as former,
        socket.create_connection((server, 18080)) as client,
    ):
        accepted, _ = former.accept()
        accepted.close()
        assert client.recv(1) == b""
    networks.plug(AT_18080)


@pytest.mark.parametrize("way", ["127.0.0.1", "::1"])
def test_a_port_that_was_used_is_free_at_once(networks: LabService, way: str) -> None:
    for _ in range(3):
        sandbox = networks.plug(AT_18080)
        with inside(sandbox, lambda: Echo(port=WEB)):
            assert ask(way, 18080).endswith(" hello")
        networks.release(sandbox.container_id)
        with pytest.raises(ConnectionRefusedError):
            ask(way, 18080)


def test_a_released_container_s_ipv6_clients_are_cut_off(networks: LabService) -> None:
    sandbox = networks.plug(AT_18080)
    with inside(sandbox, lambda: Echo(port=WEB)), socket.create_connection(("::1", 18080), 5) as client:
        client.sendall(b"one")
        assert client.recv(100)
        networks.release(sandbox.container_id)
        with contextlib.suppress(ConnectionResetError):  # as good an end
            assert client.recv(100) == b""


def test_the_relay_keeps_half_closed_connections_and_every_byte(networks: LabService) -> None:
    sandbox = networks.plug(AT_18080)
    size = 8 * 1024 * 1024
    received: list[int] = []
    with inside(sandbox, lambda: socket.create_server(("", WEB))) as server:

        def take_all_then_answer() -> None:
            connection, _ = server.accept()
            with connection:
                total = 0
                while data := connection.recv(1 << 20):
                    total += len(data)
                received.append(total)
                connection.sendall(b"thanks")

        thread = threading.Thread(target=take_all_then_answer)
        thread.start()
        with socket.create_connection(("::1", 18080), 10) as client:
            client.sendall(b"x" * size)
            client.shutdown(socket.SHUT_WR)
            assert client.recv(100) == b"thanks"
            assert client.recv(100) == b""
        thread.join()
    assert received == [size]


def test_an_ipv6_client_of_a_container_that_does_not_listen_is_let_go(networks: LabService) -> None:
    networks.plug(AT_18080)
    with socket.create_connection(("::1", 18080), 5) as client:
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""


@pytest.mark.parametrize(
    ("port", "error"),
    [
        (PublishedPort(container_port=1, protocol="dccp", host_port=18080), InvalidParameter),
        (PublishedPort(container_port=1, host_ip="nowhere", host_port=18080), InvalidParameter),
        (PublishedPort(container_port=1, host_ip="192.0.2.77", host_port=18080), PortInUse),
        (PublishedPort(container_port=1, host_ip="2001:db8::77", host_port=18080), PortInUse),
    ],
)
def test_a_port_that_cannot_be_published_is_refused(
    networks: LabService, port: PublishedPort, error: type[Exception]
) -> None:
    with pytest.raises(error):
        networks.plug(AT_18080, port)
    networks.plug(AT_18080)


def test_publishing_costs_the_same_however_many_there_are(networks: LabService) -> None:
    """A range of a thousand ports is one transaction, and what the kernel walks through stays three rules."""
    ports = [PublishedPort(container_port=port, host_ip="0.0.0.0", host_port=port) for port in range(20000, 21000)]
    sandbox = networks.plug(*ports)
    rules = subprocess.run(
        ["nft", "list", "chain", "inet", networks.config.instance, "publish"], capture_output=True, text=True
    ).stdout
    assert rules.count("dnat") == 2
    with inside(sandbox, lambda: Echo(port=20999)):
        assert ask("127.0.0.1", 20999).endswith(" hello")
    networks.release(sandbox.container_id)
    networks.plug(*ports[:2])


def test_a_forwarding_policy_of_docker_s_is_no_hindrance(host: Lab) -> None:
    for arguments in (["-N", "DOCKER-USER"], ["-A", "FORWARD", "-j", "DOCKER-USER"], ["-P", "FORWARD", "DROP"]):
        subprocess.run(["iptables", *arguments], check=True)
    networks = host.service()
    networks.start(live=[])  # a second time changes nothing
    listed = subprocess.run(["iptables", "-S", "DOCKER-USER"], capture_output=True, text=True, check=True).stdout
    assert listed.count("hvlab0") == 2
    sandbox = networks.plug(AT_18080)
    with inside(sandbox, lambda: Echo(port=WEB)), host.beyond(Echo) as world:
        assert host.beyond(lambda: ask(host.inside, 18080)).endswith(" hello")
        assert inside(sandbox, lambda: ask(host.outside, world.port)).endswith(" hello")
    networks.purge()
    listed = subprocess.run(["iptables", "-S", "DOCKER-USER"], capture_output=True, text=True, check=True).stdout
    assert "hvlab0" not in listed


@pytest.mark.skipif(shutil.which("dockerd") is None, reason="dockerd is not installed")
@pytest.mark.parametrize("docker_first", [True, False])
def test_beside_a_real_dockerd(host: Lab, docker_first: bool) -> None:
    forwarding = Path("/proc/sys/net/ipv4/ip_forward")
    forwarding.write_text("0")
    networks = None if docker_first else host.service()
    # It sets the policy when it is the one who begins to forward, as at a host's start.
    forwarding.write_text("0")
    with scratch_directory() as directory, PeerDaemon(directory, namespace=host.namespace):
        policy = subprocess.run(["iptables", "-S", "FORWARD"], capture_output=True, text=True, check=True).stdout
        assert "-P FORWARD DROP" in policy
        networks = networks or host.service()
        sandbox = networks.plug(AT_18080)
        with inside(sandbox, lambda: Echo(port=WEB)), host.beyond(Echo) as world:
            assert host.beyond(lambda: ask(host.inside, 18080)).endswith(" hello")
            assert inside(sandbox, lambda: ask(host.outside, world.port)).endswith(" hello")
            assert ask(address(sandbox), WEB).endswith(" hello")
        networks.release(sandbox.container_id)
        # The daemon's fixture waits for every veth to go.
        subprocess.run(["ip", "link", "delete", "lan0"], check=True)
