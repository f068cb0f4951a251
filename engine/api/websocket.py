"""Streams over a websocket (RFC 6455): binary messages out, binary or text ones in, output unframed."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from engine.api.call import Call

_LARGEST_MESSAGE: Final = 1024 * 1024
_HEARTBEAT: Final = 30.0


class WebSocketPeer:
    """A client's end of a stream (`engine.api.pump.Peer`). A websocket has no half-close: who ends the input leaves."""

    def __init__(self) -> None:
        self._socket = web.WebSocketResponse(max_msg_size=_LARGEST_MESSAGE, heartbeat=_HEARTBEAT)
        self._left = asyncio.Event()

    async def accept(self, call: Call) -> None:
        """Answer the handshake; an error of the library's own where the request is none."""
        await self._socket.prepare(call.request)
        call.becomes_stream()

    async def settle(self) -> None:
        """A client has its stream when it has the handshake."""

    async def read(self) -> bytes:
        async for message in self._socket:
            if message.type is web.WSMsgType.TEXT and message.data:
                return message.data.encode()  # type: ignore[no-any-return]
            if message.type is web.WSMsgType.BINARY and message.data:
                return message.data  # type: ignore[no-any-return]
        self._left.set()
        return b""

    async def write(self, data: bytes) -> None:
        await self._socket.send_bytes(data)

    async def gone(self) -> None:
        await self._left.wait()

    async def close(self) -> web.WebSocketResponse:
        """End the connection after what has been written, and give what the handler is to return."""
        await self._socket.close()
        return self._socket
