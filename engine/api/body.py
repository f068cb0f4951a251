"""Bodies as streams for the engine's threads, which read and write them while the event loop carries the bytes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from aiohttp import web

from engine.api.call import Call, begin_stream
from engine.api.connection import connection_of
from engine.containers.files.service import Sink
from engine.errors import EngineError
from engine.images.decompress import LONGEST_MAGIC, Rewound, decompressed, sniff
from engine.registry.media import Compression

T = TypeVar("T")

_LOG = logging.getLogger(__name__)


class RequestBody:
    """Reads the body of *request* from a thread other than the event loop's. Made on the event loop."""

    def __init__(self, request: web.BaseRequest) -> None:
        self._content = request.content
        self._loop = asyncio.get_running_loop()
        self._connection = connection_of(request)
        self._held = self._connection.take_body() if self._connection is not None else None

    def read(self, _size: int = -1, /) -> bytes:
        """What has come by now, or comes next; empty at the end. `ConnectionError` when the client has gone."""
        if self._held is not None:
            data = self._held.read()
            self._perhaps_back()
            return data
        return asyncio.run_coroutine_threadsafe(self._content.readany(), self._loop).result()

    def unpack_into(self, sink: Sink) -> None:
        """All of it, an archive in whatever packing. One that is not packed goes by without a copy where it can."""
        start = b""
        while len(start) < LONGEST_MAGIC and (data := self.read()):
            start += data
        if self._held is None or sniff(start, Compression.NONE) is not Compression.NONE:
            for chunk in decompressed(Rewound(start, self), Compression.NONE):
                sink.write(chunk)
            return
        sink.write(start)
        while not self._held.ended:
            sink.fill(self._held.move)
        self._perhaps_back()

    def _perhaps_back(self) -> None:
        if self._held is not None and self._held.ended and self._connection is not None:
            # From here on the event loop sees again when the client leaves.
            self._loop.call_soon_threadsafe(self._connection.give_body_back, self._held)


class ResponseBody:
    """An answer of unknown length, written from the thread that makes it. Made on the event loop.

    What the thread holds open is let go by the thread itself, whatever becomes of the client.
    """

    def __init__(self, call: Call, *, content_type: str) -> None:
        self._call = call
        self._content_type = content_type
        self._loop = asyncio.get_running_loop()
        self._response: web.StreamResponse | None = None

    async def carry(self, work: Callable[[], None]) -> web.StreamResponse:
        """Run *work* on a thread: it calls `begin`, then `write`. What it raises before `begin` is the answer."""
        self._call.becomes_stream()
        try:
            await self._call.workers.transfer(work)
        except Exception as error:
            if self._response is None:
                raise
            # The status is sent: only a connection that breaks off tells the client that this is not all of it.
            if isinstance(error, EngineError):
                _LOG.warning("%s broke off: %s", self._call.request.path, error)
            else:
                _LOG.exception("%s broke off", self._call.request.path)
            if self._call.request.transport is not None:
                self._call.request.transport.abort()
        if self._response is None:
            raise RuntimeError("nothing was begun")
        return self._response

    def begin(self, headers: Mapping[str, str]) -> None:
        """Send status and headers."""
        self._response = self._on_loop(begin_stream(self._call, content_type=self._content_type, headers=headers))

    def write(self, data: bytes) -> None:
        """Send *data*, waiting while the client does not read; `ConnectionError` when it has left."""
        if self._response is not None:
            self._on_loop(self._response.write(data))

    def _on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
