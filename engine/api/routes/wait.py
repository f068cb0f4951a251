"""`POST /containers/{id}/wait`."""

from __future__ import annotations

import asyncio
from typing import Any

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
        raise InvalidParameter(f"invalid condition: {text[:60]!r}") from error
    handle = await call.workers.quick(call.engine.containers.wait, call.arguments["id"], condition)
    try:
        response = await begin_stream(call)
        code, message = await asyncio.wrap_future(handle)
    except BaseException:
        handle.cancel()
        raise
    document: dict[str, Any] = {"StatusCode": code}
    if message:
        document["Error"] = {"Message": message}
    await response.write(encode(document))
    return response
