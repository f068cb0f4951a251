"""What a driver does, and the words of its options."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from engine.errors import InvalidParameter
from engine.networks.firewall import Side
from engine.networks.model import Attachment, Endpoint, Network
from engine.types import parse_bool

MTU: Final = "com.docker.network.driver.mtu"


class NetworkDriver(Protocol):
    """One kind of network. A driver holds no state: what there is, is told by the networks and the kernel.

    *route* is an open socket of rtnetlink in the host's namespace; a *descriptor* is open on a container's.
    """

    def making(self) -> AbstractContextManager[None]:
        """Around the making of a network, from its check until it is there."""
        ...

    def publish(self, network: Network) -> None:
        """Tell whoever else may use a network that it is there."""
        ...

    def withdraw(self, network: Network) -> None:
        """Take back what `publish` has told; `Forbidden` while somebody uses it."""
        ...

    def reserving(self, network: Network, container_id: str, asked: Attachment) -> AbstractContextManager[Attachment]:
        """What a container asks for, with what only the driver can choose; kept when the block ends well."""
        ...

    def check(self, network: Network, others: Collection[Network]) -> Network:
        """The network as it can be made beside *others*; `InvalidParameter`, `Forbidden` where it cannot."""
        ...

    def ensure(self, network: Network) -> None:
        """Have on the host what the network needs, and put right what is there. May be repeated."""
        ...

    def delete(self, network: Network) -> None:
        """Remove from the host what `ensure` has made; no error where it is gone."""
        ...

    def side(self, network: Network) -> Side | None:
        """How the firewall sees it; `None` where its packets do not pass there."""
        ...

    def attach(self, route: Any, network: Network, endpoint: Endpoint, descriptor: int, *, publishing: bool) -> None:
        """Make the endpoint's link, under its name, in a container's namespace; *publishing* where it has ports."""
        ...

    def detach(self, endpoint: Endpoint, namespace: Path) -> None:
        """Cut an endpoint off at once, whose *namespace* is about to end: nobody may answer for its addresses."""
        ...

    def sweep(self, network: Network, kept: Sequence[Endpoint]) -> None:
        """Remove links of containers that are no more, and plug those of *kept* in again."""
        ...


class LocalDriver:
    """What a driver does whose networks concern nobody but this host."""

    @contextmanager
    def making(self) -> Iterator[None]:
        yield

    def publish(self, network: Network) -> None:
        pass

    def withdraw(self, network: Network) -> None:
        pass

    @contextmanager
    def reserving(self, network: Network, container_id: str, asked: Attachment) -> Iterator[Attachment]:  # noqa: ARG002
        yield asked


def mtu_of(network: Network) -> int | None:
    """The MTU that a person chose; `None` leaves it to the driver."""
    text = network.options.get(MTU, "")
    if text in ("", "0"):
        return None
    if not text.removeprefix("-").isdecimal():
        raise InvalidParameter(f"failed to parse {MTU} value: {text[:40]} (give a number from 68 to 65535)")
    if len(text) > 5 or not 68 <= int(text) <= 65535:
        raise InvalidParameter(f"invalid MTU number: {text[:40]} (give one from 68 to 65535)")
    return int(text)


def flag(network: Network, option: str, *, default: bool) -> bool:
    """An option that says yes or no; *default* where it says nothing."""
    text = network.options.get(option, "")
    said = parse_bool(text) if text else default
    if said is None:
        raise InvalidParameter(f"failed to parse {option} value: {text[:40]} (say true or false)")
    return said
