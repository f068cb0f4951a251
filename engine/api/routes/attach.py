"""`POST /containers/{id}/attach`: a container's own standard streams."""

from __future__ import annotations

from aiohttp import web

from engine.api.call import Call
from engine.api.detach import DetachKeys
from engine.api.hijack import Connection
from engine.api.pump import pump
from engine.api.router import Routes
from engine.api.routes.logs import encoder
from engine.api.status import status_of
from engine.containers.model import LogQuery
from engine.errors import EngineError, NotImplementedHere

routes = Routes()


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
async def attach_websocket(_call: Call) -> web.Response:
    raise NotImplementedHere("attaching by websocket is not supported: use POST /containers/{id}/attach")


async def _attach(call: Call, connection: Connection) -> None:
    query, containers, identifier = call.query, call.engine.containers, call.arguments["id"]
    stdout, stderr = query.flag("stdout"), query.flag("stderr")
    container = await call.workers.quick(containers.get, identifier)
    tty = container.config.tty
    keys = DetachKeys(query.text("detachKeys"))
    if not query.flag("stream"):
        await connection.accept(tty=tty)
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
        await connection.accept(tty=tty)
        if query.flag("logs"):
            reader = await call.workers.quick(containers.log_reader, identifier)
            encode = encoder(tty=tty, timestamps=False)
            await connection.settle()
            for batch in await call.workers.patient(list, reader.batches(LogQuery(stdout=stdout, stderr=stderr))):
                await connection.write(encode(batch))
    except BaseException:
        attachment.close()
        raise
    await pump(connection, attachment, keys=keys if tty else None)
