"""Published ports on the host: each is held by a socket of the engine before the firewall leads it anywhere.

A held port cannot be taken by somebody else, and one that is taken is found out at once. What the kernel translates
never reaches the socket: all of IPv4, and IPv6 for containers that have it. The rest is relayed (`relay.py`); relays
pause while the engine is down.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import ip_address
from typing import Final, TypeAlias

from engine.errors import InvalidParameter, NotImplementedHere, PortInUse
from engine.networks.model import Address, PublishedPort
from engine.networks.relay import Relay

_KINDS: Final = {
    "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}
_TRIES: Final = 50
_BACKLOG: Final = 1024
_ANY4: Final = "0.0.0.0"
_ANY6: Final = "::"


_Held: TypeAlias = tuple[PublishedPort, socket.socket]


class Ports:
    """The ports that this engine holds, and its relays. Threads may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, list[_Held]] = {}
        self._relay = Relay()

    def hold(self, container_id: str, requests: Sequence[PublishedPort]) -> list[PublishedPort]:
        """Hold the ports of *requests* and return them as they are: concrete, a row for each family.

        `PortInUse` in Docker's words when one is taken; none is held then.
        """
        held: list[_Held] = []
        with self._lock, ExitStack() as stack:
            for request in requests:
                for row, holder in self._bound(request, others=held):
                    stack.callback(holder.close)
                    held.append((row, holder))
            stack.pop_all()
            self._held.setdefault(container_id, []).extend(held)
        return [row for row, _ in held]

    def relay(self, container_id: str, rows: Sequence[PublishedPort], address: Address) -> None:
        """Begin to relay the IPv6 ones of *rows*, which are held, to the container at *address*."""
        with self._lock:
            held = tuple(self._held.get(container_id, ()))
        for row, holder in held:
            if row in rows and _relayed(row):
                self._relay.serve(holder, str(address), row.container_port)

    def release(self, container_id: str) -> None:
        """Let go of a container's ports; no error when it has none."""
        with self._lock:
            held = self._held.pop(container_id, [])
        for row, holder in held:
            if _relayed(row):
                self._relay.end(holder)
            else:
                holder.close()

    def close(self) -> None:
        """Let go of everything and end the relays."""
        with self._lock:
            held = list(self._held)
        for container_id in held:
            self.release(container_id)
        self._relay.close()

    def _bound(self, request: PublishedPort, *, others: Sequence[_Held]) -> list[_Held]:
        """Sockets for *request*: IPv4 and, where it names no address, IPv6 on the same port."""
        candidates = _candidates(request)
        for number, wanted in enumerate(candidates, start=1):
            bound: list[_Held] = []
            port = wanted
            try:
                for address in _addresses(request):
                    holder = _hold(request.protocol, address, port)
                    if holder is not None:
                        port = holder.getsockname()[1]
                        bound.append((replace(request, host_ip=address, host_port=port, host_port_last=0), holder))
            except OSError as error:
                for _, holder in bound:
                    holder.close()
                # The kernel's free choice for IPv4 may be taken for IPv6: another one will do, as in a range.
                if error.errno == errno.EADDRINUSE and number < len(candidates):
                    continue
                raise self._refusal(request.protocol, address, port, error, others) from error
            if not bound:
                raise PortInUse(f"Bind for [{request.host_ip}]:{port} failed: the host does not have this address")
            return bound
        raise AssertionError("the last candidate returns or raises")

    def _refusal(self, protocol: str, address: str, port: int, error: OSError, others: Sequence[_Held]) -> PortInUse:
        """Docker's words: those of its own table of ports for a port of ours, and its proxy's for a stranger's."""
        shown = f"[{address}]" if ":" in address else address
        held = [row for row, _ in others] + [row for held in self._held.values() for row, _ in held]
        if error.errno == errno.EADDRINUSE and (protocol, port) in {(row.protocol, row.host_port) for row in held}:
            return PortInUse(f"Bind for {shown}:{port} failed: port is already allocated")
        version = 6 if ":" in address else 4
        reason = (os.strerror(error.errno or 0)).lower()
        return PortInUse(f"listen {protocol}{version} {shown}:{port}: bind: {reason}")


def _candidates(request: PublishedPort) -> Sequence[int]:
    """The ports of the host to try, one after the other; 0 leaves the choice to the kernel."""
    if request.host_port_last:
        return range(request.host_port, request.host_port_last + 1)
    return (request.host_port,) * (1 if request.host_port else _TRIES)


def _relayed(row: PublishedPort) -> bool:
    return ":" in row.host_ip and row.protocol != "sctp"


def _addresses(request: PublishedPort) -> Sequence[str]:
    """The addresses to hold for a request. SCTP has no relay: without an address it is published for IPv4."""
    if request.protocol not in _KINDS:
        raise InvalidParameter(f"invalid proto: {request.protocol[:20]}: publish tcp, udp or sctp")
    if not request.host_ip:
        return [_ANY4] if request.protocol == "sctp" else [_ANY4, _ANY6]
    try:
        return [str(ip_address(request.host_ip))]
    except ValueError as error:
        raise InvalidParameter(f"invalid host address {request.host_ip[:60]!r} of a published port") from error


def _hold(protocol: str, address: str, port: int) -> socket.socket | None:
    """A socket bound to *address* and *port*; `None` for both families' sake where the host has no IPv6. `OSError`."""
    if ip_address(address).version == 4:
        return _hold4(protocol, address, port)
    try:
        holder = _opened(socket.AF_INET6, protocol)
    except OSError:
        return None
    try:
        holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if protocol != "udp":  # two sockets of datagrams with that option would share the port
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((address, port))
        if protocol != "udp":
            holder.listen(_BACKLOG)
    except OSError as error:
        holder.close()
        if error.errno == errno.EADDRNOTAVAIL:
            return None
        raise
    return holder


def _hold4(protocol: str, address: str, port: int) -> socket.socket:
    holder = _opened(socket.AF_INET, protocol)
    try:
        # A port that the kernel chooses has no past. A given one may have connections of a former server in TIME-WAIT,
        # which SO_REUSEADDR passes over; but others could pass over a socket with it as well, unless it listens. So it
        # listens for a moment, and is then closed to connections, but bound, and without the option.
        reuse = protocol == "tcp" and port != 0
        if reuse:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((address, port))
        if reuse:
            holder.listen(0)
            holder.shutdown(socket.SHUT_RD)
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError:
        holder.close()
        raise
    return holder


def _opened(family: socket.AddressFamily, protocol: str) -> socket.socket:
    kind, number = _KINDS[protocol]
    try:
        return socket.socket(family, kind | socket.SOCK_CLOEXEC, number)
    except OSError as error:
        if error.errno == errno.EPROTONOSUPPORT:
            raise NotImplementedHere(f"{protocol} ports cannot be published: this host's kernel lacks it") from error
        raise
