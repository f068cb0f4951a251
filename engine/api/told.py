"""Answers that tell of work while it goes on: JSON lines that end in CRLF, as of pull, push, load and import."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from aiohttp import web

from engine.api.call import Call, begin_stream, encode_line
from engine.api.status import status_of
from engine.errors import EngineError

Tell = Callable[[dict[str, Any]], None]
"""Sends a line; any thread may call it, and it does not wait."""

Work = Callable[[Tell, threading.Event], None]
"""Does the work; the event is set when the client has left."""


class Lines(asyncio.Queue[dict[str, Any] | None]):
    """Lines that wait for a client that may read slowly or not at all; `None` behind the last.

    When `BACKLOG` of them wait, those that only tell how far something is are left out: the next one tells more.
    """

    BACKLOG = 1000

    def put_nowait(self, line: dict[str, Any] | None) -> None:
        if self.qsize() < self.BACKLOG or line is None or not line.get("progressDetail"):
            super().put_nowait(line)


async def told(call: Call, work: Work, *, at_once: bool = False, takes_body: bool = False) -> web.StreamResponse:
    """Run *work* on a thread and send its lines as they come.

    An error before the first line is an answer with a status of its own, unless the answer shall begin *at_once*;
    later it is the last line, as in Docker. Work that *takes the body* goes on only as the client sends it.
    """
    loop = asyncio.get_running_loop()
    queue = Lines()
    cancel = threading.Event()

    def tell(line: dict[str, Any] | None) -> None:
        loop.call_soon_threadsafe(queue.put_nowait, line)

    def run() -> None:
        try:
            work(tell, cancel)
        finally:
            tell(None)

    call.becomes_stream()
    running = asyncio.ensure_future(call.workers.transfer(run) if takes_body else call.workers.pull(run))
    try:
        return await _send(call, queue, running, at_once=at_once)
    except BaseException:
        # The client has left: nobody waits for this any more.
        cancel.set()
        running.add_done_callback(lambda done: done.cancelled() or done.exception())
        raise


async def _send(call: Call, queue: Lines, running: asyncio.Future[None], *, at_once: bool) -> web.StreamResponse:
    response = await begin_stream(call) if at_once else None
    line = await queue.get()
    if line is None and response is None:
        await running
    if response is None:
        response = await begin_stream(call)
    while line is not None:
        lines = [encode_line(line)]
        while not queue.empty() and (line := queue.get_nowait()) is not None:
            lines.append(encode_line(line))
        await response.write(b"".join(lines))
        if line is not None:
            line = await queue.get()
    try:
        await running
    except EngineError as error:
        await response.write(
            encode_line({"errorDetail": {"code": status_of(error), "message": str(error)}, "error": str(error)})
        )
    return response
