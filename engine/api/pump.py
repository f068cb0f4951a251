"""Between a hijacked connection and an attachment: input, output, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib

from engine.api.detach import DetachKeys
from engine.api.hijack import Connection
from engine.containers.attach import Attachment, multiplex

_CHUNK = 64 * 1024


async def pump(connection: Connection, attachment: Attachment, *, framed: bool, keys: DetachKeys | None = None) -> None:
    """Carry both directions until the process's output has ended, the client has left or typed *keys*.

    *framed* output comes as `multiplex` makes it. The attachment is closed when this returns; the connection is the
    caller's to close.
    """
    output = asyncio.ensure_future(_output(connection, attachment, framed=framed))
    typed = asyncio.ensure_future(_input(connection, attachment, keys))
    gone = asyncio.ensure_future(connection.gone())
    detached = False
    try:
        waiting: set[asyncio.Future[bool] | asyncio.Future[None]] = {output, typed, gone}
        while output in waiting and gone in waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if typed in done and not typed.cancelled() and typed.exception() is None and typed.result():
                detached = True
                break
    finally:
        tasks = (output, typed, gone)
        for task in tasks:
            task.cancel()
        attachment.close(detached=detached)
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception) and not isinstance(result, ConnectionError):
            raise result


async def _output(connection: Connection, attachment: Attachment, *, framed: bool) -> None:
    await connection.settle()
    async with contextlib.aclosing(attachment.frames()) as batches:  # type: ignore[type-var]
        async for frames in batches:
            data = multiplex(frames) if framed else b"".join([payload for _, payload in frames])
            await connection.write(data)


async def _input(connection: Connection, attachment: Attachment, keys: DetachKeys | None) -> bool:
    """Carry the client's input; whether it has typed the keys that detach it."""
    while data := await connection.reader.read(_CHUNK):
        if keys is not None:
            data = keys.feed(data)
        if data and not await attachment.send(data):
            # Nobody takes it: read on, so that the client is not blocked in a write while output is on its way.
            keys = None
        if keys is not None and keys.found:
            return True
    await attachment.close_stdin()
    return False
