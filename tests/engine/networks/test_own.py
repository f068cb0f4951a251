"""Networks of one's own in a real kernel: several at once, joined and left, published for both families."""

from __future__ import annotations

import socket
import subprocess

import pytest

from engine.errors import EngineFault, Forbidden, NetworkNotFound
from engine.networks.drivers.bridge import bridge_name
from engine.networks.model import Attachment, Driver, PublishedPort, Sandbox, SandboxRequest
from engine.types import new_id
from tests.fixtures.netlab import Echo, Lab, LabService, ask, inside
from tests.fixtures.processes import wait_until

WEB = 8080
AT_18080 = PublishedPort(container_port=WEB, host_port=18080)


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def shown(sandbox: Sandbox, *command: str) -> str:
    """What a command prints in a container's namespace."""
    return inside(sandbox, lambda: run(*command))


def way_out(sandbox: Sandbox) -> str:
    """Gateway and device of the default route; "" without one."""
    lines = shown(sandbox, "ip", "route", "show", "default").splitlines()
    return " ".join(lines[0].split()[2:5:2]) if lines else ""


def joining(sandbox: Sandbox, network: str, *ports: PublishedPort, **options: object) -> SandboxRequest:
    return SandboxRequest(
        container_id=sandbox.container_id,
        name="joining",
        attachments=(Attachment(network=network, **options),),  # type: ignore[arg-type]
        ports=ports,
    )


def test_the_first_by_name_leads_out_unless_another_is_preferred(networks: LabService) -> None:
    networks.made("b", "10.62.0.0/24")
    networks.made("a", "10.61.0.0/24")
    networks.made("inner", "10.60.0.0/24", internal=True)
    plain = networks.plug_all(Attachment(network="b"), Attachment(network="inner"), Attachment(network="a"))
    assert [endpoint.interface for endpoint in plain.endpoints] == ["eth0", "eth1", "eth2"]
    assert way_out(plain) == "10.61.0.1 eth2"
    chosen = networks.plug_all(Attachment(network="a"), Attachment(network="b", gateway_priority=5))
    assert way_out(chosen) == "10.62.0.1 eth1"
    assert way_out(networks.plug(network="inner")) == ""


def test_ports_stay_where_they_are_when_the_way_out_moves(host: Lab, networks: LabService) -> None:
    networks.made("a", "10.61.0.0/24")
    networks.made("b", "10.62.0.0/24")
    sandbox = networks.plug(AT_18080, network="b")

    def answers() -> str:
        return host.beyond(lambda: ask(host.inside, 18080))

    with inside(sandbox, lambda: Echo(port=WEB)):
        assert answers() == f"{host.outside} hello"
        networks.connect(joining(sandbox, "a", AT_18080))
        assert way_out(sandbox) == "10.61.0.1 eth1"
        assert answers() == f"{host.outside} hello"
        assert ask("::1", 18080) == "10.61.0.1 hello"
        networks.disconnect(joining(sandbox, "b", AT_18080))
        assert answers() == f"{host.outside} hello"
        networks.disconnect(joining(sandbox, "a", AT_18080))
        assert way_out(sandbox) == ""
        with pytest.raises(ConnectionRefusedError):
            answers()
        networks.connect(joining(sandbox, "b", AT_18080))
        assert answers() == f"{host.outside} hello"
    networks.release(sandbox.container_id)
    assert networks.database.query("SELECT * FROM endpoints UNION ALL SELECT * FROM endpoints") == []
    assert networks.database.query("SELECT * FROM published_ports") == []


def test_ipv6_clients_are_seen_as_they_are(host: Lab, networks: LabService) -> None:
    run("ip", "-6", "address", "add", "fd00:ff::1/64", "dev", "lan0", "nodad")
    host.beyond(lambda: run("ip", "-6", "address", "add", "fd00:ff::2/64", "dev", "lan0", "nodad"))
    networks.made("six", "10.66.0.0/24", "fd00:66::/64", ipv6=True)
    both = (AT_18080, PublishedPort(container_port=WEB, protocol="udp", host_port=18080))
    sandbox, neighbour = networks.plug(*both, network="six"), networks.plug(network="six")
    with inside(sandbox, lambda: Echo(port=WEB, host="::")):
        assert host.beyond(lambda: ask("fd00:ff::1", 18080)) == "fd00:ff::2 hello"
        assert ask("::1", 18080) == "fd00:66::1 hello"
        for client in (neighbour, sandbox):
            assert inside(client, lambda: ask("fd00:66::1", 18080)).endswith(" hello")
        assert inside(neighbour, lambda: ask("fd00:66::2", WEB)) == "fd00:66::3 hello"
    # And out: the world sees the host's address.
    with host.beyond(lambda: Echo(host="fd00:ff::2")) as world:
        assert inside(sandbox, lambda: ask("fd00:ff::2", world.port)) == "fd00:ff::1 hello"
    # The world does not get in past the published ports.
    host.beyond(lambda: run("ip", "-6", "route", "add", "fd00:66::/64", "via", "fd00:ff::1"))
    with inside(sandbox, lambda: Echo(port=9999, host="::")), pytest.raises(TimeoutError):
        host.beyond(lambda: ask("fd00:66::2", 9999, timeout=0.5))


def test_a_policy_of_dropping_is_no_hindrance(host: Lab) -> None:
    for program in ("iptables", "ip6tables"):
        run(program, "-P", "FORWARD", "DROP")
    networks = host.service()
    networks.made("one", "10.61.0.0/24")
    networks.made("inner", "10.63.0.0/24", internal=True)
    sandbox = networks.plug(AT_18080, network="one")
    with inside(sandbox, lambda: Echo(port=WEB)), host.beyond(Echo) as world:
        assert inside(sandbox, lambda: ask(host.outside, world.port)) == f"{host.inside} hello"
        assert host.beyond(lambda: ask(host.inside, 18080)) == f"{host.outside} hello"
    networks.release(sandbox.container_id)
    networks.remove("one")
    networks.remove("inner")
    assert "br-" not in run("iptables", "-S", "FORWARD")
    networks.purge()
    assert run("iptables", "-S", "FORWARD") == "-P FORWARD DROP\n"


def test_rules_do_not_grow_with_networks(networks: LabService) -> None:
    def rules() -> int:
        listed = run("nft", "--stateless", "list", "table", "inet", networks.config.instance)
        return len([line for line in listed.splitlines() if "@" in line])

    before = rules()
    for number in range(20):
        networks.made(f"net{number}", f"10.70.{number}.0/24")
    assert rules() == before
    for number in range(20):
        networks.remove(f"net{number}")
    assert "10.70." not in run("nft", "list", "table", "inet", networks.config.instance)


def test_a_bridge_may_have_several_subnets(networks: LabService) -> None:
    networks.made("wide", "10.61.0.0/30", "10.62.0.0/24")
    first, second = networks.plug(network="wide"), networks.plug(network="wide")
    assert [str(each.endpoints[0].address) for each in (first, second)] == ["10.61.0.2/30", "10.62.0.2/24"]
    assert way_out(second) == "10.62.0.1 eth0"
    with inside(second, lambda: Echo(port=WEB)):
        assert inside(first, lambda: ask("10.62.0.2", WEB)).endswith(" hello")


def test_what_the_host_reaches_otherwise_is_told(host: Lab, networks: LabService) -> None:
    run("ip", "route", "add", "10.79.0.0/16", "via", host.outside)
    run("ip", "-6", "address", "add", "fd00:ff::1/64", "dev", "lan0", "nodad")
    apart = networks.made("apart", "10.61.0.0/24", "fd00:61::/64", ipv6=True)
    over = networks.made("over", "10.79.5.0/24", "fd00:ff::/72", ipv6=True)
    neighbours = networks.made("neighbours", "10.79.6.0/24", driver=Driver.MACVLAN, options={"parent": "lan0"})
    told = {(str(route.subnet), route.link) for route in networks.hidden_by(over)}
    assert told == {("10.79.0.0/16", "lan0"), ("fd00:ff::/64", "lan0")}
    assert networks.hidden_by(apart) == networks.hidden_by(neighbours) == []
    assert not any(route.link.startswith("br-") for route in networks.routed())


def test_a_network_that_cannot_be_made_leaves_nothing(networks: LabService) -> None:
    before = socket.if_nameindex()
    run("nft", "delete", "table", "inet", networks.config.instance)
    with pytest.raises(EngineFault):
        networks.made("lost", "10.61.0.0/24")
    assert [network.name for network in networks.list()] == ["bridge", "host", "none"]
    assert socket.if_nameindex() == before
    networks.start(live=())
    networks.made("lost", "10.61.0.0/24")


def test_a_bridge_of_somebody_else_is_used_and_left(networks: LabService) -> None:
    run("ip", "link", "add", "theirs", "type", "bridge")
    network = networks.made("borrowed", "10.61.0.0/24", options={"com.docker.network.bridge.name": "theirs"})
    assert bridge_name(network) == "theirs"
    networks.remove("borrowed")
    assert "theirs" in run("ip", "-brief", "link")
    run("ip", "link", "add", "other", "type", "veth")
    with pytest.raises(Forbidden, match="is not a bridge"):
        networks.made("wrong", "10.61.0.0/24", options={"com.docker.network.bridge.name": "other"})


def restarted(host: Lab, service: LabService, *alive: Sandbox) -> LabService:
    """The engine after kill -9."""
    service.close()
    return host.service(service.config.bridge, live=tuple(sandbox.container_id for sandbox in alive))


def test_a_host_that_was_restarted_gets_its_networks_again(host: Lab, networks: LabService) -> None:
    network = networks.made("kept", "10.61.0.0/24", labels={"a": "b"})
    networks.made("going", "10.62.0.0/24")
    networks._records.retire(networks.get("going").id)
    run("ip", "link", "delete", bridge_name(network))
    run("nft", "delete", "table", "inet", networks.config.instance)
    again = restarted(host, networks)
    assert again.get("kept") == network
    with pytest.raises(NetworkNotFound):
        again.get("going")
    assert not [line for line in run("ip", "-brief", "link").splitlines() if line.startswith("br-") and "10.62" in line]
    sandbox = again.plug(network="kept")
    assert way_out(sandbox) == "10.61.0.1 eth0"


def test_a_connection_that_was_cut_off_is_undone_or_finished(host: Lab, networks: LabService) -> None:
    networks.made("a", "10.61.0.0/24")
    networks.made("b", "10.62.0.0/24")
    sandbox = networks.plug(AT_18080, network="b")
    rowed = networks._records.join(sandbox.container_id, networks.get("a"))  # a row, and no link yet
    networks = restarted(host, networks, sandbox)
    assert [endpoint.network_name for endpoint in networks.sandbox(sandbox.container_id).endpoints] == ["b"]  # type: ignore[union-attr]
    endpoint = networks.connect(joining(sandbox, "a", AT_18080))
    assert endpoint.address == rowed.address, "nobody kept its address"
    networks._records.leave(sandbox.container_id, endpoint.id)  # a link, and no row any more
    networks = restarted(host, networks, sandbox)
    assert "eth1" not in shown(sandbox, "ip", "-brief", "link")
    assert way_out(sandbox) == "10.62.0.1 eth0"
    with inside(sandbox, lambda: Echo(port=WEB)):
        assert host.beyond(lambda: ask(host.inside, 18080)) == f"{host.outside} hello"
    networks.release(sandbox.container_id)
    wait_until(lambda: "veth" not in run("ip", "-brief", "link"), what="the links to be gone")


def test_who_joins_a_network_that_is_being_removed_is_refused(networks: LabService) -> None:
    network = networks.made("going", "10.61.0.0/24")
    networks._records.retire(network.id)
    with pytest.raises(NetworkNotFound):
        networks.plug(network="going", container_id=new_id())
    assert networks.namespaces() == []
