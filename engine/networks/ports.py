"""Published ports on the host: each is held by a socket of the engine before the firewall leads it anywhere.

A held port cannot be taken by somebody else, and one that is taken is found out at once. IPv4 connections are
translated by the kernel and never reach the socket. For IPv6 the socket listens, and the engine relays to the
container's IPv4 address; such relays pause while the engine is down.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import IPv4Address, ip_address
from typing import Final, TypeAlias

from engine.errors import InvalidParameter, NotImplementedHere, PortInUse
from engine.networks.model import PublishedPort

_LOG: Final = logging.getLogger(__name__)
_KINDS: Final = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
_TRIES: Final = 50
_CHUNK: Final = 256 * 1024
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

    def relay(self, container_id: str, rows: Sequence[PublishedPort], address: IPv4Address) -> None:
        """Begin to answer the IPv6 ones of *rows*, which are held, for the container at *address*."""
        with self._lock:
            held = tuple(self._held.get(container_id, ()))
        for row, holder in held:
            if row in rows and holder.family == socket.AF_INET6:
                self._relay.serve(holder, str(address), row.container_port)

    def release(self, container_id: str) -> None:
        """Let go of a container's ports; no error when it has none."""
        with self._lock:
            held = self._held.pop(container_id, [])
        for _, holder in held:
            if holder.family == socket.AF_INET6:
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
        for attempt in range(_TRIES):
            bound: list[_Held] = []
            port = request.host_port
            try:
                for address in _addresses(request):
                    holder = _hold(request.protocol, address, port)
                    if holder is not None:
                        port = holder.getsockname()[1]
                        bound.append((replace(request, host_ip=address, host_port=port), holder))
            except OSError as error:
                for _, holder in bound:
                    holder.close()
                # The kernel's free choice for IPv4 may be taken for IPv6: another one will do.
                if error.errno == errno.EADDRINUSE and request.host_port == 0 and attempt < _TRIES - 1:
                    continue
                raise self._refusal(request.protocol, address, port, error, others) from error
            if not bound:
                raise PortInUse(f"Bind for [{request.host_ip}]:{port} failed: the host does not have this address")
            return bound
        raise AssertionError("the last attempt returns or raises")

    def _refusal(self, protocol: str, address: str, port: int, error: OSError, others: Sequence[_Held]) -> PortInUse:
        """Docker's words: those of its own table of ports for a port of ours, and its proxy's for a stranger's."""
        shown = f"[{address}]" if ":" in address else address
        held = [row for row, _ in others] + [row for held in self._held.values() for row, _ in held]
        if error.errno == errno.EADDRINUSE and (protocol, port) in {(row.protocol, row.host_port) for row in held}:
            return PortInUse(f"Bind for {shown}:{port} failed: port is already allocated")
        version = 6 if ":" in address else 4
        reason = (os.strerror(error.errno or 0)).lower()
        return PortInUse(f"listen {protocol}{version} {shown}:{port}: bind: {reason}")


class Relay:
    """Carries IPv6 connections to IPv4 addresses, on one thread with an event loop, started when first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._servers: dict[int, asyncio.Server] = {}
        self._connections: dict[int, set[asyncio.Task[None]]] = {}

    def serve(self, listener: socket.socket, address: str, port: int) -> None:
        """Accept on *listener* and connect each client to *address* and *port*."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="port-relay", daemon=True)
                self._thread.start()
            loop = self._loop
        asyncio.run_coroutine_threadsafe(self._serve(listener, address, port), loop).result(timeout=10)

    def end(self, listener: socket.socket) -> None:
        """Stop accepting on *listener*, close it, and cut its connections: their container has gone."""
        if self._loop is None or listener.fileno() not in self._servers:
            listener.close()
            return
        asyncio.run_coroutine_threadsafe(self._end(listener), self._loop).result(timeout=10)

    def close(self) -> None:
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()

    async def _serve(self, listener: socket.socket, address: str, port: int) -> None:
        connections: set[asyncio.Task[None]] = set()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.get_running_loop().create_task(_carry(reader, writer, address, port))
            connections.add(task)
            task.add_done_callback(connections.discard)

        listener.setblocking(False)
        self._servers[listener.fileno()] = await asyncio.start_server(connected, sock=listener, limit=_CHUNK)
        self._connections[listener.fileno()] = connections

    async def _end(self, listener: socket.socket) -> None:
        connections = tuple(self._connections.pop(listener.fileno()))
        self._servers.pop(listener.fileno()).close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str, port: int) -> None:
    ends = [writer]
    try:
        there, back = await asyncio.open_connection(address, port, limit=_CHUNK)
        ends.append(back)
        async with asyncio.TaskGroup() as both:
            both.create_task(_copy(reader, back))
            both.create_task(_copy(there, writer))
    except* OSError as errors:
        _LOG.debug("a connection to %s port %d has ended: %s", address, port, errors.exceptions)
    except* asyncio.CancelledError:
        # Nobody is left to take what is still to be sent, and waiting for that would keep the descriptor.
        for end in ends:
            end.transport.abort()
    finally:
        for end in ends:
            end.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def _cancel_all() -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _addresses(request: PublishedPort) -> Sequence[str]:
    """The addresses to hold for a request. IPv6 has no relay for datagrams: asked for by name, that is refused."""
    if request.protocol not in _KINDS:
        raise InvalidParameter(f"invalid proto: {request.protocol[:20]}: publish tcp or udp")
    if not request.host_ip:
        return [_ANY4, _ANY6] if request.protocol == "tcp" else [_ANY4]
    try:
        address = ip_address(request.host_ip)
    except ValueError as error:
        raise InvalidParameter(f"invalid host address {request.host_ip[:60]!r} of a published port") from error
    if address.version == 6 and request.protocol != "tcp":
        raise NotImplementedHere(f"{request.protocol} ports cannot be published at an IPv6 address: name an IPv4 one")
    return [str(address)]


def _hold(protocol: str, address: str, port: int) -> socket.socket | None:
    """A socket bound to *address* and *port*; `None` for both families' sake where the host has no IPv6. `OSError`."""
    if ip_address(address).version == 4:
        return _hold4(protocol, address, port)
    try:
        holder = socket.socket(socket.AF_INET6, _KINDS[protocol] | socket.SOCK_CLOEXEC)
    except OSError:
        return None
    try:
        holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((address, port))
        holder.listen(_BACKLOG)
    except OSError as error:
        holder.close()
        if error.errno == errno.EADDRNOTAVAIL:
            return None
        raise
    return holder


def _hold4(protocol: str, address: str, port: int) -> socket.socket:
    holder = socket.socket(socket.AF_INET, _KINDS[protocol] | socket.SOCK_CLOEXEC)
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
