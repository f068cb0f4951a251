"""The networks that an engine knows: found by name or id, kept in memory and in rows that change together."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from engine.errors import AmbiguousId, NetworkNotFound
from engine.networks.model import Attachment, Network
from engine.networks.records import NetworkRecords


class KnownNetworks:
    """Any thread may use it."""

    def __init__(self, records: NetworkRecords) -> None:
        self._records = records
        self._lock = threading.Lock()
        self._networks: dict[str, Network] = {}

    def load(self) -> None:
        """Read what the database knows."""
        with self._lock:
            self._networks = {network.name: network for network in self._records.networks()}

    def list(self) -> Sequence[Network]:
        """Every network, by name."""
        with self._lock:
            return tuple(sorted(self._networks.values(), key=lambda network: network.name))

    def get(self, text: str) -> Network:
        """The network of that name or id, or of an unambiguous beginning of an id; `default` is the bridge."""
        name = "bridge" if text == "default" else text
        with self._lock:
            if name in self._networks:
                return self._networks[name]
            found = [network for network in self._networks.values() if text and network.id.startswith(text)]
        if len(found) > 1:
            raise AmbiguousId(text, "network")
        if not found:
            raise NetworkNotFound(text)
        return found[0]

    def wanted(self, asked: Attachment) -> Network:
        """The network that a container asks for: another of the same name, made later, is not the one it knew."""
        network = self.get(asked.network)
        if asked.network_id not in ("", network.id):
            raise NetworkNotFound(asked.network)
        return network

    def put(self, network: Network) -> None:
        """Add a network or change it."""
        self._records.put(network)
        with self._lock:
            self._networks[network.name] = network

    def forget(self, network: Network) -> None:
        with self._lock:
            self._networks.pop(network.name, None)
