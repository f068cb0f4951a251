"""The cluster's store may hold anything, hang, be slow, or be somebody else's: what that does to one engine."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, Final

import pytest

from engine.errors import Conflict, EngineError, InvalidParameter, Unavailable
from engine.networks import records
from engine.networks.cluster.admission import VNI
from engine.networks.cluster.model import Peer
from engine.networks.cluster.store import CHANGED, ClusterStore
from engine.networks.dns.names import Names
from engine.networks.model import Attachment, Driver, Network, Pool
from tests.fixtures.authority import Authority
from tests.fixtures.netlab import Lab, LabService, address
from tests.fixtures.processes import wait_until
from tests.fixtures.store import PORT, SlowStore, Store

OTHER: Final = "ab" * 32
"""Another node's id."""
FAR: Final = Network(
    id="cd" * 32,
    name="far",
    driver=Driver.OVERLAY,
    created=1,
    pools=(Pool(subnet=IPv4Network("10.88.0.0/24"), gateway=IPv4Address("10.88.0.1")),),
    options={VNI: "5000"},
)
PEER: Final = Peer(
    node=OTHER,
    container_id="ef" * 32,
    address=IPv4Address("10.88.0.9"),
    mac="02:42:0a:58:00:09",
    host=IPv4Address(Lab.outside),
    names=("friend",),
)


@pytest.fixture
def store(host: Lab, tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path, address=host.inside) as made:
        yield made


@pytest.fixture
def networks(host: Lab, store: Store) -> Iterator[LabService]:
    service = host.service(store=store.url)
    yield service
    service.close()  # before its store, so that nothing waits


def links() -> set[str]:
    return {name for _, name in socket.if_nameindex()}


def tell(store: Store, network: Network, *peers: Peer) -> None:
    """As another engine would."""
    store.ask("HSET", "havre:networks", network.id, records.write(network))
    for peer in peers:
        store.ask("HSET", f"havre:endpoints:{network.id}", peer.owner, peer.to_json())
    store.ask("ZADD", "havre:nodes", str(int(time.time())), OTHER)
    store.ask("PUBLISH", CHANGED, network.id)


def known(networks: LabService) -> set[str]:
    return {network.name for network in networks.list({"type": ["custom"]})}


def found(networks: LabService, name: str) -> list[str]:
    """The addresses that a container in the network `far` is told for a name."""
    names: Names = networks._resolver.names
    asking = networks.endpoints(FAR.id)
    return [str(each) for each in names.find(name, asking) or ()]


def written(**changes: Any) -> str:
    return records.write(replace(FAR, **changes))


def _doc(**changes: Any) -> str:
    """The document with fields that no network of this program can have."""
    return json.dumps({**json.loads(records.write(FAR)), **changes})


_SUBNETS: Final = ("0.0.0.0/0", "8.0.0.0/8", "127.0.0.0/24", "198.19.0.0/16", "172.17.0.0/24", "224.0.0.0/8")
_DOCUMENTS: Final = {
    "nothing": "",
    "no JSON": "{",
    "a list": "[]",
    "deep": "[" * 50_000,
    "long": json.dumps({"name": "x" * 100_000}),
    "empty": "{}",
    "fields of other kinds": _doc(pools=7, options=[], labels="x"),
    "no numbers": _doc(created="soon"),
    "a time that never is": _doc(created=1 << 80),
    "a bridge of the host": written(driver=Driver.BRIDGE, options={"com.docker.network.bridge.name": "lan0"}),
    "an overlay on a bridge of the host": written(options={VNI: "5000", "com.docker.network.bridge.name": "lan0"}),
    "a macvlan": written(driver=Driver.MACVLAN, options={"parent": "lan0"}),
    "the host's": written(driver=Driver.HOST, name="host2"),
    "another id": written(id="aa" * 32),
    "a predefined name": written(name="bridge"),
    "a name of a line": written(name="a\nb"),
    "no number": written(options={}),
    "a wrong number": written(options={VNI: "99999999999"}),
    "a number of other digits": written(options={VNI: "५०००"}),
    "options that cannot be read": written(options={VNI: "5000", "com.docker.network.bridge.enable_icc": "perhaps"}),
    "an mtu that cannot be": written(options={VNI: "5000", "com.docker.network.driver.mtu": "1"}),
    "no subnet": written(pools=()),
    "IPv6": written(ipv6=True),
    "a gateway of elsewhere": written(pools=(replace(FAR.pools[0], gateway=IPv4Address("10.1.1.1")),)),
    **{
        f"subnet {text}": written(pools=(Pool(subnet=IPv4Network(text), gateway=IPv4Network(text)[1]),))
        for text in _SUBNETS
    },
}


def test_documents_that_are_no_overlay_networks(networks: LabService, store: Store) -> None:
    """None of them becomes a network, none changes a link, and a good one among them is there at once."""
    before = links()
    for number, document in enumerate(_DOCUMENTS.values()):
        network_id = FAR.id if number % 2 else f"{number:064x}"
        store.ask("HSET", "havre:networks", network_id, document)
        store.ask("PUBLISH", CHANGED, network_id)
        networks._member.agree()  # type: ignore[union-attr]
        assert known(networks) == set(), document[:200]
    assert links() == before
    tell(store, FAR)
    wait_until(lambda: known(networks) == {"far"})
    networks.made("mine", driver=Driver.OVERLAY)
    assert known(networks) == {"far", "mine"}


def test_an_id_that_begins_like_that_of_a_network_here(networks: LabService, store: Store) -> None:
    """Links are called after the first digits of ids: one of this host's would be taken over."""
    mine = networks.made("mine", "10.90.0.0/24")
    twin = replace(FAR, id=mine.id[:12] + "0" * 52)
    tell(store, twin)
    networks._member.agree()  # type: ignore[union-attr]
    assert known(networks) == {"mine"}


_PEERS: Final[dict[str, dict[str, Any]]] = {
    "the gateway's address": {"address": "10.88.0.1"},
    "an address of elsewhere": {"address": "8.8.8.8"},
    "the broadcast address": {"address": "10.88.0.255"},
    "no address": {"address": "x"},
    "a number": {"address": 5},
    "a MAC of a group": {"mac": "ff:ff:ff:ff:ff:ff"},
    "no MAC": {"mac": "x"},
    "an empty MAC": {"mac": ""},
    "a host of this host": {"host": "127.0.0.1"},
    "a host of a group": {"host": "224.0.0.1"},
    "no host": {"host": "0.0.0.0"},
    "names that are none": {"names": 7},
    "an empty name": {"names": [""]},
    "no container": {"container": "../../x"},
    "no node": {"node": ""},
}


def test_endpoints_that_cannot_be(networks: LabService, store: Store) -> None:
    tell(store, FAR)
    wait_until(lambda: known(networks) == {"far"})
    networks.plug(network="far", name="here")
    key = f"havre:endpoints:{FAR.id}"
    good = json.loads(PEER.to_json())
    for number, changes in enumerate(_PEERS.values()):
        bad = {**good, "container": f"{number:064x}", **changes}
        store.ask("HSET", key, f"{bad['node']}/{bad['container']}", json.dumps(bad))
    store.ask("HSET", key, "somebody/else", PEER.to_json())
    store.ask("HSET", key, b"\xff\xfe", b"\xff{")
    store.ask("HSET", f"havre:leases:{FAR.id}", "no address", "nobody")
    store.ask("SET", f"havre:cursor:{FAR.id}", "nan")
    store.ask("HSET", "havre:vnis", "x", "y")
    store.ask("ZADD", "havre:nodes", "inf", "strange")
    store.ask("HSET", "havre:hosts", "x", b"\xff")
    tell(store, FAR, PEER)
    wait_until(lambda: found(networks, "friend") == ["10.88.0.9"])
    table = subprocess.run(["bridge", "fdb", "show", "dev", f"vx-{FAR.id[:12]}"], capture_output=True, text=True).stdout
    assert [line for line in table.splitlines() if "dst" in line] == [f"{PEER.mac} dst {Lab.outside} self permanent"], (
        "only the one that can be"
    )
    assert address(networks.plug(network="far", name="next")) not in ("10.88.0.1", "10.88.0.9")
    networks.made("mine", driver=Driver.OVERLAY)


def test_keys_of_other_kinds_are_said_and_harm_nothing_else(networks: LabService, store: Store) -> None:
    networks.made("sea", driver=Driver.OVERLAY)
    for key in ("havre:networks", "havre:nodes", "havre:hosts", "havre:vnis"):
        store.ask("RENAME", key, "aside")
        store.ask("SET", key, "x")
        with pytest.raises(Unavailable, match="WRONGTYPE"):
            networks.made("other", driver=Driver.OVERLAY)
        networks.release(networks.plug().container_id)
        store.ask("DEL", key)
        store.ask("RENAME", "aside", key)
    assert known(networks) == {"sea"}
    networks.made("other", driver=Driver.OVERLAY)


def test_a_store_that_forgets_without_end(networks: LabService, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for it to be told everything anew gives up, and says why."""
    networks.made("sea", driver=Driver.OVERLAY)
    monkeypatch.setattr("engine.networks.cluster.member._RECALL", 0.5)
    networks._member._recalling_until = time.monotonic() + 3600  # type: ignore[union-attr]
    with pytest.raises(Unavailable, match="forgets again and again"):
        networks.plug(network="sea")


def test_a_store_that_hangs(host: Lab, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps its connections and answers nobody: what needs it is refused, nothing else waits."""
    monkeypatch.setattr("engine.networks.cluster.store._PATIENCE", 0.5)
    networks = host.service(store=store.url)
    networks.made("sea", driver=Driver.OVERLAY)
    inside = networks.plug(network="sea", name="inside")
    store.hold(still=True)
    try:
        with pytest.raises(Unavailable, match="what runs goes on"):
            networks.plug(network="sea")
        for _ in range(5):
            networks.made("here")
            networks.release(networks.plug(network="here").container_id)
            networks.remove("here")
        networks.release(inside.container_id)
        with pytest.raises(Unavailable):
            networks.remove("sea")
        assert known(networks) == {"sea"}
    finally:
        store.hold(still=False)
    wait_until(lambda: _succeeds(lambda: networks.remove("sea")), seconds=20)
    assert store.ask("HLEN", "havre:networks") == "0"
    networks.close()


def _succeeds(action: Callable[[], object]) -> bool:
    try:
        action()
    except EngineError:
        return False
    return True


def test_a_password_is_in_no_message(host: Lab, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for url in (
        "redis://:s3cr3t/x@198.19.0.1:6379/0",
        "redis://:s3cr3t@198.19.0.1:port/0",
        "redis://:s3cr3t@198.19.0.1/0?nosuch=1",
        "redis://:s3cr3t@[198.19.0.1/0",
        "http://:s3cr3t@198.19.0.1/0",
    ):
        with pytest.raises(InvalidParameter, match="HAVRE_CLUSTER_URL") as refused:
            host.service("hvlab1", store=url)
        assert "s3cr3t" not in str(refused.value), url
    with Store(tmp_path, address=host.inside, options=("--requirepass", "another")):
        service = host.service(store=f"redis://:s3cr3t@{host.inside}:{PORT}/0")
        with pytest.raises(Unavailable, match="invalid username-password pair") as failed:
            service.made("sea", driver=Driver.OVERLAY)
        service.close()
    assert "s3cr3t" not in str(failed.value)
    assert "s3cr3t" not in caplog.text


def test_a_store_behind_tls(host: Lab, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.sign("store", address=host.inside)
    options = ("--tls-port", "6380", "--tls-cert-file", str(certificate), "--tls-key-file", str(key))
    options += ("--tls-auth-clients", "no", "--requirepass", "s3cr3t")
    with Store(tmp_path, address=host.inside, options=options), ExitStack() as services:
        url = f"rediss://:s3cr3t@{host.inside}:6380/0"
        stranger = host.service("hvlab1", store=url)
        services.callback(stranger.close)
        with pytest.raises(Unavailable, match="certificate verify failed"):
            stranger.made("sea", driver=Driver.OVERLAY)
        friend = host.service("hvlab2", store=f"{url}?ssl_ca_certs={authority.certificate}")
        services.callback(friend.close)
        friend.made("sea", driver=Driver.OVERLAY)
        assert address(friend.plug(network="sea")).startswith("10.0.1.")


def test_networks_come_and_go_while_the_cluster_agrees(store: Store, networks: LabService) -> None:
    """What was read of the store before a network was made, or removed, says nothing about it."""
    ended = threading.Event()

    def hurry() -> None:
        while not ended.is_set():
            store.ask("PUBLISH", CHANGED, "00" * 32)

    with ThreadPoolExecutor(1) as pool:
        hurrying = pool.submit(hurry)
        try:
            for _ in range(20):
                networks.made("sea", driver=Driver.OVERLAY)
                networks.remove("sea")
        finally:
            ended.set()
        hurrying.result()
    networks.made("end", driver=Driver.OVERLAY)
    told = [(event.action, event.attributes["name"]) for event in networks.told]
    assert told == [("create", "sea"), ("destroy", "sea")] * 20 + [("create", "end")]


def test_two_nodes_with_one_address(host: Lab, store: Store, networks: LabService) -> None:
    """The second is told so and joins nothing; the first goes on. When the first has gone, it may."""
    networks.made("sea", driver=Driver.OVERLAY)
    second = host.service("hvlab1", store=store.url)
    with pytest.raises(Conflict, match=rf"HAVRE_CLUSTER_ADDRESS: node \w+ of the cluster has {host.inside} as well"):
        second.made("other", driver=Driver.OVERLAY)
    networks.plug(network="sea")
    networks.made("more", driver=Driver.OVERLAY)
    second.close()


def test_a_node_that_comes_back_after_it_was_given_up(
    host: Lab, store: Store, networks: LabService, caplog: pytest.LogCaptureFixture
) -> None:
    """Its addresses are free for others meanwhile. What nobody took it has again; of the rest it tells."""
    sea = networks.made("sea", driver=Driver.OVERLAY)
    kept, lost = networks.plug(network="sea", name="kept"), networks.plug(network="sea", name="lost")
    node = networks.get("bridge").id
    networks.close()
    others = ClusterStore(store.url)
    others.forget(node)
    assert others.leases(sea.id) == {}
    taken = IPv4Address(address(lost))
    others.lease(sea.id, f"{OTHER}/x", wanted=taken, first=taken, last=taken, reserved=())
    back = host.service(store=store.url, live=(kept.container_id, lost.container_id))
    wait_until(lambda: IPv4Address(address(kept)) in others.leases(sea.id))
    leases, peers = others.leases(sea.id), others.peers(sea.id)
    others.close()
    assert leases[taken] == f"{OTHER}/x"
    assert [peer.names[0] for peer in peers] == ["kept"]
    back._member.agree()  # type: ignore[union-attr]
    told = [each.message for each in caplog.records if "a container of another node has too" in each.message]
    assert len(told) == 1, "once, not every few seconds"
    assert lost.container_id[:12] in told[0]
    back.close()


@pytest.mark.slow
def test_a_slow_store(host: Lab, store: Store) -> None:
    with SlowStore(store, seconds=0.2) as slow:
        networks = host.service(store=slow.url)
        networks.made("sea", driver=Driver.OVERLAY)
        sandbox = networks.plug_all(Attachment(network="sea"))
        networks.release(sandbox.container_id)
        networks.remove("sea")
        networks.close()
    assert store.ask("HLEN", "havre:networks") == "0"


def test_subnets_of_the_world_are_refused(networks: LabService) -> None:
    with pytest.raises(InvalidParameter, match="an overlay network has private addresses"):
        networks.made("wide", "8.8.8.0/24", driver=Driver.OVERLAY)
    assert known(networks) == set()
    networks.made("carrier", "100.64.7.0/24", driver=Driver.OVERLAY)


def test_options_that_cannot_be_read_leave_nothing(host: Lab, store: Store, networks: LabService) -> None:
    before = links()
    with pytest.raises(InvalidParameter, match="enable_icc"):
        networks.made("wrong", driver=Driver.OVERLAY, options={"com.docker.network.bridge.enable_icc": "perhaps"})
    assert links() == before
    assert networks.database.query("SELECT name FROM networks WHERE name = 'wrong'") == []
