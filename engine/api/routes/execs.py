"""Exec sessions: created in a container, started with or without streams, looked at, resized."""

from __future__ import annotations

import asyncio

from aiohttp import web

from engine.api.call import Call, empty_answer, json_answer
from engine.api.console import console_size, terminal_size
from engine.api.detach import DetachKeys
from engine.api.hijack import Connection
from engine.api.pump import pump
from engine.api.render_container import exec_session
from engine.api.router import Routes
from engine.api.status import status_of
from engine.api.workers import kept
from engine.containers.model import Exec, ExecConfig
from engine.containers.streams.attach import STDOUT, Attachment, multiplex
from engine.errors import EngineError, InvalidParameter

routes = Routes()


@routes.post("/containers/{id}/exec")
async def exec_create(call: Call) -> web.Response:
    body = await call.body()
    config = ExecConfig(
        cmd=body.texts("Cmd"),
        env=body.texts("Env"),
        working_dir=body.text("WorkingDir"),
        user=body.text("User"),
        tty=body.flag("Tty"),
        attach_stdin=body.flag("AttachStdin"),
        attach_stdout=body.flag("AttachStdout"),
        attach_stderr=body.flag("AttachStderr"),
        privileged=body.flag("Privileged"),
        detach_keys=body.text("DetachKeys"),
        console_size=console_size(body),
    )
    if not config.cmd:
        raise InvalidParameter("No exec command specified")
    DetachKeys(config.detach_keys, called="escape")
    # Sessions and containers are found in memory: that takes less than the way to a thread.
    exec_id = call.engine.containers.exec_create(call.arguments["id"], config)
    return json_answer({"Id": exec_id}, status=201)


@routes.post("/exec/{id}/start")
async def exec_start(call: Call) -> web.StreamResponse:
    body = await call.body()
    detach = body.flag("Detach")
    rows, cols = console_size(body)
    # Here the request decides how the output is told, not the session: dockerd's clients rely on that.
    framed = not body.flag("Tty")
    if detach:
        await call.workers.patient(
            call.engine.containers.exec_start, call.arguments["id"], detach=True, rows=rows, cols=cols
        )
        return empty_answer(200)
    connection = Connection(call)
    try:
        try:
            await _attached(call, connection, framed=framed, rows=rows, cols=cols)
        except EngineError as error:
            await connection.refuse(status_of(error), str(error))
    finally:
        answer = connection.close()
    return answer


@routes.get("/exec/{id}/json")
async def exec_inspect(call: Call) -> web.Response:
    return json_answer(exec_session(_inspect(call)))


@routes.post("/exec/{id}/resize")
async def exec_resize(call: Call) -> web.Response:
    rows, cols = terminal_size(call.query)
    if (starting := call.starting.get(call.arguments["id"])) is not None:
        # Clients send their size as soon as they have the stream, and not all of them try again.
        await asyncio.shield(starting)
    await call.workers.quick(call.engine.containers.exec_resize, call.arguments["id"], rows=rows, cols=cols)
    return empty_answer(200)


async def _attached(call: Call, connection: Connection, *, framed: bool, rows: int, cols: int) -> None:
    """Accept, then start: what can be refused is refused before, and the client's way to the stream costs no time."""
    containers, exec_id = call.engine.containers, call.arguments["id"]
    session = _inspect(call)
    rows, cols = (rows, cols) if rows and cols else session.config.console_size
    containers.exec_check(exec_id)
    config = session.config
    starting = call.starting[exec_id] = asyncio.get_running_loop().create_future()
    try:
        await connection.accept(framed=framed)
        session_starts = call.workers.patient(containers.exec_start, exec_id, detach=False, rows=rows, cols=cols)
        attachment = await kept(session_starts, let_go=_close)
    except EngineError as error:
        # As dockerd does: clients read the reason in the stream, and the code from inspect.
        await connection.settle()
        text = f"{error}\r\n".encode()
        await connection.write(multiplex([(STDOUT, text)]) if framed else text)
        return
    finally:
        call.starting.pop(exec_id, None)
        starting.set_result(None)
    if attachment is None:
        return
    keys = DetachKeys(config.detach_keys) if config.tty and config.attach_stdin else None
    await pump(connection, attachment, framed=framed, keys=keys)


def _close(attachment: Attachment | None) -> None:
    if attachment is not None:
        attachment.close()


def _inspect(call: Call) -> Exec:
    return call.engine.containers.exec_inspect(call.arguments["id"])
