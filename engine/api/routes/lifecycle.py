"""What is done to a container: start, stop, restart, kill, pause, unpause, rename, resize."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from engine.api.call import Call, empty_answer
from engine.api.console import terminal_size
from engine.api.router import Routes
from engine.errors import InvalidParameter, NotFound

routes = Routes()
_NOTHING: Final = len("null\r\n")
"""Bytes that say nothing: `{}` or `null` and the end of a line."""


@routes.post("/containers/{id}/start")
async def start(call: Call) -> web.Response:
    length = call.request.content_length
    if (length or 0) > _NOTHING or (length is None and call.request.can_read_body):
        raise InvalidParameter(
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24: give "
            "its HostConfig when it is created"
        )
    await call.workers.patient(call.engine.containers.start, call.arguments["id"])
    return empty_answer()


@routes.post("/containers/{id}/stop")
async def stop(call: Call) -> web.Response:
    await call.workers.patient(
        call.engine.containers.stop,
        call.arguments["id"],
        timeout=call.query.integer("t"),
        signal=call.query.text("signal") or None,
    )
    return empty_answer()


@routes.post("/containers/{id}/restart")
async def restart(call: Call) -> web.Response:
    await call.workers.patient(
        call.engine.containers.restart,
        call.arguments["id"],
        timeout=call.query.integer("t"),
        signal=call.query.text("signal") or None,
    )
    return empty_answer()


@routes.post("/containers/{id}/kill")
async def kill(call: Call) -> web.Response:
    signal = call.query.text("signal") or "SIGKILL"
    identifier = call.arguments["id"]
    try:
        await call.workers.patient(call.engine.containers.kill, identifier, signal=signal)
    except NotFound as error:
        raise NotFound(f"Cannot kill container: {identifier}: {error}") from error
    return empty_answer()


@routes.post("/containers/{id}/pause")
async def pause(call: Call) -> web.Response:
    await call.workers.patient(call.engine.containers.pause, call.arguments["id"])
    return empty_answer()


@routes.post("/containers/{id}/unpause")
async def unpause(call: Call) -> web.Response:
    await call.workers.patient(call.engine.containers.unpause, call.arguments["id"])
    return empty_answer()


@routes.post("/containers/{id}/rename")
async def rename(call: Call) -> web.Response:
    name = call.query.text("name")
    if not name:
        raise InvalidParameter("Neither old nor new names may be empty")
    await call.workers.quick(call.engine.containers.rename, call.arguments["id"], name)
    return empty_answer()


@routes.post("/containers/{id}/resize")
async def resize(call: Call) -> web.Response:
    rows, cols = terminal_size(call.query)
    await call.workers.quick(call.engine.containers.resize, call.arguments["id"], rows=rows, cols=cols)
    return empty_answer(200)
