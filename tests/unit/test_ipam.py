"""The addresses of networks: who gets which, and that nobody shares one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from engine.database import Database
from engine.errors import EngineFault, Forbidden, InvalidParameter
from engine.networks.addresses import mac_of
from engine.networks.ipam import with_gateway
from engine.networks.model import Attachment, Driver, Endpoint, Network, Pool
from engine.networks.records import NetworkRecords
from engine.types import new_id, now


@pytest.fixture
def records(tmp_path: Path) -> Iterator[NetworkRecords]:
    with Database(tmp_path / "havre.sqlite3") as database:
        yield NetworkRecords(database)


def bridge(records: NetworkRecords, subnet: str = "172.17.0.0/16", *, name: str = "bridge") -> Network:
    network = IPv4Network(subnet)
    pool = with_gateway(Pool(subnet=network, chosen=True))
    made = Network(id=new_id(), name=name, driver=Driver.BRIDGE, created=now(), pools=(pool,))
    records.put(made)
    return made


def ip(endpoint: Endpoint) -> str:
    assert endpoint.address is not None
    return str(endpoint.address.ip)


def test_the_gateway_is_first_and_containers_follow(records: NetworkRecords) -> None:
    network = bridge(records)
    endpoints = [records.join(new_id(), network) for _ in range(3)]
    assert [str(endpoint.address) for endpoint in endpoints] == ["172.17.0.2/16", "172.17.0.3/16", "172.17.0.4/16"]
    assert {str(endpoint.gateway) for endpoint in endpoints} == {"172.17.0.1"}


def test_the_mac_is_docker_s_for_the_address_or_the_one_asked_for(records: NetworkRecords) -> None:
    network = bridge(records)
    assert records.join(new_id(), network).mac == "02:42:ac:11:00:02"
    assert (
        records.join(new_id(), network, Attachment(network="bridge", mac="02:00:00:00:00:07")).mac
        == "02:00:00:00:00:07"
    )
    assert mac_of(IPv4Address("192.168.16.255")) == "02:42:c0:a8:10:ff"


def test_an_address_that_was_left_is_given_again(records: NetworkRecords) -> None:
    network = bridge(records)
    first, second = new_id(), new_id()
    records.join(first, network)
    records.join(second, network)
    records.leave(first)
    assert ip(records.join(new_id(), network)) == "172.17.0.2"


def test_an_address_may_be_wanted_once(records: NetworkRecords) -> None:
    network = bridge(records)
    wanted = Attachment(network="bridge", address=IPv4Address("172.17.9.9"))
    assert ip(records.join(new_id(), network, wanted)) == "172.17.9.9"
    with pytest.raises(Forbidden, match=r"Address already in use: 172\.17\.9\.9"):
        records.join(new_id(), network, wanted)


@pytest.mark.parametrize("address", ["172.17.0.1", "172.17.0.0", "172.17.255.255", "10.0.0.2"])
def test_gateway_network_broadcast_and_strange_addresses_are_nobody_s(records: NetworkRecords, address: str) -> None:
    with pytest.raises((Forbidden, InvalidParameter)):
        records.join(new_id(), bridge(records), Attachment(network="bridge", address=IPv4Address(address)))


def test_a_full_subnet_says_so_and_recovers(records: NetworkRecords) -> None:
    network = bridge(records, "192.168.5.0/29")
    members = [new_id() for _ in range(5)]
    assert [ip(records.join(member, network)) for member in members][-1] == "192.168.5.6"
    with pytest.raises(EngineFault, match=r"no address is left in network bridge \(192\.168\.5\.0/29\)"):
        records.join(new_id(), network)
    records.leave(members[2])
    assert ip(records.join(new_id(), network)) == "192.168.5.4"


def test_networks_do_not_take_each_other_s_addresses(records: NetworkRecords) -> None:
    one, two = bridge(records, name="one"), bridge(records, "172.18.0.0/16", name="two")
    member = new_id()
    assert [ip(records.join(member, one)), ip(records.join(member, two))] == ["172.17.0.2", "172.18.0.2"]
    assert {endpoint.network_name for endpoint in records.endpoints([one, two], container_id=member)} == {"one", "two"}
    records.leave(member)
    assert records.containers() == set()


def test_a_network_without_a_subnet_gives_places_without_addresses(records: NetworkRecords) -> None:
    host = Network(id=new_id(), name="host", driver=Driver.HOST, created=now())
    records.put(host)
    endpoints = [records.join(new_id(), host) for _ in range(2)]
    assert [(endpoint.address, endpoint.mac) for endpoint in endpoints] == [(None, ""), (None, "")]


def test_threads_never_get_the_same_address(records: NetworkRecords) -> None:
    network = bridge(records)
    gate = threading.Barrier(8)

    def join_and_leave(_: int) -> list[str]:
        gate.wait()
        kept = []
        for number in range(20):
            member = new_id()
            endpoint = records.join(member, network)
            if number % 3 == 0:
                records.leave(member)
            else:
                kept.append(ip(endpoint))
        return kept

    with ThreadPoolExecutor(8) as pool:
        kept = [address for addresses in pool.map(join_and_leave, range(8)) for address in addresses]
    assert len(kept) == len(set(kept)) == 8 * 13
    assert "172.17.0.1" not in kept


def test_addresses_survive_a_restart(tmp_path: Path) -> None:
    with Database(tmp_path / "havre.sqlite3") as database:
        network = bridge(NetworkRecords(database))
        NetworkRecords(database).join(new_id(), network)
    with Database(tmp_path / "havre.sqlite3") as database:
        again = NetworkRecords(database)
        assert again.networks() == [network]
        assert ip(again.join(new_id(), network)) == "172.17.0.3"
