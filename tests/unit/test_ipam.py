"""The addresses of networks: who gets which, and that nobody shares one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from engine.database import Database
from engine.errors import EngineFault, Forbidden, InvalidParameter
from engine.networks.addresses import mac_of
from engine.networks.ipam import PoolRequest, allocate, claim, pools, with_gateway
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
    assert {endpoint.network_name for endpoint in records.endpoints(lambda: [one, two], container_id=member)} == {
        "one",
        "two",
    }
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


def pool(subnet: str, **options: Any) -> Pool:
    return Pool(subnet=ip_network(subnet), **options)


@pytest.mark.parametrize(
    ("subnet", "first", "last"),
    [
        ("10.0.0.0/29", "10.0.0.1", "10.0.0.6"),
        ("10.0.0.0/31", "10.0.0.0", "10.0.0.1"),  # RFC 3021
        ("10.0.0.7/32", "10.0.0.7", "10.0.0.7"),
        ("fd00::/126", "fd00::1", "fd00::3"),
    ],
)
def test_what_a_subnet_gives(subnet: str, first: str, last: str) -> None:
    found = []
    while (address := allocate(pool(subnet), {int(each) for each in found})) is not None:
        found.append(address)
    assert (str(found[0]), str(found[-1])) == (first, last)
    assert found == sorted(found)


def test_ranges_and_reserved_addresses() -> None:
    reserved = {"printer": ip_address("10.0.5.1")}
    asked = PoolRequest(subnet="10.0.0.0/16", ip_range="10.0.5.0/24", reserved={"printer": "10.0.5.1"})
    (found,) = pools([asked], ipv6=False, taken=(), routed=())
    assert (found.gateway, found.reserved, found.chosen) == (ip_address("10.0.0.1"), reserved, True)
    assert allocate(found, set()) == ip_address("10.0.5.0")
    assert allocate(found, {int(ip_address("10.0.5.0"))}) == ip_address("10.0.5.2")
    # A fixed address may lie outside the range.
    assert claim([found], ip_address("10.0.9.9"), set()) == found


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (PoolRequest(), InvalidParameter),
        (PoolRequest(subnet="junk"), InvalidParameter),
        (PoolRequest(subnet="10.0.0.1"), InvalidParameter),
        (PoolRequest(subnet="10.0.0.0/24", gateway="10.0.1.1"), Forbidden),
        (PoolRequest(subnet="10.0.0.0/24", gateway="x"), InvalidParameter),
        (PoolRequest(subnet="10.0.0.0/24", gateway="fd00::1"), Forbidden),
        (PoolRequest(subnet="10.0.0.0/24", ip_range="10.0.1.0/25"), InvalidParameter),
        (PoolRequest(subnet="10.0.0.0/24", ip_range="fd00::/64"), InvalidParameter),
        (PoolRequest(subnet="10.0.0.0/24", reserved={"a": "10.9.0.1"}), Forbidden),
        (PoolRequest(subnet="10.0.0.0/24", gateway="10.0.0.9", reserved={"a": "10.0.0.9"}), Forbidden),
        (PoolRequest(subnet="10.0.0.0/24", reserved={"a": "10.0.0.9", "b": "10.0.0.9"}), Forbidden),
        (PoolRequest(subnet="172.20.5.0/24"), Forbidden),
    ],
)
def test_pools_that_cannot_be(request_: PoolRequest, error: type[Exception]) -> None:
    with pytest.raises(error):
        pools([request_], ipv6=False, taken=[ip_network("172.20.0.0/16")], routed=())


def test_default_pools_pass_over_what_is_used() -> None:
    (found,) = pools([], ipv6=False, taken=[ip_network("172.17.0.0/16")], routed=[ip_network("172.18.9.0/24")])
    assert (found.subnet, found.gateway, found.chosen) == (ip_network("172.19.0.0/16"), ip_address("172.19.0.1"), False)
    with pytest.raises(EngineFault, match="choose a subnet, or remove networks"):
        pools([], ipv6=False, taken=[ip_network("172.16.0.0/12"), ip_network("192.168.0.0/16")], routed=())
    # What a person chooses may be a network that the host routes: Docker allows it, too.
    (chosen,) = pools([PoolRequest(subnet="10.5.0.0/16")], ipv6=False, taken=(), routed=[ip_network("10.0.0.0/8")])
    assert chosen.subnet == ip_network("10.5.0.0/16")


def test_ipv6_alone_has_ipv4_beside_it() -> None:
    four, six = pools([PoolRequest(subnet="fd00:7::/64")], ipv6=True, taken=(), routed=())
    assert (four.subnet, six.gateway) == (ip_network("172.17.0.0/16"), ip_address("fd00:7::1"))
    _, own = pools([], ipv6=True, taken=(), routed=())
    assert own.subnet.prefixlen == 64
    assert own.subnet.subnet_of(ip_network("fd00::/8"))  # type: ignore[arg-type]  # RFC 4193
