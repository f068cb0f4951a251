"""`GET /events`: what happens, as it happens."""

from __future__ import annotations

import asyncio

from aiohttp import web

from engine.api.call import Call, begin_stream, encode
from engine.api.render_event import Wanted, event
from engine.api.router import Routes
from engine.errors import InvalidParameter
from engine.events import Event
from engine.types import SECOND, now

routes = Routes()

_BACKLOG = 10_000
"""Events that may wait for a slow client; it is cut off after that."""


@routes.get("/events")
async def events(call: Call) -> web.StreamResponse:
    wanted = Wanted(call.query.filters())
    since, until = call.query.instant("since"), call.query.instant("until")
    if since is not None and until is not None and until < since:
        told = (call.query.text(name)[:40] for name in ("since", "until"))
        raise InvalidParameter("`since` time ({}) cannot be after `until` time ({})".format(*told))
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Event | None] = asyncio.Queue()

    def put(happened: Event) -> None:
        if queue.qsize() < _BACKLOG:
            queue.put_nowait(happened)
        elif call.request.transport is not None:
            call.request.transport.abort()  # its handler waits in a write, and is cancelled

    def deliver(happened: Event) -> None:
        if (until is None or happened.time <= until) and wanted(happened):
            loop.call_soon_threadsafe(put, happened)

    # The past is wanted where a time is given; `until` alone means the past as well.
    beginning = since if since is not None else (0 if until is not None else None)
    with call.engine.events.subscribed(deliver, since=beginning):
        response = await begin_stream(call)
        timer = None
        if until is not None:
            # The end of the queue is put behind what the bus has just delivered.
            timer = loop.call_later(max(0.0, (until - now()) / SECOND), queue.put_nowait, None)
        try:
            while (happened := await queue.get()) is not None:
                lines = [encode(event(happened))]
                ended = False
                while not queue.empty():
                    following = queue.get_nowait()
                    if following is None:
                        ended = True
                        break
                    lines.append(encode(event(following)))
                await response.write(b"".join(lines))
                if ended:
                    break
        finally:
            if timer is not None:
                timer.cancel()
    return response
