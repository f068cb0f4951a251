"""Published ports on the host: each is held by a socket of the engine before the firewall leads it anywhere.

A held port cannot be taken by somebody else, and one that is taken is found out at once. IPv4 connections are
translated by the kernel and never reach the socket. For IPv6 the socket listens, and the engine relays to the
container's IPv4 address; such relays pause while the engine is down.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import IPv4Address, ip_address
from typing import Final

from engine.errors import InvalidParameter, PortInUse
from engine.networks.model import PublishedPort

_LOG: Final = logging.getLogger(__name__)
_KINDS: Final = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
_TRIES: Final = 50
_CHUNK: Final = 256 * 1024
_ANY4: Final = "0.0.0.0"
_ANY6: Final = "::"


class Ports:
    """The ports that this engine holds, and its relays. Threads may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, list[socket.socket]] = {}
        self._relay = Relay()

    def hold(self, container_id: str, requests: Sequence[PublishedPort]) -> list[PublishedPort]:
        """Hold the ports of *requests* and return them as they are: concrete, a row for each family.

        `PortInUse` in Docker's words when one is taken; none is held then.
        """
        rows: list[PublishedPort] = []
        with ExitStack() as stack:
            sockets: list[socket.socket] = []
            for request in requests:
                for row, holder in _bound(request):
                    stack.callback(holder.close)
                    rows.append(row)
                    sockets.append(holder)
            stack.pop_all()
        with self._lock:
            self._held.setdefault(container_id, []).extend(sockets)
        return rows

    def relay(self, container_id: str, rows: Sequence[PublishedPort], address: IPv4Address) -> None:
        """Begin to answer the IPv6 ones of *rows*, which are held, for the container at *address*."""
        with self._lock:
            sockets = {
                (holder.type, holder.getsockname()[0], holder.getsockname()[1]): holder
                for holder in self._held.get(container_id, ())
            }
        for row in rows:
            holder = sockets.get((_KINDS[row.protocol], row.host_ip, row.host_port))
            if holder is not None and holder.family == socket.AF_INET6:
                self._relay.serve(holder, str(address), row.container_port)

    def release(self, container_id: str) -> None:
        """Let go of a container's ports; no error when it has none."""
        with self._lock:
            sockets = self._held.pop(container_id, [])
        for holder in sockets:
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


class Relay:
    """Carries IPv6 connections to IPv4 addresses, on one thread with an event loop, started when first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._servers: dict[int, asyncio.Server] = {}

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
        """Stop accepting on *listener* and close it."""
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
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await _carry(reader, writer, address, port)

        listener.setblocking(False)
        self._servers[listener.fileno()] = await asyncio.start_server(connected, sock=listener, limit=_CHUNK)

    async def _end(self, listener: socket.socket) -> None:
        server = self._servers.pop(listener.fileno())
        server.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str, port: int) -> None:
    try:
        there, back = await asyncio.open_connection(address, port, limit=_CHUNK)
    except OSError as error:
        _LOG.debug("no connection to %s port %d: %s", address, port, error)
        writer.close()
        return
    with contextlib.suppress(ConnectionError, asyncio.CancelledError):
        await asyncio.gather(_copy(reader, back), _copy(there, writer))
    for end in (writer, back):
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


def _bound(request: PublishedPort) -> list[tuple[PublishedPort, socket.socket]]:
    """Sockets for *request*: IPv4 and, where it names no address, IPv6 on the same port."""
    if request.protocol not in _KINDS:
        raise InvalidParameter(f"invalid proto: {request.protocol[:20]}: publish tcp or udp")
    addresses = [request.host_ip] if request.host_ip else [_ANY4, _ANY6]
    for attempt in range(_TRIES):
        bound: list[tuple[PublishedPort, socket.socket]] = []
        port = request.host_port
        try:
            for address in addresses:
                holder = _hold(request.protocol, address, port)
                if holder is None:
                    continue
                port = holder.getsockname()[1]
                bound.append((replace(request, host_ip=address, host_port=port), holder))
        except PortInUse:
            for _, holder in bound:
                holder.close()
            # The kernel's free choice for IPv4 may be taken for IPv6: another one will do.
            if request.host_port or attempt == _TRIES - 1:
                raise
            continue
        return bound
    return []


def _hold(protocol: str, address: str, port: int) -> socket.socket | None:
    """A socket bound to *address* and *port*; `None` where the host has no IPv6, or for what cannot be relayed."""
    try:
        version = ip_address(address).version
    except ValueError as error:
        raise InvalidParameter(f"invalid host address {address[:60]!r} of a published port") from error
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    if family == socket.AF_INET6 and (protocol != "tcp" or not socket.has_ipv6):
        return None
    try:
        holder = socket.socket(family, _KINDS[protocol] | socket.SOCK_CLOEXEC)
    except OSError:
        if family == socket.AF_INET6:
            return None
        raise
    try:
        if family == socket.AF_INET6:
            holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        holder.bind((address, port))
    except OSError as error:
        holder.close()
        if family == socket.AF_INET6 and error.errno == errno.EADDRNOTAVAIL:
            return None
        shown = f"[{address}]" if family == socket.AF_INET6 else address
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(f"Bind for {shown}:{port} failed: port is already allocated") from error
        raise PortInUse(f"Bind for {shown}:{port} failed: {error.strerror}") from error
    return holder
