"""Networks by the docker CLI: what is said here is true of Havre and of dockerd."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import docker
import docker.types
import pytest

from tests.fixtures.daemons import Daemon
from tests.fixtures.processes import wait_until


@pytest.fixture(autouse=True)
def _clean(daemon: Daemon, busybox: str) -> Iterator[None]:
    yield
    daemon.remove_everything()
    daemon.docker("network", "prune", "-f")


def sleeper(daemon: Daemon, name: str, *options: str) -> str:
    """The id of a container that does nothing."""
    return daemon.docker("run", "-d", f"--name={name}", *options, "busybox", "sleep", "1000").stdout.strip()


def networks_of(daemon: Daemon, container: str) -> Any:
    return json.loads(daemon.docker("inspect", "-f={{json .NetworkSettings.Networks}}", container).stdout)


def refused(daemon: Daemon, *arguments: str) -> str:
    """What the daemon says when it refuses."""
    result = daemon.docker(*arguments, check=False)
    assert result.returncode != 0
    return result.stderr


def test_a_network_is_made_shown_and_removed(daemon: Daemon) -> None:
    options = (
        "--subnet=10.91.0.0/16",
        "--ip-range=10.91.5.0/24",
        "--gateway=10.91.5.254",
        "--aux-address=me=10.91.5.0",
    )
    network_id = daemon.docker("network", "create", *options, "--label=a=b", "one").stdout.strip()
    (found,) = json.loads(daemon.docker("network", "inspect", "one").stdout)
    assert found["Id"] == network_id
    assert (found["Name"], found["Driver"], found["Scope"], found["Internal"]) == ("one", "bridge", "local", False)
    assert found["IPAM"]["Config"] == [
        {
            "Subnet": "10.91.0.0/16",
            "IPRange": "10.91.5.0/24",
            "Gateway": "10.91.5.254",
            "AuxiliaryAddresses": {"me": "10.91.5.0"},
        }
    ]
    assert (found["Labels"], found["Containers"]) == ({"a": "b"}, {})
    sleeper(daemon, "first", "--network=one")
    assert networks_of(daemon, "first")["one"]["IPAddress"] == "10.91.5.1"
    assert "has active endpoints" in refused(daemon, "network", "rm", "one")
    daemon.docker("rm", "-f", "first")
    assert daemon.docker("network", "rm", "one").stdout == "one\n"
    assert re.search("network one not found|No such network: one", refused(daemon, "network", "inspect", "one"))


def test_a_name_may_hold_anything(daemon: Daemon) -> None:
    for name in ("with space", "with/slash", "Ünïcode"):
        daemon.docker("network", "create", name)
        assert daemon.docker("network", "inspect", "-f={{.Name}}", name).stdout == f"{name}\n"
        sleeper(daemon, "member", "--network=none")
        daemon.docker("network", "disconnect", "none", "member")
        daemon.docker("network", "connect", name, "member")
        assert set(networks_of(daemon, "member")) == {name}
        daemon.docker("rm", "-f", "member")
        daemon.docker("network", "rm", name)


def test_lists_are_filtered(daemon: Daemon) -> None:
    daemon.docker("network", "create", "--label=kind=x", "lone")
    daemon.docker("network", "create", "--internal", "used")
    sleeper(daemon, "user", "--network=used")

    def names(*filters: str) -> set[str]:
        arguments = [f"--filter={each}" for each in filters]
        return set(daemon.docker("network", "ls", "--format={{.Name}}", *arguments).stdout.split())

    assert names() >= {"bridge", "host", "none", "lone", "used"}
    assert names("type=custom") == {"lone", "used"}
    assert names("type=builtin") == {"bridge", "host", "none"}
    assert "lone" in names("dangling=true")
    assert "bridge" not in names("dangling=true")
    assert names("driver=null") == {"none"}
    assert names("label=kind=x") == names("name=lon") == {"lone"}
    assert names("type=custom", "name=use") == {"used"}
    assert names("scope=swarm") == set()
    assert daemon.docker("network", "prune", "-f", "--filter=label=kind=y").stdout == ""
    assert daemon.docker("network", "prune", "-f").stdout.split() == ["Deleted", "Networks:", "lone"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["create", "bridge"], "operation is not permitted on predefined bridge network"),
        (["create", "--driver=host", "another"], 'only one instance of "host" network is allowed'),
        (["create", "--subnet=10.92.5.0/24", "another"], "Pool overlaps with other one on this address space"),
        (["create", "taken"], "network with name taken already exists"),
        (["rm", "host"], "host is a pre-defined network and cannot be removed"),
        (["connect", "nosuch", "runs"], "network nosuch not found"),
        (["connect", "taken", "nosuch"], "No such container: nosuch"),
        (
            ["connect", "host", "runs"],
            "container cannot be disconnected from host network or connected to host network",
        ),
        (["connect", "none", "runs"], "one of the networks in private (none) mode"),
        (["connect", "--alias=x", "bridge", "alone"], "network-scoped alias is supported only for containers in user"),
        (
            ["connect", "--ip=10.93.0.9", "plain", "runs"],
            "only when connecting to networks with user configured subnets",
        ),
        (["connect", "--ip=10.92.0.1", "taken", "runs"], "Address already in use"),
        (["connect", "--ip=10.93.0.9", "taken", "runs"], "It does not belong to any of this network's subnets"),
        (["disconnect", "taken", "runs"], "is not connected to network taken"),
    ],
)
def test_what_is_refused(daemon: Daemon, arguments: list[str], words: str) -> None:
    existing = set(daemon.docker("network", "ls", "--format={{.Name}}").stdout.split())
    if "taken" not in existing:
        daemon.docker("network", "create", "--subnet=10.92.0.0/16", "taken")
        daemon.docker("network", "create", "plain")
    sleeper(daemon, "runs")
    sleeper(daemon, "alone", "--network=plain")
    assert words in refused(daemon, "network", *arguments)


@pytest.mark.parametrize("daemon", ["havre", pytest.param("dockerd", marks=pytest.mark.slow)], indirect=True)
def test_a_driver_that_is_not_there(daemon: Daemon) -> None:
    """dockerd, in the long run alone, looks for a plugin for fifteen seconds."""
    assert 'plugin "nosuch" not found' in refused(daemon, "network", "create", "--driver=nosuch", "another")


def test_connect_and_disconnect_while_it_runs(daemon: Daemon) -> None:
    daemon.docker("network", "create", "--subnet=10.94.0.0/24", "left")
    daemon.docker("network", "create", "--subnet=10.95.0.0/24", "right")
    container = sleeper(daemon, "both", "--network=left", "--ip=10.94.0.9", "--network-alias=friend")
    daemon.docker("network", "connect", "--ip=10.95.0.7", "--alias=other", "right", "both")
    found = networks_of(daemon, "both")
    assert found["left"]["IPAMConfig"] == {"IPv4Address": "10.94.0.9"}
    assert found["left"]["Aliases"] == ["friend", container[:12]]
    assert (found["right"]["IPAddress"], found["right"]["IPPrefixLen"]) == ("10.95.0.7", 24)
    assert found["right"]["MacAddress"] == "02:42:0a:5f:00:07"
    assert found["right"]["Aliases"] == ["other", container[:12]]
    shown = daemon.docker("exec", "both", "ip", "address").stdout
    assert "inet 10.94.0.9/24 brd 10.94.0.255 scope global eth0" in shown
    assert "inet 10.95.0.7/24 brd 10.95.0.255 scope global eth1" in shown
    # The first by name has the default route.
    assert "default via 10.94.0.1 dev eth0" in daemon.docker("exec", "both", "ip", "route").stdout
    hosts = daemon.docker("exec", "both", "cat", "/etc/hosts").stdout
    assert hosts.endswith(f"10.94.0.9\t{container[:12]}\n10.95.0.7\t{container[:12]}\n")
    assert "endpoint with name both already exists in network right" in refused(
        daemon, "network", "connect", "right", "both"
    )
    daemon.docker("network", "disconnect", "left", "both")
    assert set(networks_of(daemon, "both")) == {"right"}
    assert "default via 10.95.0.1 dev eth1" in daemon.docker("exec", "both", "ip", "route").stdout
    assert "10.94.0.9" not in daemon.docker("exec", "both", "cat", "/etc/hosts").stdout
    (network,) = json.loads(daemon.docker("network", "inspect", "right").stdout)
    assert network["Containers"][container]["IPv4Address"] == "10.95.0.7/24"
    assert network["Containers"][container]["Name"] == "both"


def test_connect_and_disconnect_while_it_is_stopped(daemon: Daemon) -> None:
    daemon.docker("network", "create", "later")
    daemon.docker("create", "--name=still", "busybox", "sleep", "1000")
    daemon.docker("network", "connect", "later", "still")
    assert set(networks_of(daemon, "still")) == {"bridge", "later"}
    daemon.docker("network", "disconnect", "bridge", "still")
    daemon.docker("start", "still")
    found = networks_of(daemon, "still")
    assert set(found) == {"later"}
    assert found["later"]["EndpointID"]
    daemon.docker("stop", "-t0", "still")
    found = networks_of(daemon, "still")
    assert (found["later"]["EndpointID"], found["later"]["IPAddress"]) == ("", "")
    assert found["later"]["NetworkID"]
    daemon.docker("network", "rm", "later")
    assert " not found" in refused(daemon, "start", "still")


def test_networks_are_apart(daemon: Daemon) -> None:
    daemon.docker("network", "create", "east")
    daemon.docker("network", "create", "west")
    daemon.docker("network", "create", "--internal", "inner")
    for name, network in (
        ("e1", "east"),
        ("e2", "east"),
        ("w1", "west"),
        ("i1", "inner"),
        ("i2", "inner"),
        ("d1", "bridge"),
    ):
        sleeper(daemon, name, f"--network={network}")
    address = {
        name: next(iter(networks_of(daemon, name).values()))["IPAddress"] for name in ("e2", "w1", "i1", "i2", "d1")
    }
    world = daemon.namespace.outside

    def reaches(name: str, target: str) -> bool:
        return daemon.docker("exec", name, "ping", "-c1", "-W1", target, check=False).returncode == 0

    assert reaches("e1", address["e2"])
    assert reaches("e1", world)
    assert not reaches("e1", address["w1"])
    assert not reaches("e1", address["d1"])
    assert reaches("i1", address["i2"])
    assert not reaches("i1", world)
    assert not reaches("i1", address["w1"])
    assert not reaches("e1", address["i1"])


def test_options_of_a_bridge(daemon: Daemon) -> None:
    prefix = "com.docker.network.bridge"
    options = [f"{prefix}.name=br-chosen", f"{prefix}.enable_icc=false", f"{prefix}.host_binding_ipv4=127.0.0.1"]
    options.append("com.docker.network.driver.mtu=1380")
    daemon.docker("network", "create", *(f"-o={option}" for option in options), "made")
    assert "br-chosen" in daemon.namespace.run("ip", "link", "show", "br-chosen").stdout
    sleeper(daemon, "one", "--network=made", "-p=80")
    sleeper(daemon, "two", "--network=made")
    assert daemon.docker("port", "one").stdout.startswith("80/tcp -> 127.0.0.1:")
    assert "mtu 1380" in daemon.docker("exec", "one", "ip", "link", "show", "eth0").stdout
    target = networks_of(daemon, "one")["made"]["IPAddress"]
    assert daemon.docker("exec", "two", "ping", "-c1", "-W1", target, check=False).returncode != 0
    assert daemon.docker("exec", "two", "ping", "-c1", "-W1", daemon.namespace.outside, check=False).returncode == 0
    daemon.remove_everything()
    daemon.docker("network", "rm", "made")
    assert daemon.namespace.run("ip", "link", "show", "br-chosen", check=False).returncode != 0


def test_events_of_networks(daemon: Daemon) -> None:
    def stamp() -> str:
        return json.loads(daemon.docker("info", "--format={{json .SystemTime}}").stdout)

    began = stamp()
    network = daemon.docker("network", "create", "told").stdout.strip()
    container = sleeper(daemon, "teller", "--network=none")
    daemon.docker("network", "disconnect", "none", "teller")
    daemon.docker("network", "connect", "told", "teller")
    daemon.docker("network", "disconnect", "told", "teller")
    daemon.docker("network", "rm", "told")
    lines = daemon.docker(
        "events", f"--since={began}", f"--until={stamp()}", "--filter=type=network", "--format={{json .}}"
    ).stdout.splitlines()
    told = [json.loads(line) for line in lines]
    # dockerd tells of a disconnection twice.
    mine = [
        (each["Action"], each["Actor"]["Attributes"])
        for each, before in zip(told, [None, *told], strict=False)
        if each["Actor"]["ID"] == network and (before is None or each["Action"] != before["Action"])
    ]
    attributes = {"name": "told", "type": "bridge"}
    assert mine == [
        ("create", attributes),
        ("connect", attributes | {"container": container}),
        ("disconnect", attributes | {"container": container}),
        ("destroy", attributes),
    ]


def test_published_ports_of_a_bridge_of_one_s_own(daemon: Daemon) -> None:
    daemon.docker("network", "create", "--ipv6", "--subnet=fd00:96::/64", "web")
    serve = "mkdir /www && echo hello > /www/index.html && httpd -f -v -p 80 -h /www"
    daemon.docker("run", "-d", "--name=server", "--network=web", "-p=8096:80", "busybox", "sh", "-c", serve)
    shown = json.loads(daemon.docker("inspect", "-f={{json .NetworkSettings.Ports}}", "server").stdout)
    assert shown == {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8096"}, {"HostIp": "::", "HostPort": "8096"}]}
    found = networks_of(daemon, "server")["web"]
    assert (found["GlobalIPv6Address"], found["GlobalIPv6PrefixLen"], found["IPv6Gateway"]) == (
        "fd00:96::2",
        64,
        "fd00:96::1",
    )
    for place in ("127.0.0.1", daemon.namespace.inside, found["Gateway"]):
        fetched = daemon.namespace.run("curl", "-s", "--retry", "9", "--retry-connrefused", f"http://{place}:8096/")
        assert fetched.stdout == "hello\n", place
    # A neighbour, another network and the container itself reach it by the host's address.
    for options in (["--network=web"], [], ["--network=container:server"]):
        fetch = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc {daemon.namespace.inside} 8096"
        assert "hello\n" in daemon.docker("run", "--rm", *options, "busybox", "sh", "-c", fetch).stdout, options


def resolved(daemon: Daemon, container: str, name: str) -> set[str]:
    """The addresses that a container finds for a name; it must find some."""
    shown = daemon.docker("exec", container, "nslookup", name).stdout
    return {line.split()[1] for line in shown.splitlines() if line.startswith("Address: ")}


def test_containers_find_each_other_by_name(daemon: Daemon) -> None:
    daemon.docker("network", "create", "--subnet=10.97.0.0/24", "named")
    daemon.docker("network", "create", "--subnet=10.98.0.0/24", "second")
    web = sleeper(daemon, "web", "--network=named", "--network-alias=app", "--hostname=called")
    sleeper(daemon, "again", "--network=named", "--network-alias=app")
    sleeper(daemon, "plain")
    assert daemon.docker("exec", "web", "cat", "/etc/resolv.conf").stdout.splitlines() == [
        "nameserver 127.0.0.11",
        "options ndots:0",
    ]
    for name in ("web", "WEB", "web.named", "called", web[:12]):
        assert resolved(daemon, "again", name) == {"10.97.0.2"}, name
    assert resolved(daemon, "web", "app") == {"10.97.0.2", "10.97.0.3"}
    assert "web.named" in daemon.docker("exec", "again", "nslookup", "10.97.0.2").stdout
    assert daemon.docker("exec", "again", "ping", "-c1", "-W3", "app").returncode == 0
    # One of the default bridge finds nobody, until it joins.
    daemon.docker("network", "connect", "--alias=guest", "named", "plain")
    assert resolved(daemon, "plain", "web") == {"10.97.0.2"}
    assert resolved(daemon, "web", "guest") == {"10.97.0.4"}
    daemon.docker("network", "connect", "second", "web")
    daemon.docker("network", "connect", "second", "plain")
    assert resolved(daemon, "plain", "web.second") == {"10.98.0.2"}
    daemon.docker("rename", "web", "site")
    assert resolved(daemon, "again", "site") == {"10.97.0.2"}


def test_links_in_a_network_of_ones_own(daemon: Daemon) -> None:
    daemon.docker("network", "create", "--subnet=10.97.0.0/24", "named")
    sleeper(daemon, "database", "--network=named")
    sleeper(daemon, "client", "--network=named", "--link=database:db")
    assert networks_of(daemon, "client")["named"]["Links"] == ["database:db"]
    assert resolved(daemon, "client", "db") == {"10.97.0.2"}


def test_links_on_the_default_bridge(daemon: Daemon) -> None:
    database = sleeper(daemon, "db", "-e=FOO=1", "--expose=80", "--expose=81/udp", "--expose=90-92")
    sleeper(daemon, "client", "--link=db:x-y", "--link=db")
    address = networks_of(daemon, "db")["bridge"]["IPAddress"]
    hosts = daemon.docker("exec", "client", "cat", "/etc/hosts").stdout.splitlines()
    # dockerd writes them now in this order, now in the other.
    assert {f"{address}\tx-y {database[:12]} db", f"{address}\tdb {database[:12]}"} <= set(hosts)
    variables = daemon.docker("exec", "client", "env").stdout.splitlines()
    assert [line.replace(address, "IP") for line in variables if line.startswith("X_Y_")] == [
        "X_Y_PORT=tcp://IP:80",
        "X_Y_PORT_90_TCP_START=tcp://IP:90",
        "X_Y_PORT_90_TCP_ADDR=IP",
        "X_Y_PORT_90_TCP_PROTO=tcp",
        "X_Y_PORT_90_TCP_PORT_START=90",
        "X_Y_PORT_90_TCP_END=tcp://IP:92",
        "X_Y_PORT_90_TCP_PORT_END=92",
        "X_Y_PORT_80_TCP=tcp://IP:80",
        "X_Y_PORT_80_TCP_ADDR=IP",
        "X_Y_PORT_80_TCP_PORT=80",
        "X_Y_PORT_80_TCP_PROTO=tcp",
        "X_Y_PORT_81_UDP=udp://IP:81",
        "X_Y_PORT_81_UDP_ADDR=IP",
        "X_Y_PORT_81_UDP_PORT=81",
        "X_Y_PORT_81_UDP_PROTO=udp",
        "X_Y_PORT_90_TCP=tcp://IP:90",
        "X_Y_PORT_90_TCP_PORT=90",
        "X_Y_PORT_91_TCP=tcp://IP:91",
        "X_Y_PORT_91_TCP_ADDR=IP",
        "X_Y_PORT_91_TCP_PORT=91",
        "X_Y_PORT_91_TCP_PROTO=tcp",
        "X_Y_PORT_92_TCP=tcp://IP:92",
        "X_Y_PORT_92_TCP_ADDR=IP",
        "X_Y_PORT_92_TCP_PORT=92",
        "X_Y_PORT_92_TCP_PROTO=tcp",
        "X_Y_NAME=/client/x-y",
        "X_Y_ENV_FOO=1",
    ]
    links = json.loads(daemon.docker("inspect", "-f={{json .HostConfig.Links}}", "client").stdout)
    assert sorted(links) == ["/db:/client/db", "/db:/client/x-y"]
    names = daemon.docker("ps", "--no-trunc", "--format={{.Names}}", "--filter=name=db").stdout.strip()
    assert sorted(names.split(",")) == ["client/db", "client/x-y", "db"]
    # One that starts again elsewhere is found where it is.
    daemon.docker("stop", "-t0", "db")
    sleeper(daemon, "in-between")
    daemon.docker("start", "db")
    moved = networks_of(daemon, "db")["bridge"]["IPAddress"]
    assert moved != address
    hosts = daemon.docker("exec", "client", "cat", "/etc/hosts").stdout
    assert f"{moved}\tx-y {database[:12]} db\n" in hosts
    assert address not in hosts
    daemon.docker("rm", "--link", "client/x-y")
    assert json.loads(daemon.docker("inspect", "-f={{json .HostConfig.Links}}", "client").stdout) == ["/db:/client/db"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--link=nosuch:x"], "could not get container for nosuch: No such container: nosuch"),
        (["--link=ended:x"], "Cannot link to a non running container: /ended AS /refused/x"),
        (["--link=apart:x"], "Cannot link to /apart, as it does not belong to the default network"),
        (["--network=host", "--link=ended:x"], "host type networking can't be used with links"),
    ],
)
def test_links_that_cannot_be(daemon: Daemon, options: list[str], words: str) -> None:
    daemon.docker("run", "--name=ended", "busybox", "true")
    daemon.docker("network", "create", "named")
    sleeper(daemon, "apart", "--network=named")
    said = refused(daemon, "run", "--name=refused", *options, "busybox", "true")
    # Some CLIs ask no engine about links on the host's network.
    assert words in said or "links are only supported for user-defined networks" in said


def test_a_container_on_the_host_s_own_network(daemon: Daemon) -> None:
    """The course's macvlan, word for word; `eth0` is the host's link to the world."""
    options = ("-d", "macvlan", "--subnet=172.16.0.0/16", "--gateway=172.16.0.1", "-o", "parent=eth0")
    daemon.docker("network", "create", *options, "public")
    assert "public    macvlan   local" in daemon.docker("network", "ls").stdout
    container = daemon.docker("run", "-d", "--net=public", "alpine", "sleep", "3600").stdout.strip()
    shown = daemon.docker("exec", container, "ip", "a").stdout
    assert "eth0@if" in shown
    assert "inet 172.16.0.2/16" in shown
    assert "link/ether 02:42:ac:10:00:02" in shown
    assert "is already using parent interface eth0" in refused(
        daemon, "network", "create", "-d", "macvlan", "-o", "parent=eth0", "--subnet=172.26.0.0/16", "again"
    )
    assert "has active endpoints" in refused(daemon, "network", "rm", "public")
    daemon.docker("rm", "-f", container)
    daemon.docker("network", "rm", "public")


def test_another_container_is_reached_by_its_name(daemon: Daemon) -> None:
    """The course's database: published for the host, and found by name on a network that both are in."""
    daemon.docker("network", "create", "NAME")
    serve = "while :; do echo ready | nc -l -p 3306; done"
    daemon.docker("run", "--name=my-mysql", "-d", "-p=3306:3306", "--network=NAME", "busybox", "sh", "-c", serve)
    fetch = "for i in 1 2 3 4 5 6 7 8 9; do nc -w3 my-mysql 3306 < /dev/null && exit; sleep 0.2; done"
    assert daemon.docker("run", "--rm", "--network=NAME", "busybox", "sh", "-c", fetch).stdout == "ready\n"
    ports = daemon.docker("ps", "--format={{.Ports}}", "--filter=name=my-mysql").stdout
    assert ports.replace(":::", "[::]:") == "0.0.0.0:3306->3306/tcp, [::]:3306->3306/tcp\n"  # CLIs before 28 say :::


def test_a_port_of_a_protocol_that_the_kernel_lacks(daemon: Daemon) -> None:
    """Without SCTP both say that it is not supported; then nothing of the container's network is there."""
    started = daemon.docker(
        "run", "-d", "--name=assoc", "-p=8097:80/sctp", "-p=8098:80", "busybox", "sleep", "9", check=False
    )
    if started.returncode == 0:
        assert "0.0.0.0:8097->80/sctp" in daemon.docker("ps", "--format={{.Ports}}").stdout
        return
    assert started.returncode == 125
    assert "sctp" in started.stderr.lower() or "protocol not supported" in started.stderr
    assert networks_of(daemon, "assoc")["bridge"]["EndpointID"] == ""
    wait_until(lambda: not daemon.links(), what="its links to go")
    daemon.docker("rm", "assoc")
    sleeper(daemon, "after", "-p=8098:80")


def test_a_vlan_on_a_kernel_without(daemon: Daemon) -> None:
    options = ("-d=macvlan", "-o=parent=eth0.10", "--subnet=172.27.0.0/16")
    made = daemon.docker("network", "create", *options, "tagged", check=False)
    there = "eth0.10" in daemon.namespace.run("ip", "-brief", "link").stdout
    if made.returncode == 0:
        assert there
        daemon.docker("network", "rm", "tagged")
    else:
        assert "failed to create eth0.10 vlan link: operation not supported" in made.stderr
        assert not there
    assert "tagged" not in daemon.docker("network", "ls").stdout
    assert "eth0.10" not in daemon.namespace.run("ip", "-brief", "link").stdout


def test_a_subnet_that_the_host_reaches_otherwise(daemon: Daemon) -> None:
    """Both take it; Havre says what it hides."""
    daemon.namespace.run("ip", "route", "add", "10.79.0.0/16", "via", daemon.namespace.outside)
    try:
        with closing(docker.APIClient(f"unix://{daemon.socket}", version="1.41")) as client:
            pool = docker.types.IPAMPool(subnet="10.79.5.0/24")
            answer = client.create_network("over", ipam=docker.types.IPAMConfig(pool_configs=[pool]))
        assert ("10.79.0.0/16 (eth0)" in answer["Warning"]) is (daemon.kind == "havre")
    finally:
        daemon.namespace.run("ip", "route", "del", "10.79.0.0/16")
