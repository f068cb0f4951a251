"""`GET /containers/{id}/logs`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING

from aiohttp import web

from engine.api.call import Call, begin_stream
from engine.api.query import Query
from engine.api.router import Routes
from engine.api.version import MULTIPLEXED_TYPE
from engine.containers.logs.reader import timestamp
from engine.containers.model import LogQuery
from engine.containers.streams.attach import frame_header
from engine.errors import InvalidParameter

if TYPE_CHECKING:
    from engine.containers.logs.logfile import LogEntry
    from engine.containers.logs.reader import LogReader

routes = Routes()

_DIGITS = 15


@routes.get("/containers/{id}/logs")
async def logs(call: Call) -> web.StreamResponse:
    query = parse(call.query)
    container = await call.workers.quick(call.engine.containers.get, call.arguments["id"])
    reader = await call.workers.quick(call.engine.containers.log_reader, container.id)
    tty = container.config.tty
    attributes = ",".join(container.host.log.attributes) if call.query.flag("details") else None
    encode = encoder(tty=tty, timestamps=call.query.flag("timestamps"), details=attributes)
    framed = not tty and call.version >= MULTIPLEXED_TYPE
    response = await begin_stream(
        call, content_type=f"application/vnd.docker.{'multiplexed' if framed else 'raw'}-stream"
    )
    if query.follow:
        async with aclosing(reader.follow(query)) as batches:
            async for batch in batches:
                await response.write(encode(batch))
        return response
    async for part in await so_far(call, reader, query, encode):
        await response.write(part)
    return response


async def so_far(
    call: Call, reader: LogReader, query: LogQuery, encode: Callable[[Iterable[LogEntry]], bytes]
) -> AsyncGenerator[bytes, None]:
    """What there is in a log at the moment when this returns, read by threads, a part at a time."""
    past = iter(reader.batches(query))
    first = await call.workers.patient(_next, past)

    async def parts() -> AsyncGenerator[bytes, None]:
        part = first
        while part is not None:
            yield encode(part)
            part = await call.workers.patient(_next, past)

    return parts()


def _next(batches: Iterator[list[LogEntry]]) -> list[LogEntry] | None:
    return next(batches, None)


def parse(query: Query) -> LogQuery:
    """The parameters; `InvalidParameter` in Docker's words when no stream is asked for."""
    stdout, stderr = query.flag("stdout"), query.flag("stderr")
    if not (stdout or stderr):
        raise InvalidParameter("Bad parameters: you must choose at least one stream")
    tail = query.text("tail")
    return LogQuery(
        stdout=stdout,
        stderr=stderr,
        follow=query.flag("follow"),
        since=query.instant("since") or 0,
        until=query.instant("until") or 0,
        # What is no number means all, as in dockerd; so does one that no log could reach.
        tail=int(tail) if tail.isascii() and tail.isdecimal() and len(tail) <= _DIGITS else None,
    )


class _Beginnings:
    """Whether an entry has a time of its own: each has where it is framed (*apart*), as in dockerd.

    Without frames nobody could tell a time in the midst of a line from what the container wrote: there the parts of a
    long line, and what follows a prompt, have none.
    """

    def __init__(self, *, apart: bool) -> None:
        self._apart = apart
        self._begins = True

    def __call__(self, data: bytes) -> bool:
        begins = self._begins
        self._begins = self._apart or data[-1:] == b"\n"
        return begins


def encoder(*, tty: bool, timestamps: bool, details: str | None = None) -> Callable[[Iterable[LogEntry]], bytes]:
    """How entries go to the client: framed without a TTY, with times and *details* where they are wanted.

    Details without a word in them leave their space, as in dockerd.
    """
    if details is not None:
        words = details.encode() + b" "
        plain = encoder(tty=tty, timestamps=False)
        begins = _Beginnings(apart=not tty)

        def detailed(batch: Iterable[LogEntry]) -> bytes:
            return plain(
                (at, stream, (timestamp(at) + b" " if timestamps else b"") + words + data if begins(data) else data)
                for at, stream, data in batch
            )

        return detailed
    if tty and timestamps:
        begins = _Beginnings(apart=False)
        return lambda batch: b"".join([timestamp(at) + b" " + data if begins(data) else data for at, _, data in batch])
    if tty:
        return lambda batch: b"".join([data for _, _, data in batch])
    if timestamps:
        return lambda batch: b"".join(
            [frame_header(stream, len(data) + 31) + timestamp(at) + b" " + data for at, stream, data in batch]
        )
    return lambda batch: b"".join([frame_header(stream, len(data)) + data for _, stream, data in batch])
