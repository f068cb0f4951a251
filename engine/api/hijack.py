"""Connections that stop being HTTP: attach and exec start.

The client says what it wants in a request, and from the answer's head on the connection is the container's standard
streams: input until the client's half-close, output until the process ends.

aiohttp's protocol closes a connection at the client's end of input, so the connection is given another protocol before
anything else is done; what the client typed ahead is carried over.
"""

from __future__ import annotations

import asyncio
import http
import select
from collections.abc import Callable
from typing import Final

from aiohttp import web

from engine.api.call import Call, encode
from engine.api.connection import HttpConnection
from engine.api.version import MULTIPLEXED_TYPE, PRODUCT_VERSION
from engine.kernel.unread import unread

_SETTLE: Final = 2.0
"""Seconds that the first output waits at most until the client has read the head."""
_LOOK: Final = 0.0005
"""Seconds between two looks whether it has."""
_LIMIT: Final = 64 * 1024
"""Bytes of input held before the client has to wait."""


class Hijacked(web.StreamResponse):
    """What the handler of a hijacked connection returns: everything has been sent already."""

    async def prepare(self, _request: web.BaseRequest) -> None:
        return None

    async def write_eof(self, _data: bytes = b"") -> None:
        return None

    @property
    def keep_alive(self) -> bool:
        return False


class Connection:
    """A hijacked connection, a client's end of a stream (`engine.api.pump.Peer`).

    Made first of all in a handler, before anything that awaits the engine.
    """

    def __init__(self, call: Call) -> None:
        call.becomes_stream()
        request = call.request
        if request.transport is None:
            raise ConnectionResetError("the client has left")
        self._upgrade = request.headers.get("Upgrade", "").lower() == "tcp"
        self._version = call.version
        self._transport: asyncio.Transport = request.transport
        self._loop = asyncio.get_running_loop()
        self._reader = asyncio.StreamReader(limit=_LIMIT, loop=self._loop)
        request.protocol.set_parser(_TypedAhead(self._reader))  # type: ignore[arg-type]
        if isinstance(request.protocol, HttpConnection) and request.protocol.input_ended:
            self._reader.feed_eof()
        protocol = _Protocol(self._reader, self._loop, request.protocol.connection_lost)
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        self._writer = asyncio.StreamWriter(self._transport, protocol, self._reader, self._loop)
        self._hangup = _Hangup(self._transport, self._loop)
        self._accepted_at = 0.0

    async def accept(self, *, framed: bool) -> None:
        """Send the head: from here on the connection is a stream."""
        kind = "raw-stream" if not framed or self._version < MULTIPLEXED_TYPE else "multiplexed-stream"
        if self._upgrade:
            status, upgrade = "101 UPGRADED", "Connection: Upgrade\r\nUpgrade: tcp\r\n"
        else:
            status, upgrade = "200 OK", ""
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/vnd.docker.{kind}\r\n{upgrade}\r\n"
        self._writer.write(head.encode("ascii"))
        await self._writer.drain()
        self._accepted_at = self._loop.time()

    async def upgrade(self, protocol: str) -> None:
        """Send the head of a connection that speaks *protocol* from here on."""
        head = f"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n"
        self._writer.write(head.encode("ascii"))
        await self._writer.drain()

    async def settle(self) -> None:
        """Wait until the client has read the head: the SDK's `http.client` swallows what comes along with it."""
        connection = self._transport.get_extra_info("socket")
        while not self._transport.is_closing() and unread(connection.fileno()):
            if self._loop.time() > self._accepted_at + _SETTLE:
                return
            await asyncio.sleep(_LOOK)

    async def refuse(self, status: int, message: str) -> None:
        """Answer with an error instead of a head, and end the connection."""
        body = encode({"message": message})
        head = (
            f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
            f"Server: Havre/{PRODUCT_VERSION} (linux)\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self._writer.write(head.encode("ascii") + body)
        await self._writer.drain()

    async def read(self) -> bytes:
        """The client's next input; empty at its end."""
        return await self._reader.read(_LIMIT)

    async def read_exactly(self, size: int) -> bytes:
        """So many bytes of input; `asyncio.IncompleteReadError` where it ends before."""
        return await self._reader.readexactly(size)

    async def write(self, data: bytes) -> None:
        """Send output, waiting while the client does not read; `ConnectionError` when it has left."""
        self._writer.write(data)
        await self._writer.drain()

    async def gone(self) -> None:
        """Return when the client has left altogether; the end of its input alone is no such thing."""
        await self._hangup.wait()

    def close(self) -> Hijacked:
        """End the connection after what has been written, and give what the handler is to return."""
        self._hangup.close()
        self._writer.close()
        return Hijacked()


class _Protocol(asyncio.StreamReaderProtocol):
    """asyncio's own stream protocol, whose `eof_received` keeps the connection open; it tells aiohttp of the end."""

    def __init__(
        self, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop, lost: Callable[[Exception | None], None]
    ) -> None:
        super().__init__(reader, loop=loop)
        self._lost = lost

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._lost(exc)


class _TypedAhead:
    """Takes from aiohttp what came behind the request (`RequestHandler.set_parser`)."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._reader.feed_data(data)
        return False, b""

    def feed_eof(self) -> None:
        """The connection has ended; the reader hears of it from its own protocol."""


class _Hangup:
    """Learns that the peer of a socket has closed both directions.

    After a half-close the event loop does not look at the socket any more, and where nothing is printed nobody would
    notice that the client has left. epoll always tells of a hang-up, even where it is asked for nothing.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._future: asyncio.Future[None] = loop.create_future()
        self._poll = select.epoll(sizehint=1)
        self._poll.register(transport.get_extra_info("socket").fileno(), 0)
        loop.add_reader(self._poll.fileno(), self._happened)

    async def wait(self) -> None:
        await asyncio.shield(self._future)

    def close(self) -> None:
        if not self._poll.closed:
            self._loop.remove_reader(self._poll.fileno())
            self._poll.close()

    def _happened(self) -> None:
        self.close()
        if not self._future.done():
            self._future.set_result(None)
