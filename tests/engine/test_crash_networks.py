"""The daemon is killed in the middle of work on networks and volumes: no link, address, rule, row, lease, namespace or
directory is left that nobody has, and what is there works."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from engine.containers.model import Status
from engine.engine import Engine
from engine.kernel import netns
from engine.networks.drivers.bridge import bridge_name
from engine.networks.interfaces import gateway_endpoint
from engine.networks.links import interface_name
from engine.networks.model import Driver, Endpoint, Network
from tests.conftest import needs_root
from tests.fixtures.crash_networks import OPERATIONS, PORTS
from tests.fixtures.crash_points import Given, Operation
from tests.fixtures.engine_host import EngineHost, engine_host, remove_all, whole
from tests.fixtures.netlab import Lab
from tests.fixtures.processes import wait_until
from tests.fixtures.store import PORT, Store
from tests.fixtures.victims import Victims

KILLS: Final = int(os.environ.get("HAVRE_TEST_CRASH_POINTS", "340"))
"""At most; the points are taken evenly from all that there are. Each takes about two seconds."""
_AGREED: Final = 12.0
"""Seconds in which the store has been told of what is here."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"), address=Lab.inside)


@pytest.fixture(scope="module")
def victims(store: Store) -> Iterator[Victims]:
    needs_root()
    with engine_host(store=f"redis://{Lab.inside}:{PORT}/0") as host, store:
        with host.engine():
            pass
        victims = Victims(
            host,
            OPERATIONS,
            module="tests.fixtures.crash_networks",
            clean=_clean,
            holds=lambda host, engine, operation, given: _holds(host, engine, operation, given, store),
        )
        try:
            yield victims
        finally:
            victims.close()
            with host.engine() as engine:
                _clean(engine)


@pytest.mark.slow
@pytest.mark.timeout(600 + 20 * KILLS)
def test_killed_at_every_point(victims: Victims) -> None:
    print(victims.killed_evenly(KILLS))


def test_killed_in_the_middle(victims: Victims) -> None:
    """A point of some operations each, so that the short run notices as well when something has come undone."""
    chosen = []
    for verb in ("connect where ports move", "remove overlay"):
        points = victims.points_of(verb)
        middle = len(points) // 2
        chosen.append((verb, middle, points[middle - 1]))
    # Between the link and the alias by which it is known to be the engine's.
    points = victims.points_of("create named bridge")
    _, second, *_ = (number for number, name in enumerate(points, start=1) if name.startswith("before netlink"))
    chosen.append(("create named bridge", second, points[second - 1]))
    kills, violations = victims.killed(chosen)
    assert violations == []
    assert kills


def _holds(host: EngineHost, engine: Engine, operation: Operation, given: Given, store: Store) -> None:
    """All agrees with the records, the operation is done or not, what is there works, and nothing stays behind."""
    whole(host, engine)
    _store_agrees(engine, store)  # a network that no other node was told of goes
    assert operation.after(engine, given), "neither as before nor as after"
    _networks_agree(engine)
    _volumes_agree(host, engine)
    for container in engine.containers.list(all=True):
        if container.state.status is not Status.RUNNING:
            engine.containers.start(container.id)
    whole(host, engine)
    _networks_agree(engine)
    _volumes_agree(host, engine)
    _clean(engine)
    wait_until(lambda: not host.traces(), what=f"nothing to be left but {host.traces()}")
    wait_until(lambda: _links() == _links_of(engine), what="links to go")
    _networks_agree(engine)
    assert not list((host.config.root / "volumes").iterdir())
    _store_agrees(engine, store)
    assert store.ask("HLEN", "havre:vnis") == "0"
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("0.0.0.0", PORTS[0].host_port))  # nobody holds it any more


def _clean(engine: Engine) -> None:
    remove_all(engine)
    for network in engine.networks.list({"type": ["custom"]}):
        engine.networks.remove(network.id)
    for volume in engine.volumes.list():
        engine.volumes.remove(volume.name)


def _networks_agree(engine: Engine) -> None:
    # A network that the cluster does not have is let go of while the engine already serves.
    wait_until(lambda: not engine.database.query("SELECT 1 FROM networks WHERE retired = 1"), what="removals to end")
    networks = {network.id: network for network in engine.networks.list()}
    endpoints = [endpoint for network_id in networks for endpoint in engine.networks.endpoints(network_id)]
    running = {each.id for each in engine.containers.list(all=True) if each.state.status is Status.RUNNING}
    rows = engine.database.query
    assert {row["id"] for row in rows("SELECT id FROM networks")} == set(networks), "a network is half removed"
    for table in ("endpoints", "published_ports", "resolvers"):
        found = {row["container_id"] for row in rows(f"SELECT container_id FROM {table}")}
        assert found <= running, f"rows in {table} of containers that do not run"
    wait_until(lambda: _links() == _links_of(engine), seconds=3, what=f"links to be {_links_of(engine)}: {_links()}")
    _addresses_agree(networks.values())
    _firewall_agrees(engine, list(networks.values()), endpoints)
    for container_id in running:
        _inside_agrees(engine, container_id, list(networks.values()))


def _bridged(network: Network) -> bool:
    return network.driver in (Driver.BRIDGE, Driver.OVERLAY)


def _links() -> set[str]:
    return {name for _, name in socket.if_nameindex()}


def _links_of(engine: Engine) -> set[str]:
    """The links that there must be on the host, by the engine's word."""
    names = {"lo", "lan0", "eth0"}
    for network in engine.networks.list():
        if _bridged(network):
            names.add(bridge_name(network))
            names |= {interface_name(endpoint.id) for endpoint in engine.networks.endpoints(network.id)}
        if network.driver is Driver.OVERLAY:
            names.add(f"vx-{network.id[:12]}")
        if network.driver is Driver.MACVLAN and "parent" not in network.options:
            names.add(f"dm-{network.id[:12]}")
    return names


def _addresses_agree(networks: Any) -> None:
    expected = {
        bridge_name(network): {f"{pool.gateway}/{pool.subnet.prefixlen}" for pool in network.usable_pools}
        for network in networks
        if _bridged(network)
    }
    assert {name: _addresses(name) for name in expected} == expected


def _addresses(name: str) -> set[str]:
    shown = json.loads(_run("ip", "-j", "address", "show", "dev", name))
    return {
        f"{each['local']}/{each['prefixlen']}" for row in shown for each in row["addr_info"] if each["scope"] != "link"
    }


def _firewall_agrees(engine: Engine, networks: list[Network], endpoints: list[Endpoint]) -> None:
    listed = json.loads(_run("nft", "-j", "list", "table", "inet", engine.config.instance))["nftables"]
    found = {
        part["name"]: {_flat(element) for element in part.get("elem", ())}
        for each in listed
        for kind, part in each.items()
        if kind in ("set", "map")
    }
    bridges = [network for network in networks if _bridged(network)]
    leading = {
        container_id: gateway_endpoint([each for each in endpoints if each.container_id == container_id], networks)
        for container_id in {each.container_id for each in endpoints}
    }
    published: dict[str, set[str]] = {"published": set(), "published6": set()}
    for container_id, endpoint in leading.items():
        for port in engine.networks.sandbox(container_id).ports:  # type: ignore[union-attr]
            assert endpoint is not None, "ports that lead nowhere"
            address = endpoint.address6 if ":" in port.host_ip else endpoint.address
            if address is not None:
                name = "published6" if ":" in port.host_ip else "published"
                published[name].add(f"{port.protocol} {port.host_port} {address.ip} {port.container_port}")
    expected = {
        "bridges": {bridge_name(network) for network in bridges},
        "internal": {bridge_name(network) for network in bridges if network.internal},
        **{
            f"inside{family}": {
                f"{pool.subnet} {bridge_name(network)}"
                for network in bridges
                for pool in network.usable_pools
                if pool.subnet.version == version
            }
            for version, family in ((4, ""), (6, "6"))
        },
        **published,
    }
    assert {name: found[name] for name in expected} == expected
    accepted = _run("iptables", "-S", "DOCKER-USER", check=False)
    assert {line.split()[3] for line in accepted.splitlines() if line.endswith("-j ACCEPT")} <= {
        bridge_name(network) for network in bridges
    }, "rules for bridges that are gone"


def _flat(element: Any) -> str:
    """An element of `nft -j` as words."""
    match element:
        case {"prefix": {"addr": address, "len": length}}:
            return f"{address}/{length}"
        case {"concat": parts}:
            return " ".join(map(_flat, parts))
        case {"elem": {"val": value}}:
            return _flat(value)
        case list():
            return " ".join(map(_flat, element))
        case _:
            return str(element)


def _inside_agrees(engine: Engine, container_id: str, networks: list[Network]) -> None:
    """Interfaces, addresses and the default route of a container are those of its endpoints; its files name them."""
    sandbox = engine.networks.sandbox(container_id)
    assert sandbox is not None
    assert sandbox.netns is not None
    wired = [each for each in sandbox.endpoints if each.network_name != "none"]
    shown = json.loads(netns.run_inside(sandbox.netns, lambda: _run("ip", "-j", "address")))
    found = {
        row["ifname"]: {
            f"{each['local']}/{each['prefixlen']}" for each in row["addr_info"] if each["scope"] == "global"
        }
        for row in shown
        if row["ifname"] != "lo"
    }
    assert found == {each.interface: {str(address) for address in each.addresses} for each in wired}
    routes = json.loads(netns.run_inside(sandbox.netns, lambda: _run("ip", "-j", "-4", "route", "show", "default")))
    default = gateway_endpoint(wired, networks)
    assert [route["gateway"] for route in routes] == ([str(default.gateway)] if default is not None else [])
    hosts = Path(engine.containers.get(container_id).log_path).parent / "hosts"
    named = {line.split()[0] for line in hosts.read_text().splitlines() if line.split()}
    assert {str(address.ip) for each in wired for address in each.addresses} <= named, "the hosts file lacks an address"


def _volumes_agree(host: EngineHost, engine: Engine) -> None:
    root = host.config.root / "volumes"
    assert {entry.name for entry in root.iterdir()} == {volume.name for volume in engine.volumes.list()}
    mounted = {
        Path(line.split()[4]).parent.name
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if line.split()[4].startswith(f"{root}/")
    }
    running = {each.id for each in engine.containers.list(all=True) if each.state.status is Status.RUNNING}
    wanted = {
        volume.name
        for volume in engine.volumes.list()
        if volume.options and running & set(engine.volumes.uses().get(volume.name, ()))
    }
    assert mounted == wanted


def _store_agrees(engine: Engine, store: Store) -> None:
    """What the store says of this node is what its rows say, at the latest after a beat."""

    def told() -> dict[str, set[str]]:
        found = {"networks": set(store.ask("HKEYS", "havre:networks").split())}
        for kind in ("leases", "endpoints"):
            found[kind] = set()
            for key in store.ask("KEYS", f"havre:{kind}:*").split():
                found[kind] |= set(store.ask("HKEYS", key).split())
        return found

    def wanted() -> dict[str, set[str]]:
        overlays = [network for network in engine.networks.list() if network.driver is Driver.OVERLAY]
        endpoints = [each for network in overlays for each in engine.networks.endpoints(network.id)]
        node = engine.networks.get("bridge").id
        return {
            "networks": {network.id for network in overlays},
            "leases": {str(each.address.ip) for each in endpoints if each.address is not None},
            "endpoints": {f"{node}/{each.container_id}" for each in endpoints},
        }

    wait_until(lambda: told() == wanted(), seconds=_AGREED, what=f"the store to say {wanted()}, not {told()}")


def _run(*command: str, check: bool = True) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=check).stdout
