"""What containers are called in each network, and by whom."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Collection, Sequence
from ipaddress import IPv4Address, IPv6Address

from engine.networks.model import Address, Endpoint


class Names:
    """An index of endpoints by name and by address: a question costs the same however many there are.

    Names are matched without regard to case (RFC 4343). Any thread may use it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._named: dict[str, dict[str, dict[str, Endpoint]]] = defaultdict(dict)
        """Network id, name, endpoint id."""
        self._addressed: dict[str, dict[Address, Endpoint]] = defaultdict(dict)
        """Network id, address."""
        self._held: dict[str, Endpoint] = {}
        """By id, as they were added."""

    def add(self, endpoint: Endpoint) -> None:
        """Let *endpoint* be found; again, under the names that it has now."""
        with self._lock:
            self._remove(endpoint)
            self._held[endpoint.id] = endpoint
            for name in endpoint.names:
                self._named[endpoint.network_id].setdefault(name.lower(), {})[endpoint.id] = endpoint
            for address in endpoint.addresses:
                self._addressed[endpoint.network_id][address.ip] = endpoint

    def remove(self, endpoint: Endpoint) -> None:
        with self._lock:
            self._remove(endpoint)

    def find(self, name: str, asking: Collection[Endpoint]) -> list[Address] | None:
        """The addresses of whom the container with the endpoints *asking* calls *name*; `None` where nobody is.

        `web` is looked for in each of its networks, `web.net` in the network `net`, links before names.
        """
        text = name.rstrip(".").lower()
        with self._lock:
            for endpoint in asking:
                if found := self._find(text, endpoint):
                    return [address.ip for each in found for address in each.addresses]
            for endpoint in asking:
                bare = text.removesuffix(f".{endpoint.network_name.lower()}")
                if bare != text and (found := self._find(bare, endpoint)):
                    return [address.ip for each in found for address in each.addresses]
        return None

    def find_address(self, address: Address, asking: Collection[Endpoint]) -> str | None:
        """The name of whom the container with the endpoints *asking* reaches at *address*, with its network's."""
        with self._lock:
            for endpoint in asking:
                found = self._addressed.get(endpoint.network_id, {}).get(address)
                if found is not None and found.names:
                    return f"{found.names[0]}.{found.network_name}"
        return None

    def _find(self, name: str, asking: Endpoint) -> Sequence[Endpoint]:
        target = next((target for alias, target in asking.links.items() if alias.lower() == name), name).lower()
        named = self._named.get(asking.network_id, {})
        # A link may name its target by a whole id; an endpoint is known by the short one.
        return tuple((named.get(target) or named.get(target[:12] if len(target) == 64 else "") or {}).values())

    def _remove(self, endpoint: Endpoint) -> None:
        held = self._held.pop(endpoint.id, None)
        if held is None:
            return
        named = self._named[held.network_id]
        for name in held.names:
            holders = named.get(name.lower(), {})
            holders.pop(held.id, None)
            if not holders:
                named.pop(name.lower(), None)
        addressed = self._addressed[held.network_id]
        for address in held.addresses:
            addressed.pop(address.ip, None)
        if not named and not addressed:
            del self._named[held.network_id], self._addressed[held.network_id]


def reverse_address(name: str) -> Address | None:
    """The address that a name of in-addr.arpa or ip6.arpa stands for (RFC 1035, 3.5; RFC 3596, 2.5)."""
    labels = name.rstrip(".").lower().split(".")
    try:
        if labels[-2:] == ["in-addr", "arpa"] and len(labels) == 6:
            return IPv4Address(".".join(reversed(labels[:4])))
        if labels[-2:] == ["ip6", "arpa"] and len(labels) == 34:
            digits = "".join(reversed(labels[:32]))
            return IPv6Address(":".join(digits[start : start + 4] for start in range(0, 32, 4)))
    except ValueError:
        pass
    return None
