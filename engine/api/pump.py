"""Between a client and an attachment: input, output, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing
from pathlib import Path
from typing import Final, Protocol

from engine.api.backlog import MOST, Backlog
from engine.api.detach import DetachKeys
from engine.containers.streams.attach import STDERR, Attachment, multiplex

_LEFT_BEHIND: Final = f"\r\nhavre: left behind with {MOST >> 20} MiB unread: docker logs has the rest\r\n".encode()


class Peer(Protocol):
    """The client's end of a stream, whatever protocol it came by."""

    async def settle(self) -> None:
        """Wait until the client can be sent output."""

    async def read(self) -> bytes:
        """The client's next input; empty at its end."""

    async def write(self, data: bytes) -> None:
        """Send output, waiting while the client does not read; `ConnectionError` when it has left."""

    async def gone(self) -> None:
        """Return when the client has left altogether; the end of its input alone is no such thing."""


async def pump(
    peer: Peer,
    attachment: Attachment,
    *,
    framed: bool,
    keys: DetachKeys | None = None,
    past: AsyncGenerator[bytes, None] | None = None,
    shared: Path | None = None,
) -> bool:
    """Carry both directions until the process's output has ended, the client has left or typed *keys*.

    True when it was by the keys. *framed* output comes as `multiplex` makes it, after what is in the *past*. Where the
    output is *shared* with a log and with other clients, this is the directory for what this one does not read: a
    `Backlog`. When that is full, one that came to a running container is left behind. One that was there at the start
    is waited for: it may be the pipe that all of the output is meant for. The attachment is closed when this returns;
    the peer is the caller's to close.
    """
    with ExitStack() as stack:
        pieces, filling = _encoded(attachment, framed=framed), None
        if shared is not None:
            backlog = stack.enter_context(Backlog(shared))
            filling = asyncio.ensure_future(_fill(backlog, pieces, attachment, framed=framed))
            pieces = backlog.pieces()
        output = asyncio.ensure_future(_output(peer, *([past] if past is not None else []), pieces))
        typed = asyncio.ensure_future(_input(peer, attachment, keys))
        gone = asyncio.ensure_future(peer.gone())
        detached = False
        try:
            waiting: set[asyncio.Future[bool] | asyncio.Future[None]] = {output, typed, gone}
            while output in waiting and gone in waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if typed in done and not typed.cancelled() and typed.exception() is None and typed.result():
                    detached = True
                    break
        finally:
            tasks = [task for task in (output, typed, gone, filling) if task is not None]
            for task in tasks:
                task.cancel()
            attachment.close(detached=detached)
            results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception) and not isinstance(result, ConnectionError):
            raise result
    return detached


async def _encoded(attachment: Attachment, *, framed: bool) -> AsyncGenerator[bytes, None]:
    async with aclosing(attachment.frames()) as batches:  # type: ignore[type-var]
        async for frames in batches:
            yield multiplex(frames) if framed else b"".join([payload for _, payload in frames])


async def _fill(backlog: Backlog, pieces: AsyncGenerator[bytes, None], attachment: Attachment, *, framed: bool) -> None:
    try:
        async with aclosing(pieces):
            async for piece in pieces:
                if not attachment.late:
                    await backlog.put(piece)
                elif not await backlog.offer(piece):
                    attachment.close()
                    await backlog.put(multiplex([(STDERR, _LEFT_BEHIND)]) if framed else _LEFT_BEHIND)
                    return
    finally:
        backlog.end()


async def _output(peer: Peer, *sources: AsyncGenerator[bytes, None]) -> None:
    await peer.settle()
    for source in sources:
        async with aclosing(source) as pieces:
            async for piece in pieces:
                await peer.write(piece)


async def _input(peer: Peer, attachment: Attachment, keys: DetachKeys | None) -> bool:
    """Carry the client's input; whether it has typed the keys that detach it."""
    while data := await peer.read():
        if keys is not None:
            data = keys.feed(data)
        if data and not await attachment.send(data):
            # Nobody takes it: read on, so that the client is not blocked in a write while output is on its way.
            keys = None
        if keys is not None and keys.found:
            return True
    await attachment.close_stdin()
    return False
