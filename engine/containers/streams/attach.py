"""Attachments: streams between a client and the standard streams of a container or an exec session.

conmon's attach socket is a SEQPACKET socket. Each packet from it is a stream's number (2 stdout, 3 stderr) and at most
8 KiB of output; each packet to it is stdin. What conmon does, and what follows from it (`src/conn_sock.c`):

- Output goes to the log and to every attachment at once. An attachment that is full (about 200 KiB unread) makes conmon
  wait, and with it the container, its log and the other attachments: who attaches must read (`engine.api.backlog`).
  conmon 2.0.25 (Ubuntu 22.04) cuts the slow one off instead.
- The first end of input from any attachment closes the container's stdin, where stdin may be closed at all
  (`stdin_once`). One that only listens must therefore not end its side while the container runs: it is *parked*.
- Nothing tells the end of a single stream; all end together, when the container has ended.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import struct
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from engine.containers.runtime.monitor import Monitor
from engine.errors import NotRunning

STDOUT: Final = 1
STDERR: Final = 2
"""The streams' numbers in Docker's frames; conmon's are one more."""

PACKET: Final = 8193
"""conmon's largest packet: STDIO_BUF_SIZE and the stream's number."""
_INPUT: Final = 16 * 1024
"""The largest packet sent: up to 2.1.6, conmon cuts one of 32 KiB."""
_BATCH: Final = 64
"""Packets taken before others get their turn: half a MiB."""
_SETTLE: Final = 10.0
"""Seconds that the end of the streams waits for the exit code to be known."""

Frames = list[tuple[int, bytes]]


class Attachment:
    """One client's streams. Made before the container starts or while it runs; used from one event loop.

    `exited`, where set, is done when the exit code has been recorded: the streams' end waits for it, so that a client
    that asks for the code after the last byte gets it.
    """

    def __init__(
        self,
        *,
        tty: bool,
        stdin: bool,
        stdout: bool = True,
        stderr: bool = True,
        stdin_once: bool = False,
        exited: Future[int | None] | None = None,
        on_close: Callable[[Attachment, bool], None] | None = None,
    ) -> None:
        self.tty = tty
        """Whether there is a terminal: then all output is on stdout, and not to be framed."""
        self.stdin = stdin
        self.exited = exited
        self.late = False
        """Whether it came to a container that ran already, and so cannot have all of its output."""
        self._streams = frozenset(number + 1 for number, wanted in ((STDOUT, stdout), (STDERR, stderr)) if wanted)
        self._stdin_once = stdin_once
        self._on_close = on_close
        self._lock = threading.Lock()
        self._connected: Future[socket.socket | None] = Future()
        self._closed = False
        self._left = False
        """Whether the client has ended the attachment, and not the container."""
        self._waiters: dict[asyncio.Future[None], Callable[[], object]] = {}

    @property
    def connection(self) -> socket.socket | None:
        """The connection, non-blocking; `None` while the container has not started, and when it never will."""
        return self._connected.result() if self._connected.done() else None

    def connect(self, connection: socket.socket) -> None:
        """Begin: *connection* is from now on the attachment's to close. Any thread may call this."""
        with self._lock:
            if self._closed or self._connected.done():
                connection.close()
            else:
                connection.setblocking(False)
                self._connected.set_result(connection)

    def abandon(self) -> None:
        """Let one that waits for a start end without a byte. Any thread may call this."""
        with self._lock:
            if not self._connected.done():
                self._connected.set_result(None)

    async def frames(self) -> AsyncIterator[Frames]:
        """What the container prints, as it comes: lists of (1 stdout or 2 stderr, bytes).

        Ends when the container has, or when the attachment is closed.
        """
        connection = await self._connection()
        if connection is None:
            return
        while batch := self._take(connection):
            if batch is _NOTHING:
                await self._ready(connection, reading=True)
                continue
            wanted = [(packet[0] - 1, packet[1:]) for packet in batch if packet[0] in self._streams]
            if wanted:
                yield wanted
            if len(batch) == _BATCH:
                await asyncio.sleep(0)
        if self.exited is not None and not self._closed and not self._left:
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(self.exited)), _SETTLE)

    async def send(self, data: bytes | memoryview) -> bool:
        """Write *data* to the container's stdin, waiting for room. False when nobody takes it any more."""
        connection = await self._connection()
        if connection is None or not self.stdin:
            return False
        view = memoryview(data)
        while view:
            if self._closed:
                return False
            try:
                view = view[connection.send(view[:_INPUT]) :]
            except BlockingIOError:
                await self._ready(connection, reading=False)
            except (BrokenPipeError, ConnectionError):
                return False
        return True

    async def close_stdin(self) -> None:
        """The client has no more input: output goes on where stdin can be closed, else the attachment ends.

        Docker ends the attachment likewise: a terminal, or the stdin of a container made to keep it open, has no end.
        """
        connection = await self._connection()
        if connection is None or self._closed or not self.stdin:
            return
        goes_on = self._stdin_once and not self.tty
        self._left = not goes_on
        try:
            connection.shutdown(socket.SHUT_WR if goes_on else socket.SHUT_RD)
        except OSError:
            # The monitor has gone; the end of the output tells the rest.
            return

    def close(self, *, detached: bool = False) -> None:
        """The client has left; *detached* when by the keys for it, and not by vanishing.

        To be called on the event loop, for every attachment, however it ended. May be called again.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if not self._connected.done():
                self._connected.set_result(None)
        # Before the descriptor is closed: its number may be another's in the event loop a moment later.
        for waiter, forget in self._waiters.items():
            forget()
            _settle(waiter)
        self._waiters.clear()
        if self._on_close is not None:
            self._on_close(self, detached)
        elif self.connection is not None:
            self.connection.close()

    async def _connection(self) -> socket.socket | None:
        if not self._connected.done():
            await asyncio.shield(asyncio.wrap_future(self._connected))
        return None if self._closed else self._connected.result()

    async def _ready(self, connection: socket.socket, *, reading: bool) -> None:
        """Wait until *connection* can be read from, or written to, or is closed."""
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        add, remove = (loop.add_reader, loop.remove_reader) if reading else (loop.add_writer, loop.remove_writer)
        descriptor = connection.fileno()
        add(descriptor, _settle, ready)
        self._waiters[ready] = partial(remove, descriptor)
        try:
            await ready
        finally:
            if (forget := self._waiters.pop(ready, None)) is not None:
                forget()

    def _take(self, connection: socket.socket) -> list[bytes]:
        """The packets that are there, `_NOTHING` when none are, an empty list at the end."""
        packets: list[bytes] = []
        receive = connection.recv
        while len(packets) < _BATCH and not self._closed:
            try:
                packet = receive(PACKET)
            except BlockingIOError:
                return packets or _NOTHING
            except ConnectionResetError:
                # conmon has ended with input unread: such a socket tells so once, before what is still to be read.
                continue
            if not packet:
                break
            packets.append(packet)
        return packets


_NOTHING: Final[list[bytes]] = [b""]


class Attachments:
    """The attachments of all containers that wait for a start, or are parked until an end. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, list[Attachment]] = defaultdict(list)
        self._parked: dict[str, list[socket.socket]] = defaultdict(list)
        self._connected: dict[str, Monitor] = {}

    def open(
        self,
        *,
        container_id: str,
        monitor: Monitor | None,
        tty: bool,
        stdin: bool,
        stdout: bool,
        stderr: bool,
        stdin_once: bool,
    ) -> Attachment:
        """An attachment to a container that runs under *monitor*, or that will start (`None`).

        *tty* and *stdin_once* are the container's; *stdin* says whether the client may write, which needs a container
        with an open stdin. `NotRunning` when the container has ended in the meantime.
        """
        attachment = Attachment(
            tty=tty,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            stdin_once=stdin_once,
            on_close=lambda each, _: self._close(container_id, each, parks=stdin_once and not tty and not stdin),
        )
        if monitor is None:
            with self._lock:
                # It may be on its way: connected to others already, not yet said to run.
                monitor = self._connected.get(container_id)
                if monitor is None:
                    self._waiting[container_id].append(attachment)
        if monitor is not None:
            attachment.late = True
            attachment.connect(connection_to(monitor.directory, name=container_id))
        return attachment

    def connect(self, monitor: Monitor) -> None:
        """Connect those that wait for the container: call it between its creation and its start."""
        with self._lock:
            self._connected[monitor.container_id] = monitor
            waiting = self._waiting.pop(monitor.container_id, [])
        for attachment in waiting:
            attachment.connect(connection_to(monitor.directory, name=monitor.container_id))

    def ended(self, container_id: str) -> None:
        """The container has ended, could not be started, or is gone: nobody waits for it any longer."""
        with self._lock:
            self._connected.pop(container_id, None)
            waiting = self._waiting.pop(container_id, [])
            parked = self._parked.pop(container_id, [])
        for attachment in waiting:
            attachment.abandon()
        for connection in parked:
            connection.close()

    def close(self) -> None:
        """End all that wait. For the end of the daemon."""
        with self._lock:
            ids = {*self._waiting, *self._parked}
        for container_id in ids:
            self.ended(container_id)

    def _close(self, container_id: str, attachment: Attachment, *, parks: bool) -> None:
        with self._lock:
            waiting = self._waiting.get(container_id, [])
            if attachment in waiting:
                waiting.remove(attachment)
                if not waiting:
                    del self._waiting[container_id]
            connection = attachment.connection
            if connection is None:
                return
            if not parks or _hung_up(connection):
                connection.close()
            else:
                connection.shutdown(socket.SHUT_RD)
                self._parked[container_id].append(connection)


def connection_to(directory: Path, *, name: str) -> socket.socket:
    """A connection to the attach socket in a monitor's *directory*; `NotRunning` when *name* has ended."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    descriptor = -1
    try:
        # By the directory's descriptor: its path may be longer than a socket's address can be (108 bytes).
        descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        connection.connect(f"/proc/self/fd/{descriptor}/attach")
    except OSError as error:
        connection.close()
        raise NotRunning(f"Container {name} is not running") from error
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    return connection


frame_header: Final = struct.Struct(">BxxxI").pack
"""What stands before the bytes of a frame: its stream, three zeros, their number (big-endian)."""


def multiplex(frames: Iterable[tuple[int, bytes]]) -> bytes:
    """*frames* as Docker sends them where there is no terminal."""
    parts: list[bytes] = []
    for stream, payload in frames:
        parts += (frame_header(stream, len(payload)), payload)
    return b"".join(parts)


def _hung_up(connection: socket.socket) -> bool:
    """Whether the monitor at the other end has gone."""
    poll = select.poll()
    poll.register(connection, 0)
    return bool(poll.poll(0))


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
