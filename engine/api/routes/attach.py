"""`POST /containers/{id}/attach`: a container's own standard streams."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from aiohttp import web

from engine.api.call import Call
from engine.api.detach import DetachKeys
from engine.api.hijack import Connection
from engine.api.pump import pump
from engine.api.router import Routes
from engine.api.routes.logs import encoder
from engine.api.status import status_of
from engine.containers.attach import Attachment
from engine.containers.model import LogQuery
from engine.errors import EngineError

routes = Routes()

_LARGEST_MESSAGE: Final = 1024 * 1024
_HEARTBEAT: Final = 30.0


@routes.post("/containers/{id}/attach")
async def attach(call: Call) -> web.StreamResponse:
    connection = Connection(call)
    try:
        try:
            await _attach(call, connection)
        except EngineError as error:
            await connection.refuse(status_of(error), str(error))
    finally:
        answer = connection.close()
    return answer


@routes.get("/containers/{id}/attach/ws")
async def attach_websocket(call: Call) -> web.StreamResponse:
    """The same over a websocket: binary messages both ways, output unframed."""
    query, containers = call.query, call.engine.containers
    attachment = await call.workers.quick(
        containers.attach,
        call.arguments["id"],
        stdin=query.flag("stdin"),
        stdout=query.flag("stdout"),
        stderr=query.flag("stderr"),
    )
    try:
        socket = web.WebSocketResponse(max_msg_size=_LARGEST_MESSAGE, heartbeat=_HEARTBEAT)
        await socket.prepare(call.request)
        call.becomes_stream()
        typed = asyncio.ensure_future(_typed(socket, attachment))
        try:
            async with contextlib.aclosing(attachment.frames()) as batches:  # type: ignore[type-var]
                async for frames in batches:
                    await socket.send_bytes(b"".join([payload for _, payload in frames]))
            await socket.close()
        except ConnectionError:
            return socket  # the client has left
        finally:
            typed.cancel()
    finally:
        attachment.close()
    return socket


async def _typed(socket: web.WebSocketResponse, attachment: Attachment) -> None:
    async for message in socket:
        if message.type in (web.WSMsgType.BINARY, web.WSMsgType.TEXT):
            data = message.data.encode() if message.type is web.WSMsgType.TEXT else message.data
            await attachment.send(data)
    await attachment.close_stdin()
    attachment.close()


async def _attach(call: Call, connection: Connection) -> None:
    query, containers, identifier = call.query, call.engine.containers, call.arguments["id"]
    stdout, stderr = query.flag("stdout"), query.flag("stderr")
    container = await call.workers.quick(containers.known, identifier)
    tty = container.config.tty
    keys = DetachKeys(query.text("detachKeys"))
    if not query.flag("stream"):
        await connection.accept(framed=not tty)
        await connection.settle()
        if query.flag("logs"):
            reader = await call.workers.quick(containers.log_reader, identifier)
            encode = encoder(tty=tty, timestamps=False)
            for batch in await call.workers.patient(list, reader.batches(LogQuery(stdout=stdout, stderr=stderr))):
                await connection.write(encode(batch))
        return
    attachment = await call.workers.quick(
        containers.attach, identifier, stdin=query.flag("stdin"), stdout=stdout, stderr=stderr
    )
    try:
        await connection.accept(framed=not tty)
        if query.flag("logs"):
            reader = await call.workers.quick(containers.log_reader, identifier)
            encode = encoder(tty=tty, timestamps=False)
            await connection.settle()
            for batch in await call.workers.patient(list, reader.batches(LogQuery(stdout=stdout, stderr=stderr))):
                await connection.write(encode(batch))
    except BaseException:
        attachment.close()
        raise
    await pump(connection, attachment, framed=not tty, keys=keys if tty else None)
