"""What both daemons say when networks and volumes are asked for what cannot be: one table, with the words of either."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from tests.fixtures.daemons import Daemon

NET: Final = "network"
VOL: Final = "volume"
MAKE: Final = (NET, "create")
_SUBNET: Final = "--subnet=10.94.0.0/24"
_OPTION: Final = "-o=com.docker.network."
_TMPFS: Final = ("-o=type=tmpfs", "-o=device=tmpfs")
_INVALID_VOLUME: Final = 'includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are'

_NO_NETWORK: Final = ("network nosuch not found", "No such network: nosuch")
_NO_VOLUME: Final = ("get nosuch: no such volume", "No such volume: nosuch")
"""The engine's words, and what the CLI makes of them before 23.0."""

REFUSED: Final[tuple[tuple[tuple[str, ...], str | tuple[str, ...]], ...]] = (
    # subnets
    ((*MAKE, "--subnet=10.92.5.0/24", "x"), "Pool overlaps with other one on this address space"),
    ((*MAKE, "--subnet=10.0.0.0/8", "x"), "Pool overlaps with other one on this address space"),
    ((*MAKE, "--subnet=0.0.0.0/0", "x"), "Pool overlaps with other one on this address space"),
    ((*MAKE, "--subnet=10.94.0.0", "x"), "invalid CIDR address: 10.94.0.0"),
    ((*MAKE, "--subnet=10.94.0.0/33", "x"), "invalid CIDR address: 10.94.0.0/33"),
    ((*MAKE, "--subnet=abc", "x"), "invalid CIDR address: abc"),
    ((*MAKE, _SUBNET, "--gateway=10.95.0.1", "x"), "no matching subnet for gateway 10.95.0.1"),
    ((*MAKE, _SUBNET, "--gateway=10.94.0.0", "x"), "failed to allocate gateway (10.94.0.0): Address already in use"),
    ((*MAKE, _SUBNET, "--gateway=10.94.0.255", "x"), "failed to allocate gateway (10.94.0.255): Address already in"),
    ((*MAKE, "--gateway=10.94.0.1", "x"), "every ip-range or gateway must have a corresponding subnet"),
    ((*MAKE, _SUBNET, "--ip-range=10.95.0.0/25", "x"), "no matching subnet for range 10.95.0.0/25"),
    ((*MAKE, _SUBNET, "--aux-address=a=10.95.0.1", "x"), "no matching subnet for aux-address 10.95.0.1"),
    (
        (*MAKE, _SUBNET, "--aux-address=a=10.94.0.5", "--aux-address=b=10.94.0.5", "x"),
        ":10.94.0.5): Address already in use",
    ),
    (
        (*MAKE, _SUBNET, "--gateway=10.94.0.5", "--aux-address=b=10.94.0.5", "x"),
        "failed to allocate secondary ip address (b:10.94.0.5): Address already in use",
    ),
    # drivers and options
    ((*MAKE, "-d=nosuch", "x"), 'plugin "nosuch" not found'),
    ((*MAKE, "--ipam-driver=nosuch", "x"), '"nosuch" not found'),
    ((*MAKE, "-d=host", "x"), 'only one instance of "host" network is allowed'),
    ((*MAKE, "-d=null", "x"), 'only one instance of "null" network is allowed'),
    (
        (*MAKE, f"{_OPTION}bridge.enable_icc=perhaps", "x"),
        "failed to parse com.docker.network.bridge.enable_icc value: perhaps (",
    ),
    ((*MAKE, f"{_OPTION}driver.mtu=abc", "x"), "failed to parse com.docker.network.driver.mtu value: abc ("),
    ((*MAKE, f"{_OPTION}driver.mtu=-5", "x"), "invalid MTU number: -5"),
    (
        (*MAKE, f"{_OPTION}bridge.host_binding_ipv4=abc", "x"),
        "failed to parse com.docker.network.bridge.host_binding_ipv4 value: abc (",
    ),
    ((*MAKE, f"{_OPTION}bridge.name=eth0", "x"), "existing interface eth0 is not a bridge"),
    ((*MAKE, f"{_OPTION}bridge.name=lo", "x"), "existing interface lo is not a bridge"),
    ((*MAKE, "--scope=swarm", "x"), ""),
    ((*MAKE, "--ingress", "x"), "Ingress"),
    # macvlan
    (
        (*MAKE, "-d=macvlan", "-o=parent=nosuch", "x"),
        "invalid subinterface vlan name nosuch, example formatting is eth0",
    ),
    ((*MAKE, "-d=macvlan", "-o=parent=nosuch.10", "x"), "was not found on the host: nosuch"),
    ((*MAKE, "-d=macvlan", "-o=parent=eth0.5000", "x"), "vlan id must be between 1-4094, received: 5000"),
    ((*MAKE, "-d=macvlan", "-o=parent=lo", "x"), "loopback interface is not a valid macvlan parent link"),
    ((*MAKE, "-d=macvlan", "-o=parent=eth0", "-o=macvlan_mode=x", "x"), "requested macvlan mode 'x' is not valid"),
    # names that are taken, or for ever
    *(
        ((*MAKE, name, "x")[:3], f"operation is not permitted on predefined {name}")
        for name in ("bridge", "host", "none")
    ),
    ((*MAKE, "taken"), "network with name taken already exists"),
    *(
        ((NET, "rm", name), f"{name} is a pre-defined network and cannot be removed")
        for name in ("bridge", "host", "none")
    ),
    ((NET, "rm", "taken"), "has active endpoints"),
    ((NET, "rm", "nosuch"), _NO_NETWORK),
    ((NET, "inspect", "nosuch"), _NO_NETWORK),
    # who may join what
    ((NET, "connect", "host", "runs"), "container cannot be disconnected from host network or connected to host"),
    (
        (NET, "connect", "none", "runs"),
        "container cannot be connected to multiple networks with one of the networks in",
    ),
    (
        (NET, "connect", "bridge", "nonet"),
        "container cannot be connected to multiple networks with one of the networks",
    ),
    ((NET, "connect", "taken", "onhost"), "container sharing network namespace with another container or host cannot"),
    ((NET, "connect", "taken", "shares"), "container sharing network namespace with another container or host cannot"),
    ((NET, "connect", "host", "shares"), "container sharing network namespace with another container or host cannot"),
    ((NET, "disconnect", "host", "onhost"), "container cannot be disconnected from host network"),
    ((NET, "disconnect", "taken", "shares"), "is not connected to network taken"),
    ((NET, "disconnect", "plain", "runs"), "is not connected to network plain"),
    ((NET, "disconnect", "nosuch", "runs"), "network nosuch not found"),
    ((NET, "disconnect", "taken", "nosuch"), "No such container: nosuch"),
    ((NET, "connect", "nosuch", "runs"), "network nosuch not found"),
    ((NET, "connect", "taken", "nosuch"), "No such container: nosuch"),
    ((NET, "connect", "bridge", "runs"), "endpoint with name runs already exists in network bridge"),
    ((NET, "connect", "taken", "onetaken"), "endpoint with name onetaken already exists in network taken"),
    # addresses
    *(
        ((NET, "connect", f"--ip={address}", "taken", "runs"), "Address already in use")
        for address in ("10.92.0.5", "10.92.0.1", "10.92.0.0", "10.92.255.255")
    ),
    ((NET, "connect", "--ip=10.99.0.1", "taken", "runs"), "It does not belong to any of this network's subnets"),
    ((NET, "connect", "--ip=abc", "taken", "runs"), "Invalid IPv4 address: abc"),
    ((NET, "connect", "--link-local-ip=abc", "taken", "runs"), "Invalid link-local IP address: [abc]"),
    ((NET, "connect", "--ip=10.97.0.9", "plain", "runs"), "connecting to networks with user configured subnets"),
    ((NET, "connect", "--ip=172.17.0.9", "bridge", "alone"), "supported on user defined networks only"),
    ((NET, "connect", "--alias=a", "bridge", "alone"), "network-scoped alias is supported only for containers in user"),
    (("run", "--rm", "--net=taken", "--ip=10.92.0.5", "busybox", "true"), "Address already in use"),
    (("run", "--rm", "--net=nosuch", "busybox", "true"), "network nosuch not found"),
    (("run", "--rm", "--net=container:nosuch", "busybox", "true"), "No such container: nosuch"),
    (("run", "--rm", "--net=container:ended", "busybox", "true"), "cannot join network of a non running container"),
    # filters
    ((NET, "prune", "-f", "--filter=nosuch=x"), "nvalid filter 'nosuch'"),
    ((NET, "prune", "-f", "--filter=dangling=true"), "nvalid filter 'dangling'"),
    ((NET, "prune", "-f", "--filter=until=1h", "--filter=until=2h"), "more than one until filter specified"),
    ((NET, "ls", "--filter=nosuch=x"), "nvalid filter 'nosuch'"),
    ((NET, "ls", "--filter=type=nosuch"), "nvalid filter: 'type'='nosuch'"),
    ((NET, "ls", "--filter=dangling=perhaps"), 'invalid value for filter \'dangling\', must be "true" (or "1")'),
    # volumes
    ((VOL, "rm", "used"), "remove used: volume is in use - ["),
    ((VOL, "rm", "-f", "used"), "remove used: volume is in use - ["),
    ((VOL, "rm", "nosuch"), _NO_VOLUME),
    ((VOL, "inspect", "nosuch"), _NO_VOLUME),
    ((VOL, "create", "-d=nosuch", "xx"), 'create xx: error looking up volume plugin nosuch: plugin "nosuch" not found'),
    ((VOL, "create", "-d=nosuch", "used"), "create used: error looking up volume plugin nosuch"),
    ((VOL, "create", "-o=nosuch=1", "xx"), "invalid option: "),
    ((VOL, "create", "-o=type=tmpfs", "xx"), 'missing required option: "device"'),
    ((VOL, "create", "-o=device=tmpfs", "xx"), 'missing required option: "type"'),
    ((VOL, "create", "x"), "create x: volume name is too short, names should be at least two alphanumeric characters"),
    *(((VOL, "create", name), f'create {name}: "{name}" {_INVALID_VOLUME}') for name in ("a b", "a/b", ".xx", "é1")),
    ((VOL, "create", "x" * 300), "too long"),
    ((VOL, "ls", "--filter=nosuch=x"), "nvalid filter 'nosuch'"),
    ((VOL, "ls", "--filter=dangling=perhaps"), "nvalid filter 'dangling=[perhaps]'"),
    ((VOL, "prune", "-f", "--filter=nosuch=x"), "nvalid filter 'nosuch'"),
    ((VOL, "prune", "-f", "--filter=all=perhaps"), "nvalid filter 'all"),
    (("run", "--rm", "-v=badmount:/v", "busybox", "true"), "failed to mount local volume: mount /nosuch"),
)
"""What is asked, and words of the answer, any of them."""

ANSWERED: Final[tuple[tuple[tuple[str, ...], set[str]], ...]] = (
    ((NET, "ls", "--format={{.Name}}", "--filter=name=^ta"), {"taken"}),
    ((NET, "ls", "--format={{.Name}}", "--filter=name=n$"), {"taken", "plain"}),
    ((NET, "ls", "--format={{.Name}}", "--filter=driver=host", "--filter=driver=null"), {"host", "none"}),
    ((NET, "ls", "-q", "--filter=driver=nosuch"), set()),
    ((NET, "ls", "-q", "--filter=scope=swarm"), set()),
    ((NET, "prune", "-f", "--filter=label=nosuch"), set()),
    ((NET, "prune", "-f", "--filter=until=1h"), set()),
    ((VOL, "ls", "-q", "--filter=name=^use"), {"used"}),
    ((VOL, "ls", "-q", "--filter=name=use|opt"), {"used", "opts"}),
    ((VOL, "ls", "-q", "--filter=driver=nosuch"), set()),
    ((VOL, "rm", "-f", "nosuch"), {"nosuch"}),
    ((VOL, "create", "used"), {"used"}),
    ((VOL, "create", *_TMPFS, "opts"), {"opts"}),
)
"""What is asked, and the answer's lines."""


def test_pruning_volumes(daemon: Daemon, busybox: str) -> None:
    """Those that nobody has: by itself only those without a name (dockerd 20.10 takes all), with `all` every one."""
    daemon.docker(VOL, "create", "named")
    daemon.docker("run", "--name=had", "-v=/anonymous", busybox, "true")
    kept = set(daemon.docker(VOL, "ls", "-q").stdout.split())
    daemon.docker(VOL, "prune", "-f", "--filter=label=nosuch")
    assert set(daemon.docker(VOL, "ls", "-q").stdout.split()) == kept
    daemon.docker("rm", "had")  # its volume stays, and nobody has it
    daemon.docker(VOL, "prune", "-f")
    left = set(daemon.docker(VOL, "ls", "-q").stdout.split())
    assert left == ({"named"} if daemon.kind == "havre" else set())
    if daemon.kind == "havre":
        assert "named" in daemon.docker(VOL, "prune", "-f", "--filter=all=1").stdout
        assert daemon.docker(VOL, "ls", "-q").stdout == ""


@pytest.fixture(scope="module")
def furnished(daemon: Daemon) -> Iterator[Daemon]:
    """Networks, volumes and containers of every kind that the table speaks of."""
    run = ("run", "-d")
    sleep = ("busybox", "sleep", "1000")
    for words in (
        ("pull", "-q", "busybox"),
        (NET, "create", "--subnet=10.92.0.0/16", "taken"),
        (NET, "create", "plain"),
        (*run, "--name=runs", *sleep),
        (*run, "--name=onetaken", "--net=taken", "--ip=10.92.0.5", *sleep),
        (*run, "--name=alone", "--net=plain", *sleep),
        (*run, "--name=onhost", "--net=host", *sleep),
        (*run, "--name=nonet", "--net=none", *sleep),
        (*run, "--name=shares", "--net=container:runs", *sleep),
        ("run", "--name=ended", "busybox", "true"),
        (VOL, "create", "used"),
        (VOL, "create", *_TMPFS, "opts"),
        (VOL, "create", "-o=type=none", "-o=device=/nosuch", "-o=o=bind", "badmount"),
        (*run, "--name=user", "-v=used:/v", *sleep),
    ):
        daemon.docker(*words)
    yield daemon
    daemon.remove_everything()
    daemon.docker(VOL, "rm", "used", "opts", "badmount")
    daemon.docker(NET, "rm", "taken", "plain")


@pytest.mark.timeout(300)
def test_words(furnished: Daemon) -> None:
    """Each refusal has its words and changes nothing."""
    wrong = []
    before = furnished.namespace.run("ip", "-o", "link").stdout.count("\n")
    for arguments, words in REFUSED:
        done = furnished.docker(*arguments, check=False)
        expected = (words,) if isinstance(words, str) else words
        if done.returncode == 0 or not any(each in done.stderr for each in expected):
            wrong.append(f"{' '.join(arguments)[:100]}: {words!r} is not in {done.stderr[-300:]!r}")
    for arguments, lines in ANSWERED:
        done = furnished.docker(*arguments, check=False)
        if done.returncode or set(done.stdout.split()) != lines:
            wrong.append(f"{' '.join(arguments)}: {done.stdout!r} {done.stderr!r} is not {lines}")
    assert not wrong, "\n".join(wrong)
    assert furnished.namespace.run("ip", "-o", "link").stdout.count("\n") == before
