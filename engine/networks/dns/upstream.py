"""Names that no container has: asked of the servers that a container was given, else of the host's."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from engine.kernel import netns
from engine.networks import files
from engine.networks.dns import wire
from engine.networks.model import Address

_LOG: Final = logging.getLogger(__name__)
_PORT: Final = 53
_PATIENCE: Final = 4.0
"""Seconds that one server may take, as long as Docker gives it; resolvers themselves ask again after five."""
_LARGEST: Final = 65535


class HostServers:
    """The name servers of this host's /etc/resolv.conf, read again when it has changed."""

    def __init__(self, path: Path = Path("/etc/resolv.conf")) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._servers: tuple[Address, ...] = ()

    def get(self) -> tuple[Address, ...]:
        try:
            status = self._path.stat()
        except OSError:
            return ()
        stamp = (status.st_mtime_ns, status.st_ino)
        if stamp != self._stamp:
            self._servers = tuple(files.name_servers(self._path))
            self._stamp = stamp
        return self._servers


async def ask(message: bytes, servers: Sequence[Address], *, namespace: Path | None, tcp: bool) -> bytes | None:
    """The first answer that one of *servers* gives, asked in turn; `None` where none does.

    They are asked from the container's *namespace*, or from this one: the servers of the host are where the host sees
    them, which may be its loopback. A socket for each question has a port that nobody can guess (RFC 5452, 9.2).
    """
    for server in servers:
        try:
            async with asyncio.timeout(_PATIENCE):
                found = await (_by_stream if tcp else _by_datagram)(message, server, namespace)
        except (OSError, TimeoutError, EOFError) as error:
            _LOG.debug("name server %s does not answer: %s", server, error)
            continue
        if wire.answers(found, message):
            return found
    return None


async def _by_datagram(message: bytes, server: Address, namespace: Path | None) -> bytes:
    loop = asyncio.get_running_loop()
    with await _opened(server, socket.SOCK_DGRAM, namespace) as connection:
        connection.connect((str(server), _PORT))
        await loop.sock_sendall(connection, message)
        while True:
            found = await loop.sock_recv(connection, _LARGEST)
            if wire.answers(found, message):
                return found


async def _by_stream(message: bytes, server: Address, namespace: Path | None) -> bytes:
    loop = asyncio.get_running_loop()
    with await _opened(server, socket.SOCK_STREAM, namespace) as connection:
        await loop.sock_connect(connection, (str(server), _PORT))
        reader, writer = await asyncio.open_connection(sock=connection)
        try:
            writer.write(len(message).to_bytes(2, "big") + message)
            length = int.from_bytes(await reader.readexactly(2), "big")
            return await reader.readexactly(length)
        finally:
            writer.close()


async def _opened(server: Address, kind: socket.SocketKind, namespace: Path | None) -> socket.socket:
    def opened() -> socket.socket:
        family = socket.AF_INET if server.version == 4 else socket.AF_INET6
        made = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        made.setblocking(False)
        return made

    if namespace is None:
        return opened()
    return await asyncio.to_thread(netns.run_inside, namespace, opened)
