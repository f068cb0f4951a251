"""The resolvers of all containers, served by one thread with an event loop."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from engine.networks.dns import upstream, wire
from engine.networks.dns.names import Names
from engine.networks.dns.sockets import Listening, listen
from engine.networks.dns.upstream import HostServers
from engine.networks.loops import LoopThread
from engine.networks.model import Address, Endpoint

_LOG: Final = logging.getLogger(__name__)
_AT_ONCE: Final = 1024
"""Questions of one container that wait for others' answers; more are refused."""
_CONNECTIONS: Final = 64
_WINDOW: Final = 0.1
_IN_A_WINDOW: Final = 200
"""Datagrams of one container in so many seconds: who sends more waits, and takes nobody else's time."""
_IDLE: Final = 30.0
"""Seconds that a TCP connection may stand without a question."""
_LARGEST: Final = 65535


@dataclass(eq=False, slots=True)
class _Client:
    """A container that asks."""

    container_id: str
    namespace: Path
    listening: Listening
    servers: tuple[Address, ...]
    """Where other names are asked for; none are the host's."""
    waiting: int = 0
    window: float = 0.0
    """When the datagrams of now began to be counted, and how many there were."""
    counted: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class Resolver:
    """Any thread may use it. *endpoints* tells where a container is at the moment, *shut* whether it has no way out."""

    def __init__(
        self, *, endpoints: Callable[[str], Sequence[Endpoint]], shut: Callable[[Sequence[Endpoint]], bool]
    ) -> None:
        self.names = Names()
        self._endpoints = endpoints
        self._shut = shut
        self._host = HostServers()
        self._lock = threading.Lock()
        self._clients: dict[str, _Client] = {}
        self._asking: dict[str, tuple[Endpoint, ...]] = {}
        self._thread = LoopThread("dns")

    def serve(self, container_id: str, namespace: Path, servers: tuple[Address, ...]) -> None:
        """Answer a container; no error where it is answered already. `OSError`, `EngineFault`."""
        if container_id in self._clients:
            return
        client = _Client(container_id, namespace, listen(namespace), servers)
        with self._lock:
            self._clients[container_id] = client
        self._thread.run(self._begin(client))

    def moved(self, container_id: str) -> None:
        """Notice that a container has joined or left a network."""
        if container_id in self._clients:
            self._asking[container_id] = tuple(self._endpoints(container_id))

    def end(self, container_id: str) -> None:
        """Stop answering a container: its namespace ends, and open sockets would keep it."""
        with self._lock:
            client = self._clients.pop(container_id, None)
        self._asking.pop(container_id, None)
        if client is not None:
            self._thread.run(self._end(client))

    def close(self) -> None:
        """End the thread; containers ask in vain until another daemon comes."""
        for container_id in tuple(self._clients):
            self.end(container_id)
        self._thread.close()

    async def _begin(self, client: _Client) -> None:
        self._asking[client.container_id] = tuple(self._endpoints(client.container_id))
        loop = asyncio.get_running_loop()
        loop.add_reader(client.listening.datagrams, self._datagram, client)
        loop.add_reader(client.listening.stream, self._connected, client)

    async def _end(self, client: _Client) -> None:
        loop = asyncio.get_running_loop()
        for listening in (client.listening.datagrams, client.listening.stream):
            loop.remove_reader(listening)
        client.listening.close()
        tasks = tuple(client.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _datagram(self, client: _Client) -> None:
        self._count(client)
        try:
            message, sender = client.listening.datagrams.recvfrom(_LARGEST)
        except OSError:
            return  # an error of an earlier answer, or nothing after all
        try:
            question = wire.parse(message)
        except wire.Malformed as error:
            _LOG.debug("container %s asks nonsense: %s", client.container_id[:12], error)
            return
        known = self._known(client, question)
        if known is not None:
            _send(client.listening.datagrams, wire.shortened(question, known), sender)
        else:
            self._later(client, self._forward_datagram(client, question, message, sender))

    def _count(self, client: _Client) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() - client.window > _WINDOW:
            client.window, client.counted = loop.time(), 0
        client.counted += 1
        if client.counted == _IN_A_WINDOW:
            loop.remove_reader(client.listening.datagrams)
            loop.call_later(_WINDOW, self._go_on, client)

    def _go_on(self, client: _Client) -> None:
        if self._clients.get(client.container_id) is client:
            asyncio.get_running_loop().add_reader(client.listening.datagrams, self._datagram, client)

    async def _forward_datagram(
        self, client: _Client, question: wire.Question, message: bytes, sender: tuple[str, int]
    ) -> None:
        answer = await self._forwarded(client, question, message, tcp=False)
        _send(client.listening.datagrams, wire.shortened(question, answer), sender)

    def _connected(self, client: _Client) -> None:
        try:
            connection, _ = client.listening.stream.accept()
        except OSError:
            return
        if len(client.tasks) >= _AT_ONCE + _CONNECTIONS:
            connection.close()
            return
        self._later(client, self._converse(client, connection))

    async def _converse(self, client: _Client, connection: socket.socket) -> None:
        """Questions by TCP, each with its length before it (RFC 1035, 4.2.2)."""
        connection.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=connection)
        try:
            while True:
                async with asyncio.timeout(_IDLE):
                    length = int.from_bytes(await reader.readexactly(2), "big")
                    message = await reader.readexactly(length)
                question = wire.parse(message)
                answer = self._known(client, question)
                if answer is None:
                    answer = await self._forwarded(client, question, message, tcp=True)
                writer.write(len(answer).to_bytes(2, "big") + answer)
                await writer.drain()
        except (EOFError, OSError, TimeoutError, wire.Malformed):
            return  # it has gone, or says nothing that makes sense
        finally:
            writer.close()

    def _known(self, client: _Client, question: wire.Question) -> bytes | None:
        asking = self._asking.get(client.container_id, ())
        return wire.answer(
            question,
            find=lambda name: self.names.find(name, asking),
            find_address=lambda address: self.names.find_address(address, asking),
        )

    async def _forwarded(self, client: _Client, question: wire.Question, message: bytes, *, tcp: bool) -> bytes:
        if client.waiting >= _AT_ONCE:
            return wire.failure(question, "REFUSED")
        if not client.servers and self._shut(self._asking.get(client.container_id, ())):
            # An internal network has no way out, and names are a way.
            return wire.failure(question)
        client.waiting += 1
        try:
            answer = await upstream.ask(
                message,
                client.servers or self._host.get(),
                namespace=client.namespace if client.servers else None,
                tcp=tcp,
            )
        finally:
            client.waiting -= 1
        return answer or wire.failure(question)

    def _later(self, client: _Client, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        client.tasks.add(task)
        task.add_done_callback(client.tasks.discard)


def _send(listening: socket.socket, message: bytes, to: tuple[str, int]) -> None:
    try:
        listening.sendto(message, to)
    except OSError as error:
        _LOG.debug("an answer was lost: %s", error)
