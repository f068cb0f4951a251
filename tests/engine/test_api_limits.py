"""What one client may take of the daemon: connections, lines that it does not read, bodies that are slow to decode."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from engine.api.server import ApiServer
from engine.api.told import Lines
from engine.containers.model import ExecConfig
from engine.containers.streams.exec import WAITING
from engine.engine import Engine
from engine.errors import ExecNotFound
from tests.fixtures.engine_host import EngineHost


@asynccontextmanager
async def serving(engine: Engine, **options: Any) -> AsyncIterator[str]:
    path = engine.config.run / "limits.sock"
    server = ApiServer(engine, path=path, group="root", **options)
    await server.start()
    try:
        yield str(path)
    finally:
        await server.close()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    """The head of the answer."""
    writer.write(request)
    return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)


PING = b"GET /_ping HTTP/1.1\r\nHost: engine\r\n\r\n"


def test_connections_have_a_limit_and_those_that_are_there_go_on(engine: Engine) -> None:
    async def attack() -> None:
        async with serving(engine, connections=3) as path:
            first = [await asyncio.open_unix_connection(path) for _ in range(3)]
            assert b" 200 " in await ask(*first[0], PING)
            reader, writer = await asyncio.open_unix_connection(path)
            refused = await asyncio.wait_for(reader.read(), 20)
            assert refused.startswith(b"HTTP/1.1 503 ")
            assert "too many connections" in json.loads(refused.partition(b"\r\n\r\n")[2])["message"]
            writer.close()
            assert b" 200 " in await ask(*first[1], PING)
            first[2][1].close()
            await first[2][1].wait_closed()
            while True:  # the daemon hears of the end in its own time
                reader, writer = await asyncio.open_unix_connection(path)
                with suppress(OSError, asyncio.IncompleteReadError):
                    if b" 200 " in await ask(reader, writer, PING):
                        break
                writer.close()
            for _, each in (*first, (reader, writer)):
                each.close()

    asyncio.run(asyncio.wait_for(attack(), 60))


def test_a_body_that_is_slow_to_decode_holds_nobody_up(engine: Engine) -> None:
    """The event loop serves others between the body's end and its answer: it does not decode the body itself."""

    async def attack() -> None:
        body = json.dumps({"Image": "box", "Nested": [[[[[]]]]] * 100_000}).encode()
        head = b"POST /containers/create?name=slow HTTP/1.1\r\nHost: engine\r\nContent-Type: application/json\r\n"
        async with serving(engine) as path:
            slow, quick = await asyncio.open_unix_connection(path), await asyncio.open_unix_connection(path)
            answered: list[str] = []

            async def answer(name: str, request: bytes, streams: Any, times: int) -> None:
                for _ in range(times):
                    await ask(*streams, request)
                answered.append(name)

            await asyncio.gather(
                answer("slow", head + b"Content-Length: %d\r\n\r\n" % len(body) + body, slow, 1),
                answer("quick", PING, quick, 20),
            )
            assert answered == ["quick", "slow"]
            for _, writer in (slow, quick):
                writer.close()

    asyncio.run(asyncio.wait_for(attack(), 60))


def test_sessions_that_nobody_starts_do_not_pile_up(host: EngineHost, engine: Engine) -> None:
    container = host.run(engine, "sleep", "60")
    made = [engine.containers.exec_create(container, ExecConfig(cmd=("true",))) for _ in range(WAITING + 3)]
    assert len(engine.containers.exec_ids(container)) == WAITING
    with pytest.raises(ExecNotFound):
        engine.containers.exec_start(made[2], detach=True)
    assert engine.containers.exec_start(made[3], detach=True) is None


def test_progress_does_not_pile_up_before_who_does_not_read() -> None:
    lines = Lines()
    for number in range(5 * Lines.BACKLOG):
        lines.put_nowait({"status": "Downloading", "progressDetail": {"current": number, "total": 9}, "id": "a"})
    assert lines.qsize() == Lines.BACKLOG
    lines.put_nowait({"status": "Download complete", "progressDetail": {}, "id": "a"})
    lines.put_nowait(None)
    assert lines.qsize() == Lines.BACKLOG + 2, "what is told once is kept"
