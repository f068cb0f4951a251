"""A client that asks for events and never reads."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from engine.api.server import ApiServer
from engine.engine import Engine
from engine.events import Kind
from tests.conftest import needs_root
from tests.fixtures.engine_host import engine_host

MANY = 30_000


@pytest.fixture
def engine() -> Iterator[Engine]:
    needs_root()
    with engine_host() as host, host.engine() as engine:
        yield engine


async def send_on(client: socket.socket) -> None:
    while True:
        await asyncio.get_running_loop().sock_sendall(client, b"\r\n")
        await asyncio.sleep(0.02)


def test_a_client_that_does_not_read_events_is_cut_off(engine: Engine) -> None:
    async def attack() -> None:
        path = engine.config.run / "slow.sock"
        server = ApiServer(engine, path=path, group="root")
        await server.start()
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.setblocking(False)
                loop = asyncio.get_running_loop()
                await loop.sock_connect(client, str(path))
                await loop.sock_sendall(client, b"GET /events HTTP/1.1\r\nHost: engine\r\n\r\n")
                await loop.sock_recv(client, 100)
                for number in range(MANY):
                    engine.events.publish(Kind.CONTAINER, "start", f"{number:064}", {"name": "x" * 1000})
                    if number % 1000 == 0:
                        await asyncio.sleep(0)
                # Its other end is closed although it has read nothing: what waits for it is not kept.
                with pytest.raises(ConnectionError):
                    await asyncio.wait_for(send_on(client), 10)
        finally:
            await server.close()

    asyncio.run(attack())
