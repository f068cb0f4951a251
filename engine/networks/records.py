"""Networks, endpoints and published ports as rows; addresses are handed out here."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address
from typing import Any, Final

import cattrs

from engine.database import Database
from engine.errors import Conflict, EngineFault, Forbidden, NetworkNotFound
from engine.networks import ipam
from engine.networks.addresses import interface_of, mac_of
from engine.networks.documents import know_addresses
from engine.networks.model import Address, Attachment, Endpoint, Network, PublishedPort
from engine.types import new_id

_COLUMNS: Final = ("id", "name", "driver", "created")
_JOINABLE: Final = "SELECT 1 FROM networks WHERE id = ? AND retired = 0"
_MEMBER: Final = "SELECT 1 FROM endpoints WHERE network_id = ? AND container_id = ?"


class NetworkRecords:
    def __init__(self, database: Database) -> None:
        self._database = database

    def networks(self) -> list[Network]:
        return [_network(row) for row in self._database.query("SELECT * FROM networks WHERE retired = 0 ORDER BY name")]

    def put(self, network: Network) -> None:
        """Add a network or change it; `Conflict` when another has its name."""
        try:
            with self._database.transaction() as transaction:
                transaction.execute(
                    "INSERT INTO networks (id, name, driver, created, document) VALUES (?, ?, ?, ?, ?) "
                    "ON CONFLICT (id) DO UPDATE SET document = excluded.document",
                    (network.id, network.name, network.driver, network.created, _document(network)),
                )
        except sqlite3.IntegrityError as error:
            raise Conflict(f"network with name {network.name} already exists") from error

    def retire(self, network_id: str) -> bool:
        """Let nobody join a network any more, for it is to be deleted; false where somebody is in it."""
        with self._database.transaction() as transaction:
            changed = transaction.execute(
                "UPDATE networks SET retired = 1 WHERE id = ? "
                "AND NOT EXISTS (SELECT 1 FROM endpoints WHERE network_id = networks.id)",
                (network_id,),
            )
            return changed.rowcount > 0

    def restore(self, network_id: str) -> None:
        """Take `retire` back."""
        with self._database.transaction() as transaction:
            transaction.execute("UPDATE networks SET retired = 0 WHERE id = ?", (network_id,))

    def epoch(self) -> str:
        """The mark of the cluster's store; "" where there was none yet."""
        row = self._database.one("SELECT epoch FROM cluster")
        return str(row["epoch"]) if row else ""

    def remember(self, epoch: str) -> None:
        """Keep the mark of the cluster's store."""
        with self._database.transaction() as transaction:
            transaction.execute("INSERT OR REPLACE INTO cluster (only, epoch) VALUES (1, ?)", (epoch,))

    def retired(self) -> list[Network]:
        """Networks whose removal has begun."""
        return [_network(row) for row in self._database.query("SELECT * FROM networks WHERE retired = 1")]

    def delete(self, network_id: str) -> None:
        with self._database.transaction() as transaction:
            transaction.execute("DELETE FROM networks WHERE id = ?", (network_id,))

    def join(
        self,
        container_id: str,
        network: Network,
        wanted: Attachment | None = None,
        *,
        called: str = "",
        names: Sequence[str] = (),
        links: Mapping[str, str] | None = None,
    ) -> Endpoint:
        """Give a container its place in *network*: the lowest free addresses or those that *wanted* names. It is
        *called* so by people, and has *names* for the resolver.

        `NetworkNotFound` when it is being removed, `Forbidden` when the container is in it and for an address that is
        taken, `InvalidParameter` for one that cannot be, `EngineFault` when none is left.
        """
        asked = wanted or Attachment(network=network.name)
        with self._database.transaction() as transaction:
            if not transaction.execute(_JOINABLE, (network.id,)).fetchone():
                raise NetworkNotFound(network.name)
            if transaction.execute(_MEMBER, (network.id, container_id)).fetchone():
                raise Forbidden(f"endpoint with name {called or container_id} already exists in network {network.name}")
            address, gateway = self._address(transaction, network, 4, asked.address)
            address6, gateway6 = self._address(transaction, network, 6, asked.address6)
            rows = transaction.execute("SELECT interface FROM endpoints WHERE container_id = ?", (container_id,))
            interfaces = {row["interface"] for row in rows}
            endpoint = Endpoint(
                id=new_id(),
                network_id=network.id,
                network_name=network.name,
                container_id=container_id,
                address=address if isinstance(address, IPv4Interface) else None,
                gateway=gateway if isinstance(gateway, IPv4Address) else None,
                address6=address6 if isinstance(address6, IPv6Interface) else None,
                gateway6=gateway6 if isinstance(gateway6, IPv6Address) else None,
                mac=asked.mac or (mac_of(address.ip) if isinstance(address, IPv4Interface) else ""),
                interface=next(f"eth{n}" for n in range(len(interfaces) + 1) if f"eth{n}" not in interfaces),
                names=tuple(names),
                links=links or {},
                gateway_priority=asked.gateway_priority,
            )
            self._insert(transaction, endpoint)
        return endpoint

    def rename(self, container_id: str, old: str, new: str) -> None:
        """Have a container's endpoints answer to its new name."""
        with self._database.transaction() as transaction:
            rows = transaction.execute("SELECT id, document FROM endpoints WHERE container_id = ?", (container_id,))
            for row in rows.fetchall():
                document = json.loads(row["document"])
                document["names"] = [new if name == old else name for name in document.get("names", ())]
                transaction.execute("UPDATE endpoints SET document = ? WHERE id = ?", (json.dumps(document), row["id"]))

    def resolve(self, container_id: str, servers: Sequence[Address]) -> None:
        """Note that a container has a resolver, and the servers that it was given."""
        with self._database.transaction() as transaction:
            transaction.execute(
                "INSERT OR REPLACE INTO resolvers (container_id, servers) VALUES (?, ?)",
                (container_id, json.dumps([str(server) for server in servers])),
            )

    def resolvers(self) -> dict[str, tuple[Address, ...]]:
        """The containers that have a resolver, with their servers."""
        return {
            row["container_id"]: tuple(ip_address(text) for text in json.loads(row["servers"]))
            for row in self._database.query("SELECT * FROM resolvers")
        }

    def publish(self, container_id: str, ports: Sequence[PublishedPort]) -> None:
        with self._database.transaction() as transaction:
            transaction.executemany(
                "INSERT INTO published_ports (container_id, container_port, protocol, host_ip, host_port) "
                "VALUES (?, ?, ?, ?, ?)",
                [(container_id, port.container_port, port.protocol, port.host_ip, port.host_port) for port in ports],
            )

    def withdraw(self, container_id: str) -> None:
        """Forget a container's ports."""
        with self._database.transaction() as transaction:
            transaction.execute("DELETE FROM published_ports WHERE container_id = ?", (container_id,))

    def leave(self, container_id: str, endpoint_id: str = "") -> None:
        """Forget one endpoint of a container, or all of it: its addresses are free."""
        with self._database.transaction() as transaction:
            if endpoint_id:
                transaction.execute("DELETE FROM endpoints WHERE id = ?", (endpoint_id,))
                return
            transaction.execute("DELETE FROM endpoints WHERE container_id = ?", (container_id,))
            transaction.execute("DELETE FROM published_ports WHERE container_id = ?", (container_id,))
            transaction.execute("DELETE FROM resolvers WHERE container_id = ?", (container_id,))

    def containers(self) -> set[str]:
        """Every container that has an endpoint, a published port or a resolver."""
        rows = self._database.query(
            "SELECT container_id FROM endpoints UNION SELECT container_id FROM published_ports "
            "UNION SELECT container_id FROM resolvers"
        )
        return {row["container_id"] for row in rows}

    def used(self) -> set[str]:
        """The networks that somebody is in."""
        return {row["network_id"] for row in self._database.query("SELECT DISTINCT network_id FROM endpoints")}

    def endpoints(
        self, networks: Callable[[], Collection[Network]], *, container_id: str = "", network_id: str = ""
    ) -> list[Endpoint]:
        """The endpoints of a container, in the order of their interfaces, or of a network, by address.

        *networks* gives those that are known. It is asked after the rows, so that it knows every network that one is
        of; which of them it does not know has gone since, after its last endpoint.
        """
        column, value, order = ("network_id", network_id, "address")
        if container_id:
            column, value, order = ("container_id", container_id, "length(interface), interface")
        rows = self._database.query(f"SELECT * FROM endpoints WHERE {column} = ? ORDER BY {order}", (value,))  # noqa: S608 - words from above
        by_id = {network.id: network for network in networks()} if rows else {}
        return [_endpoint(row, by_id[row["network_id"]]) for row in rows if row["network_id"] in by_id]

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

    def _insert(self, transaction: sqlite3.Connection, endpoint: Endpoint) -> None:
        document = {
            "names": list(endpoint.names),
            "links": dict(endpoint.links),
            "gateway_priority": endpoint.gateway_priority,
        }
        transaction.execute(
            "INSERT INTO endpoints (id, network_id, container_id, address, address6, mac, interface, document) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                endpoint.id,
                endpoint.network_id,
                endpoint.container_id,
                str(endpoint.address.ip) if endpoint.address else None,
                str(endpoint.address6.ip) if endpoint.address6 else None,
                endpoint.mac,
                endpoint.interface,
                json.dumps(document),
            ),
        )

    def _address(
        self, transaction: sqlite3.Connection, network: Network, version: int, wanted: Address | None
    ) -> tuple[IPv4Interface | IPv6Interface | None, Address | None]:
        """An address of one family with its gateway; `None` where the network does not have that family."""
        pools = [pool for pool in network.usable_pools if pool.subnet.version == version]
        if not pools:
            return None, None
        column = "address" if version == 4 else "address6"
        rows = transaction.execute(f"SELECT {column} FROM endpoints WHERE network_id = ?", (network.id,))  # noqa: S608 - one of two words above
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        taken = {int.from_bytes(socket.inet_pton(family, row[column])) for row in rows if row[column]}
        if wanted is not None:
            pool = ipam.claim(pools, wanted, taken)
            return interface_of(wanted, pool.subnet), pool.gateway
        for pool in pools:
            if (address := ipam.allocate(pool, taken)) is not None:
                return interface_of(address, pool.subnet), pool.gateway
        raise EngineFault(
            f"no address is left in network {network.name} ({', '.join(str(pool.subnet) for pool in pools)}): "
            "remove containers, or use a larger subnet (of the default network: HAVRE_SUBNET)"
        )


def write(network: Network) -> str:
    """A network as a document that `read` understands, here or on another host."""
    return json.dumps(_CONVERTER.unstructure(network))


def read(document: str) -> Network:
    """What `write` has written; `EngineFault` where it cannot be read."""
    try:
        return _CONVERTER.structure(json.loads(document), Network)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, cattrs.BaseValidationError) as error:
        raise EngineFault(f"a network's document cannot be read: {document[:200]!r}") from error


def _network(row: sqlite3.Row) -> Network:
    document: dict[str, Any] = json.loads(row["document"])
    return _CONVERTER.structure(document | {name: row[name] for name in _COLUMNS}, Network)


def _document(network: Network) -> str:
    document = _CONVERTER.unstructure(network)
    return json.dumps({name: value for name, value in document.items() if name not in _COLUMNS})


def _endpoint(row: sqlite3.Row, network: Network) -> Endpoint:
    document: dict[str, Any] = json.loads(row["document"])
    address, gateway = _restored(row["address"], network)
    address6, gateway6 = _restored(row["address6"], network)
    return Endpoint(
        id=row["id"],
        network_id=network.id,
        network_name=network.name,
        container_id=row["container_id"],
        address=address if isinstance(address, IPv4Interface) else None,
        gateway=gateway if isinstance(gateway, IPv4Address) else None,
        address6=address6 if isinstance(address6, IPv6Interface) else None,
        gateway6=gateway6 if isinstance(gateway6, IPv6Address) else None,
        mac=row["mac"],
        interface=row["interface"],
        names=tuple(document.get("names", ())),
        links=document.get("links", {}),
        gateway_priority=document.get("gateway_priority", 0),
    )


def _restored(text: str | None, network: Network) -> tuple[IPv4Interface | IPv6Interface | None, Address | None]:
    if text:
        address = ip_address(text)
        for pool in network.pools:
            if pool.subnet.version == address.version and address in pool.subnet:
                return interface_of(address, pool.subnet), pool.gateway
    return None, None


def _converter() -> cattrs.Converter:
    """Fields that a row of an earlier version lacks take their defaults."""
    converter = cattrs.Converter()
    know_addresses(converter)
    return converter


_CONVERTER: Final = _converter()
