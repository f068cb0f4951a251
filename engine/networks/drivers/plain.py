"""The two networks without links: `none`, where a container has its loopback, and `host`, where it has the host's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from engine.errors import Forbidden
from engine.networks.drivers.interface import LocalDriver
from engine.networks.firewall import Side
from engine.networks.model import Endpoint, Network


class PlainDriver(LocalDriver):
    """`host` and `null`: there is one network of each, and nothing of it on the host."""

    def check(self, network: Network, others: Collection[Network]) -> Network:
        if any(other.driver is network.driver for other in others):
            raise Forbidden(f'only one instance of "{network.driver}" network is allowed')
        return network

    def ensure(self, network: Network) -> None:
        pass

    def delete(self, network: Network) -> None:
        pass

    def side(self, network: Network) -> Side | None:  # noqa: ARG002
        return None

    def attach(self, route: Any, network: Network, endpoint: Endpoint, descriptor: int, *, publishing: bool) -> None:
        pass

    def detach(self, endpoint: Endpoint, namespace: Path) -> None:
        pass

    def sweep(self, network: Network, kept: Sequence[Endpoint]) -> None:
        pass
