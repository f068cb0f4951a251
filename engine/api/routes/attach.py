"""`POST /containers/{id}/attach` and `GET /containers/{id}/attach/ws`: a container's own standard streams."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from engine.api.call import Call
from engine.api.detach import DetachKeys
from engine.api.hijack import Connection
from engine.api.pump import Peer, pump
from engine.api.router import Routes
from engine.api.routes.logs import encoder, so_far
from engine.api.status import status_of
from engine.api.websocket import WebSocketPeer
from engine.api.workers import kept
from engine.containers.model import Container, LogQuery
from engine.containers.streams.attach import STDOUT, Attachment, multiplex
from engine.errors import EngineError

routes = Routes()

_CHOICE: Final = (1, 42)
"""The version of the API from which on a websocket carries what it has asked for, and no longer everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What a client has asked for."""

    stdin: bool
    stdout: bool
    stderr: bool
    logs: bool
    """What has been printed so far."""
    stream: bool
    """What is printed from now on."""
    keys: DetachKeys

    @classmethod
    def parse(cls, call: Call, *, everything: bool = False) -> _Wanted:
        query = call.query
        return cls(
            stdin=everything or query.flag("stdin"),
            stdout=everything or query.flag("stdout"),
            stderr=everything or query.flag("stderr"),
            logs=query.flag("logs"),
            stream=query.flag("stream"),
            keys=DetachKeys(query.text("detachKeys")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Streams:
    """What a client gets, opened before it hears of it: what is printed later it neither misses nor gets twice."""

    container: Container
    keys: DetachKeys | None
    past: AsyncGenerator[bytes, None] | None
    trouble: EngineError | None
    """Why there is no log, for one who has asked for it."""
    attachment: Attachment | None
    framed: bool

    def close(self) -> None:
        if self.attachment is not None:
            self.attachment.close()


@routes.post("/containers/{id}/attach")
async def attach(call: Call) -> web.StreamResponse:
    connection = Connection(call)
    try:
        try:
            streams = await _open(call, _Wanted.parse(call), framed=True)
        except EngineError as error:
            await connection.refuse(status_of(error), str(error))
        else:
            with closing(streams):
                await connection.accept(framed=streams.framed)
                await _carry(call, connection, streams)
    finally:
        answer = connection.close()
    return answer


@routes.get("/containers/{id}/attach/ws")
async def attach_websocket(call: Call) -> web.StreamResponse:
    wanted = _Wanted.parse(call, everything=call.version < _CHOICE)
    with closing(await _open(call, wanted, framed=False)) as streams:
        peer = WebSocketPeer()
        await peer.accept(call)
        await _carry(call, peer, streams)
    return await peer.close()


async def _open(call: Call, wanted: _Wanted, *, framed: bool) -> _Streams:
    """*framed* says whether output is where there is no terminal."""
    containers = call.engine.containers
    container = await call.workers.quick(containers.attachable, call.arguments["id"])
    framed = framed and not container.config.tty
    attachment, past, trouble = None, None, None
    if wanted.stream:
        attaching = call.workers.quick(
            containers.attach, container.id, stdin=wanted.stdin, stdout=wanted.stdout, stderr=wanted.stderr
        )
        attachment = await kept(attaching, let_go=Attachment.close)
    try:
        if wanted.logs:
            reader = await call.workers.quick(containers.log_reader, container.id)
            query = LogQuery(stdout=wanted.stdout, stderr=wanted.stderr)
            past = await so_far(call, reader, query, encoder(tty=not framed, timestamps=False))
    except EngineError as error:
        trouble = error
    except BaseException:
        if attachment is not None:
            attachment.close()
        raise
    takes_keys = container.config.tty and attachment is not None and attachment.stdin
    return _Streams(
        container=container,
        keys=wanted.keys if takes_keys else None,
        past=past,
        trouble=trouble,
        attachment=attachment,
        framed=framed,
    )


async def _carry(call: Call, peer: Peer, streams: _Streams) -> None:
    """Send what there is to be sent, in both directions; what is wrong with it is told in the stream, as in dockerd."""
    if streams.trouble is not None or streams.attachment is None:
        await peer.settle()
        if streams.trouble is not None:
            words = f"Error attaching: {streams.trouble}\n".encode()
            await peer.write(multiplex([(STDOUT, words)]) if streams.framed else words)
        elif streams.past is not None:
            async for piece in streams.past:
                await peer.write(piece)
        return
    detached = await pump(
        peer,
        streams.attachment,
        framed=streams.framed,
        keys=streams.keys,
        past=streams.past,
        shared=call.engine.config.root,
    )
    if detached:
        await call.workers.quick(call.engine.containers.tell, streams.container, "detach")
