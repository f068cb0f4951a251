"""Networks: which there are, who is in them, and the calls that change that."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from engine.client import errors
from engine.client.connection import Connection, Filters, filters_text, segment
from engine.client.parse import instant

_PREDEFINED: Final = frozenset({"bridge", "host", "none", "ingress", "nat"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """Where a network's addresses come from. Everything but `subnet` may be empty: the engine chooses."""

    subnet: str
    gateway: str = ""
    ip_range: str = ""
    aux_addresses: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        return cls(
            subnet=row.get("Subnet", ""),
            gateway=row.get("Gateway", ""),
            ip_range=row.get("IPRange", ""),
            aux_addresses=row.get("AuxiliaryAddresses") or {},
        )

    def body(self) -> dict[str, Any]:
        pairs = {"Subnet": self.subnet, "Gateway": self.gateway, "IPRange": self.ip_range}
        return {key: value for key, value in pairs.items() if value} | (
            {"AuxiliaryAddresses": dict(self.aux_addresses)} if self.aux_addresses else {}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSummary:
    """A row of the list of networks."""

    id: str
    name: str
    driver: str
    scope: str
    internal: bool
    ipv6: bool
    attachable: bool
    created: dt.datetime | None
    pools: tuple[Subnet, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def fields_of(cls, row: Mapping[str, Any]) -> dict[str, Any]:
        config = (row.get("IPAM") or {}).get("Config") or ()
        return {
            "id": row["Id"],
            "name": row.get("Name", ""),
            "driver": row.get("Driver", ""),
            "scope": row.get("Scope", ""),
            "internal": bool(row.get("Internal")),
            "ipv6": bool(row.get("EnableIPv6")),
            "attachable": bool(row.get("Attachable")),
            "created": instant(row.get("Created")),
            "pools": tuple(Subnet.from_row(part) for part in config if part.get("Subnet")),
            "labels": row.get("Labels") or {},
            "options": row.get("Options") or {},
        }

    @property
    def short_id(self) -> str:
        return self.id[:12]

    @property
    def subnets(self) -> tuple[str, ...]:
        return tuple(pool.subnet for pool in self.pools)

    @property
    def gateways(self) -> tuple[str, ...]:
        return tuple(pool.gateway for pool in self.pools if pool.gateway)

    @property
    def predefined(self) -> bool:
        """Whether it comes with the engine, and cannot be removed."""
        return self.name in _PREDEFINED


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A running container's endpoint in a network; addresses carry their prefix length."""

    container_id: str
    name: str
    endpoint_id: str = ""
    mac: str = ""
    ipv4: str = ""
    ipv6: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkDetail(NetworkSummary):
    """What inspect tells of one network; `raw` is the whole answer."""

    members: tuple[Member, ...] = ()
    raw: Mapping[str, Any] = field(repr=False, default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateNetwork:
    """A network to be. Without `pools`, the engine finds a subnet."""

    name: str
    driver: str = "bridge"
    pools: tuple[Subnet, ...] = ()
    internal: bool = False
    ipv6: bool = False
    attachable: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """The body of `POST /networks/create`."""
        return {
            "Name": self.name,
            "Driver": self.driver,
            "CheckDuplicate": True,
            "Internal": self.internal,
            "EnableIPv6": self.ipv6,
            "Attachable": self.attachable,
            "IPAM": {"Driver": "default", "Config": [pool.body() for pool in self.pools]},
            "Options": dict(self.options),
            "Labels": dict(self.labels),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRoute:
    """A network that the endpoint's host reaches by a link of its own."""

    subnet: str
    link: str


class NetworkCalls(Connection):
    def networks(self, *, filters: Filters | None = None) -> list[NetworkSummary]:
        rows = self._json("GET", "/networks", parameters=filters_text(filters or {}))
        return [NetworkSummary(**NetworkSummary.fields_of(row)) for row in rows]

    def network(self, network: str) -> NetworkDetail:
        """One network by id, beginning of an id, or name."""
        row = self._json("GET", f"/networks/{segment(network)}")
        members = tuple(
            Member(
                container_id=container_id,
                name=each.get("Name", ""),
                endpoint_id=each.get("EndpointID", ""),
                mac=each.get("MacAddress", ""),
                ipv4=each.get("IPv4Address", ""),
                ipv6=each.get("IPv6Address", ""),
            )
            for container_id, each in (row.get("Containers") or {}).items()
        )
        return NetworkDetail(**NetworkSummary.fields_of(row), members=members, raw=row)

    def host_routes(self) -> tuple[HostRoute, ...]:
        """What the host reaches otherwise than by its networks. Only Havre tells; of others it is empty."""
        try:
            rows = self._json("GET", "/havre/v1/networks/routes")
        except errors.NotFound:
            return ()
        return tuple(HostRoute(subnet=row["Subnet"], link=row["Link"]) for row in rows)

    def create_network(self, request: CreateNetwork) -> str:
        """Create a network and return its id. `Conflict` for a name that is taken, `Forbidden` for a subnet that is."""
        return str(self._json("POST", "/networks/create", body=request.body())["Id"])

    def connect(
        self, network: str, container: str, *, aliases: tuple[str, ...] = (), ipv4: str = "", ipv6: str = ""
    ) -> None:
        """Give a container, running or not, a place in a network; addresses need a subnet that somebody chose."""
        settings: dict[str, Any] = {"Aliases": list(aliases)} if aliases else {}
        if addresses := {key: value for key, value in (("IPv4Address", ipv4), ("IPv6Address", ipv6)) if value}:
            settings["IPAMConfig"] = addresses
        body = {"Container": container, "EndpointConfig": settings}
        self._request("POST", f"/networks/{segment(network)}/connect", body=body).close()

    def disconnect(self, network: str, container: str, *, force: bool = False) -> None:
        body = {"Container": container, "Force": force}
        self._request("POST", f"/networks/{segment(network)}/disconnect", body=body).close()

    def remove_network(self, network: str) -> None:
        """`Forbidden` for one that comes with the engine or has active endpoints."""
        self._request("DELETE", f"/networks/{segment(network)}").close()

    def prune_networks(self) -> tuple[str, ...]:
        """Remove the networks that no container is in; their names."""
        return tuple(self._json("POST", "/networks/prune").get("NetworksDeleted") or ())
