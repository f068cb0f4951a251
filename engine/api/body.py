"""A request's body as a stream for the engine's threads."""

from __future__ import annotations

import asyncio

from aiohttp import web


class RequestBody:
    """Reads the body of *request* from a thread other than the event loop's. Made on the event loop."""

    def __init__(self, request: web.BaseRequest) -> None:
        self._content = request.content
        self._loop = asyncio.get_running_loop()

    def read(self, _size: int = -1, /) -> bytes:
        """What has come by now, or comes next; empty at the end. `ConnectionError` when the client has gone."""
        return asyncio.run_coroutine_threadsafe(self._content.readany(), self._loop).result()
