"""Relays of IPv6 ports: what reaches a held socket is carried to the container, on one thread with an event loop.

They serve where the kernel cannot translate: a container without IPv6, and the host's own connections to ::1.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from engine.networks.loops import LoopThread

_Sender: TypeAlias = tuple[Any, ...]
_LOG: Final = logging.getLogger(__name__)
_CHUNK: Final = 256 * 1024
_DATAGRAM: Final = 65536
_CLIENTS: Final = 1024
"""Senders of datagrams to one port that are remembered at once; the one that was silent longest is forgotten first."""
_SILENCE: Final = 90.0
"""Seconds without a datagram after which a sender is forgotten."""


@dataclass(eq=False, slots=True)
class _Served:
    """A socket that is relayed, and where to."""

    holder: socket.socket
    address: str
    port: int
    server: asyncio.Server | None = None
    connections: set[asyncio.Task[None]] = field(default_factory=set)
    clients: OrderedDict[_Sender, _Client] = field(default_factory=OrderedDict)


@dataclass(eq=False, slots=True)
class _Client:
    """Who sent datagrams, and the socket by which they go on to the container."""

    there: socket.socket
    heard: float


class Relay:
    """Threads may use it."""

    def __init__(self) -> None:
        self._thread = LoopThread("port-relay")
        self._served: dict[int, _Served] = {}

    def serve(self, holder: socket.socket, address: str, port: int) -> None:
        """Carry what comes to *holder* to *address* and *port*; said again, what comes from now on."""
        self._thread.run(self._serve(holder, address, port))

    def end(self, holder: socket.socket) -> None:
        """Stop serving *holder*, close it, and cut its connections: their container has gone."""
        if holder.fileno() not in self._served:
            holder.close()
            return
        self._thread.run(self._end(holder))

    def close(self) -> None:
        self._thread.close()

    async def _serve(self, holder: socket.socket, address: str, port: int) -> None:
        served = self._served.get(holder.fileno())
        if served is not None:
            served.address, served.port = address, port
            _forget_clients(served)
            return
        served = self._served[holder.fileno()] = _Served(holder, address, port)
        holder.setblocking(False)
        if holder.type == socket.SOCK_DGRAM:
            asyncio.get_running_loop().add_reader(holder, _carry_out, served)
            return

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.get_running_loop().create_task(_carry(reader, writer, served.address, served.port))
            served.connections.add(task)
            task.add_done_callback(served.connections.discard)

        served.server = await asyncio.start_server(connected, sock=holder, limit=_CHUNK)

    async def _end(self, holder: socket.socket) -> None:
        served = self._served.pop(holder.fileno())
        if served.server is None:
            asyncio.get_running_loop().remove_reader(holder)
            _forget_clients(served)
            holder.close()
            return
        served.server.close()
        connections = tuple(served.connections)
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


def _carry_out(served: _Served) -> None:
    """A datagram for the container. One that cannot be carried is lost, as datagrams are."""
    loop = asyncio.get_running_loop()
    try:
        data, sender = served.holder.recvfrom(_DATAGRAM)
        client = served.clients.get(sender)
        if client is None:
            _make_room(served, loop.time())
            there = socket.socket(socket.AF_INET6 if ":" in served.address else socket.AF_INET, socket.SOCK_DGRAM)
            client = served.clients[sender] = _Client(there, loop.time())
            there.setblocking(False)
            there.connect((served.address, served.port))
            loop.add_reader(there, _carry_back, served, client, sender)
        client.heard = loop.time()
        served.clients.move_to_end(sender)
        client.there.send(data)
    except OSError as error:
        _LOG.debug("a datagram to %s port %d was lost: %s", served.address, served.port, error)


def _carry_back(served: _Served, client: _Client, sender: _Sender) -> None:
    try:
        served.holder.sendto(client.there.recv(_DATAGRAM), sender)
    except OSError as error:
        _LOG.debug("a datagram from %s port %d was lost: %s", served.address, served.port, error)


def _make_room(served: _Served, now: float) -> None:
    while served.clients:
        sender, client = next(iter(served.clients.items()))
        if len(served.clients) < _CLIENTS and now - client.heard < _SILENCE:
            return
        _close_client(client)
        del served.clients[sender]


def _forget_clients(served: _Served) -> None:
    for client in served.clients.values():
        _close_client(client)
    served.clients.clear()


def _close_client(client: _Client) -> None:
    asyncio.get_running_loop().remove_reader(client.there)
    client.there.close()
