"""Networks, endpoints and published ports as rows; addresses are handed out here."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from engine.database import Database
from engine.errors import EngineFault
from engine.networks.model import Driver, Endpoint, Network, PublishedPort
from engine.types import new_id


def mac_of(address: IPv4Address) -> str:
    """Docker's MAC for an address: 02:42 and its four bytes, so that both are unique together."""
    return "02:42:" + ":".join(f"{byte:02x}" for byte in address.packed)


class NetworkRecords:
    def __init__(self, database: Database) -> None:
        self._database = database

    def networks(self) -> list[Network]:
        return [_network(row) for row in self._database.query("SELECT * FROM networks ORDER BY name")]

    def put(self, network: Network) -> None:
        with self._database.transaction() as transaction:
            transaction.execute(
                "INSERT INTO networks (id, name, driver, created, subnet, gateway) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET subnet = excluded.subnet, gateway = excluded.gateway",
                (
                    network.id,
                    network.name,
                    network.driver,
                    network.created,
                    str(network.subnet) if network.subnet else None,
                    str(network.gateway) if network.gateway else None,
                ),
            )

    def join(
        self, container_id: str, network: Network, *, wanted: IPv4Address | None = None, mac: str = ""
    ) -> Endpoint:
        """Give a container its place in *network*, with an address of its own: the lowest that is free, or *wanted*."""
        with self._database.transaction() as transaction:
            address = None
            if network.subnet is not None and network.gateway is not None:
                address = _free(transaction, network, network.subnet, network.gateway, wanted)
            endpoint = Endpoint(
                id=new_id(),
                network_id=network.id,
                network_name=network.name,
                container_id=container_id,
                address=IPv4Interface((address, network.subnet.prefixlen)) if address and network.subnet else None,
                gateway=network.gateway,
                mac=mac or (mac_of(address) if address else ""),
            )
            transaction.execute(
                "INSERT INTO endpoints (id, network_id, container_id, address, mac) VALUES (?, ?, ?, ?, ?)",
                (endpoint.id, network.id, container_id, str(address) if address else None, endpoint.mac),
            )
        return endpoint

    def publish(self, container_id: str, ports: Sequence[PublishedPort]) -> None:
        with self._database.transaction() as transaction:
            transaction.executemany(
                "INSERT INTO published_ports (container_id, container_port, protocol, host_ip, host_port) "
                "VALUES (?, ?, ?, ?, ?)",
                [(container_id, port.container_port, port.protocol, port.host_ip, port.host_port) for port in ports],
            )

    def leave(self, container_id: str) -> None:
        """Forget a container's endpoints and ports: their addresses are free."""
        with self._database.transaction() as transaction:
            transaction.execute("DELETE FROM endpoints WHERE container_id = ?", (container_id,))
            transaction.execute("DELETE FROM published_ports WHERE container_id = ?", (container_id,))

    def containers(self) -> set[str]:
        """Every container that has an endpoint or a published port."""
        rows = self._database.query("SELECT container_id FROM endpoints UNION SELECT container_id FROM published_ports")
        return {row["container_id"] for row in rows}

    def endpoints(
        self, networks: Collection[Network], *, container_id: str = "", network_id: str = ""
    ) -> list[Endpoint]:
        """The endpoints of a container, or of a network."""
        by_id = {network.id: network for network in networks}
        column, value = ("container_id", container_id) if container_id else ("network_id", network_id)
        rows = self._database.query(f"SELECT * FROM endpoints WHERE {column} = ? ORDER BY address", (value,))  # noqa: S608 - one of two words above
        return [_endpoint(row, by_id[row["network_id"]]) for row in rows]

    def ports(self, container_id: str) -> tuple[PublishedPort, ...]:
        rows = self._database.query("SELECT * FROM published_ports WHERE container_id = ?", (container_id,))
        return tuple(
            sorted(
                PublishedPort(
                    container_port=row["container_port"],
                    protocol=row["protocol"],
                    host_ip=row["host_ip"],
                    host_port=row["host_port"],
                )
                for row in rows
            )
        )


def _free(
    transaction: sqlite3.Connection,
    network: Network,
    subnet: IPv4Network,
    gateway: IPv4Address,
    wanted: IPv4Address | None,
) -> IPv4Address:
    rows = transaction.execute("SELECT address FROM endpoints WHERE network_id = ?", (network.id,))
    taken = {row["address"] for row in rows} | {
        str(gateway),
        str(subnet.network_address),
        str(subnet.broadcast_address),
    }
    if wanted is not None:
        if wanted not in subnet or str(wanted) in taken:
            raise EngineFault(f"address {wanted} of network {network.name} is taken or outside {subnet}")
        return wanted
    for number in range(int(subnet.network_address) + 1, int(subnet.broadcast_address)):
        address = IPv4Address(number)
        if str(address) not in taken:
            return address
    raise EngineFault(
        f"no address is left in network {network.name} ({subnet}): remove containers, or widen HAVRE_SUBNET"
    )


def _network(row: sqlite3.Row) -> Network:
    return Network(
        id=row["id"],
        name=row["name"],
        driver=Driver(row["driver"]),
        created=row["created"],
        subnet=IPv4Network(row["subnet"]) if row["subnet"] else None,
        gateway=IPv4Address(row["gateway"]) if row["gateway"] else None,
    )


def _endpoint(row: sqlite3.Row, network: Network) -> Endpoint:
    address = None
    if row["address"] and network.subnet:
        address = IPv4Interface(f"{row['address']}/{network.subnet.prefixlen}")
    return Endpoint(
        id=row["id"],
        network_id=network.id,
        network_name=network.name,
        container_id=row["container_id"],
        address=address,
        gateway=network.gateway if address else None,
        mac=row["mac"],
    )
