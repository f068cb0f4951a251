"""Overlay networks: three engines on hosts of their own, joined by a wire and a Redis."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.cluster import Cluster, ClusterEngine


@pytest.fixture(scope="module")
def cluster(image_cache: Path) -> Iterator[Cluster]:
    with Cluster(image_cache, hosts=3) as made:
        yield made


@pytest.fixture
def sea(cluster: Cluster) -> Iterator[str]:
    """An overlay network, known to every engine; gone from all of them afterwards."""
    cluster.engines[0].docker("network", "create", "--driver", "overlay", "sea")
    for engine in cluster.engines:
        _until(lambda engine=engine: _network(engine, "sea") is not None, "the network to be known everywhere")
    yield "sea"
    for engine in cluster.engines:
        names = engine.docker("ps", "--all", "--quiet").stdout.split()
        if names:
            engine.docker("rm", "--force", *names)
    cluster.engines[0].docker("network", "rm", "sea")
    for engine in cluster.engines:
        _until(lambda engine=engine: _network(engine, "sea") is None, "the network to go everywhere")


def _until(true: Callable[[], bool], what: str, *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.1)


def _network(engine: ClusterEngine, name: str) -> dict[str, Any] | None:
    done = engine.docker("network", "inspect", name, check=False)
    return json.loads(done.stdout)[0] if done.returncode == 0 else None


def _run(engine: ClusterEngine, name: str, *command: str) -> str:
    """A container in `sea`; its address there."""
    engine.docker("run", "--detach", "--name", name, "--network", "sea", "busybox", *(command or ("sleep", "1000")))
    shown = engine.docker("inspect", "--format", "{{.NetworkSettings.Networks.sea.IPAddress}}", name)
    return shown.stdout.strip()


def _pings(engine: ClusterEngine, name: str, target: str) -> bool:
    return engine.docker("exec", name, "ping", "-c1", "-W2", target, check=False).returncode == 0


def _reached(engine: ClusterEngine, name: str, target: str) -> None:
    _until(lambda: _pings(engine, name, target), f"{target} to answer {name}")


def test_one_network_on_every_host(cluster: Cluster, sea: str) -> None:
    # Clients, and the pages, offer what info names.
    assert "overlay" in cluster.engines[0].docker("info", "-f", "{{.Plugins.Network}}").stdout
    shown = [_network(engine, sea) for engine in cluster.engines]
    assert len({json.dumps([each["Id"], each["IPAM"], each["Options"]]) for each in shown if each}) == 1
    assert all(each and each["Scope"] == "global" and each["Driver"] == "overlay" for each in shown)


def test_containers_of_all_hosts_reach_each_other(cluster: Cluster, sea: str) -> None:
    addresses = [_run(engine, f"ship{number}") for number, engine in enumerate(cluster.engines)]
    assert len(set(addresses)) == 3, "no address may be given twice"
    for number, engine in enumerate(cluster.engines):
        for address in addresses:
            _reached(engine, f"ship{number}", address)


def test_names_of_other_hosts(cluster: Cluster, sea: str) -> None:
    one, two, _ = cluster.engines
    two.docker(
        "run", "-d", "--name", "harbour", "--network", sea, "--network-alias", "quay", "busybox", "sleep", "1000"
    )
    _run(one, "ship0")
    for name in ("harbour", "quay", "harbour.sea"):
        _reached(one, "ship0", name)
    two.docker("rm", "--force", "harbour")
    _until(lambda: not _pings(one, "ship0", "harbour"), "the name to go")


def test_no_frame_is_flooded(cluster: Cluster, sea: str) -> None:
    one, two, _ = cluster.engines
    _run(one, "ship0")
    _run(two, "ship1")
    link = f"vx-{_network(one, sea)['Id'][:12]}"  # type: ignore[index]
    table = one.namespace.run("bridge", "fdb", "show", "dev", link).stdout
    assert "dst 192.0.2.11" in table
    assert "00:00:00:00:00:00" not in table, "an entry for every stranger"
    assert one.docker("exec", "ship0", "ping", "-c1", "-W1", "10.0.1.250", check=False).returncode != 0


def test_a_published_port_is_that_of_its_host(cluster: Cluster, sea: str) -> None:
    one, two, _ = cluster.engines
    serve = ("sh", "-c", "mkdir /w && echo ahoy >/w/index.html && httpd -f -p 80 -h /w")
    two.docker("run", "--detach", "--name", "harbour", "--network", sea, "--publish", "8088:80", "busybox", *serve)
    fetch = ["busybox", "wget", "-q", "-O-", "http://192.0.2.11:8088/"]
    _until(lambda: one.namespace.run(*fetch, check=False).stdout == "ahoy\n", "the port of the other host to answer")


def test_a_wanted_address_is_given_once(cluster: Cluster) -> None:
    one, two, _ = cluster.engines
    one.docker("network", "create", "-d", "overlay", "--subnet", "10.77.0.0/24", "fixed")
    try:
        _until(lambda: _network(two, "fixed") is not None, "the network to be known")
        words = ("run", "--detach", "--rm", "--network", "fixed", "--ip", "10.77.0.9")
        one.docker(*words, "--name", "first", "busybox", "sleep", "1000")
        done = two.docker(*words, "--name", "second", "busybox", "sleep", "1000", check=False)
        assert done.returncode == 125
        assert "Address already in use" in done.stderr
        refused = one.docker("network", "rm", "fixed", check=False)
        assert "has active endpoints" in refused.stderr
        assert "has active endpoints" in two.docker("network", "rm", "fixed", check=False).stderr
        one.docker("rm", "--force", "first")
        two.docker(*words, "--name", "second", "busybox", "sleep", "1000")
        two.docker("rm", "--force", "second")
    finally:
        two.docker("network", "rm", "fixed")


def test_networks_made_at_once_do_not_clash(cluster: Cluster) -> None:

    names = [f"at-once-{number}" for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(
            pool.map(
                lambda each: cluster.engines[each[0] % 3].docker("network", "create", "-d", "overlay", each[1]),
                enumerate(names),
            )
        )
    one = cluster.engines[0]
    _until(lambda: all(_network(one, name) for name in names), "every network to be known")
    found = [_network(one, name) for name in names]
    assert len({each["IPAM"]["Config"][0]["Subnet"] for each in found if each}) == len(names)
    vni = "com.docker.network.driver.overlay.vxlanid_list"
    assert len({each["Options"][vni] for each in found if each}) == len(names)
    one.docker("network", "rm", *names)


def test_a_daemon_that_was_killed_finds_its_cluster_again(cluster: Cluster, sea: str) -> None:
    one, two, three = cluster.engines
    first, second = _run(one, "ship0"), _run(two, "ship1")
    one.kill()
    assert _pings(two, "ship1", first), "containers outlive their daemon"
    third = _run(three, "ship2")
    one.start()
    for target in (second, third):
        _reached(one, "ship0", target)


@pytest.mark.slow
def test_what_runs_goes_on_without_the_store(cluster: Cluster, sea: str) -> None:
    one, two, three = cluster.engines
    first, second = _run(one, "ship0"), _run(two, "ship1")
    _reached(one, "ship0", second)
    cluster.store.stop()
    try:
        assert _pings(one, "ship0", second)
        assert _pings(two, "ship1", first)
        words = ("run", "--name", "late", "--network", sea, "busybox", "true")
        refused = three.docker(*words, check=False)
        assert refused.returncode == 125
        assert "HAVRE_CLUSTER_URL" in refused.stderr
        three.docker("rm", "--force", "late", check=False)
        two.docker("rm", "--force", "ship1")
    finally:
        cluster.store.start()
    # The new store knows nothing: the engines tell it, and no address is given twice. One that was just found away is
    # not asked again for a moment.
    words = ("run", "--detach", "--name", "ship2", "--network", sea, "busybox", "sleep", "1000")

    def joined() -> bool:
        done = three.docker(*words, check=False)
        assert done.returncode == 0 or "HAVRE_CLUSTER_URL" in done.stderr, done.stderr
        if done.returncode:
            three.docker("rm", "--force", "ship2")
        return done.returncode == 0

    _until(joined, "the store to be asked again")
    third = three.docker("inspect", "--format", "{{.NetworkSettings.Networks.sea.IPAddress}}", "ship2").stdout.strip()
    assert third != first
    _reached(one, "ship0", third)
    assert _pings(three, "ship2", first)


def test_a_partition_heals(cluster: Cluster, sea: str) -> None:
    one, two, three = cluster.engines
    first, second = _run(one, "ship0"), _run(two, "ship1")
    _reached(one, "ship0", second)
    cluster.cut(0, off=True)
    try:
        assert not _pings(two, "ship1", first)
        third = _run(three, "ship2")
        _reached(two, "ship1", third)
    finally:
        cluster.cut(0, off=False)
    _reached(one, "ship0", third)
    _reached(two, "ship1", first)


@pytest.mark.slow
def test_a_node_that_dies_expires(cluster: Cluster, sea: str) -> None:
    one, _, three = cluster.engines
    _run(one, "ship0")
    _run(three, "ship2")

    def known() -> bool:
        return one.docker("exec", "ship0", "nslookup", "ship2", check=False).returncode == 0

    _until(known, "the name to be known")
    three.kill()
    cluster.cut(2, off=True)
    try:
        _until(lambda: not known(), "the dead node's names to go", seconds=60)
    finally:
        cluster.cut(2, off=False)
        three.start()
    _reached(one, "ship0", "ship2")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_gigabyte_arrives_whole(cluster: Cluster, sea: str) -> None:
    one, two, _ = cluster.engines
    size = 1 << 30
    address = _run(two, "harbour", "sh", "-c", "sleep 1000 | nc -l -p 9000 | sha256sum >/sum")
    _run(one, "ship0")
    _reached(one, "ship0", address)
    send = f"yes ahoy | head -c {size} | nc {address} 9000"
    one.docker("exec", "ship0", "sh", "-c", send, timeout=240)
    _until(lambda: two.docker("exec", "harbour", "cat", "/sum").stdout != "", "the sum to be made")
    line = b"ahoy\n" * (1 << 16)
    expected = hashlib.sha256()
    for _ in range(size // len(line)):
        expected.update(line)
    expected.update(line[: size % len(line)])
    assert two.docker("exec", "harbour", "cat", "/sum").stdout.split()[0] == expected.hexdigest()
