"""`POST /containers/{id}/wait`."""

from __future__ import annotations

import asyncio

from aiohttp import web

from engine.api.call import Call, begin_stream, encode
from engine.api.router import Routes
from engine.containers.model import WaitCondition
from engine.errors import InvalidParameter

routes = Routes()


@routes.post("/containers/{id}/wait")
async def wait(call: Call) -> web.StreamResponse:
    """Registered first, then the headers at once, then the exit code: `docker run` starts the container in between."""
    text = call.query.text("condition") or WaitCondition.NOT_RUNNING
    try:
        condition = WaitCondition(text)
    except ValueError as error:
        raise InvalidParameter(f'invalid condition: "{text[:60]}"') from error
    handle = await call.workers.quick(call.engine.containers.wait, call.arguments["id"], condition)
    try:
        response = await begin_stream(call)
        code, _ = await asyncio.wrap_future(handle)
    except BaseException:
        handle.cancel()
        raise
    # `Error` is for a wait that failed: the CLI turns it into a line of its own and the code 125. Why a process ended
    # or did not start is told by the start's answer and by inspect.
    await response.write(encode({"StatusCode": code}))
    return response
