"""Bodies in chunks (RFC 9112, 7.1), read from a socket by the thread that wants them.

aiohttp's parser in Python copies what has come once for each chunk in it, and every piece passes from the event loop to
a thread: half of a `docker cp` into a container. Here the thread itself takes 256 KiB at a time.
"""

from __future__ import annotations

import os
import re
import select
import socket
from enum import Enum, auto
from typing import Final

from engine.errors import InvalidParameter

_PIECE: Final = 256 * 1024
_LINE: Final = 1024
"""Bytes of a line between chunks: a size of 16 digits, and extensions that nobody sends."""
_TRAILERS: Final = 64
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")


class _Next(Enum):
    """What the next byte belongs to."""

    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILER = auto()
    NOTHING = auto()


class ChunkedBody:
    """The body that begins with *ahead* and goes on in *connection*, which stays the caller's."""

    def __init__(self, connection: socket.socket, ahead: bytes) -> None:
        self._connection = connection
        self._raw = ahead
        self._next = _Next.SIZE
        self._left = 0
        self._size = 0
        """Of the last chunk."""
        self._between = b"\r\n0\r\n"
        """What stands between two chunks of that size."""
        self._trailers = 0

    @property
    def ended(self) -> bool:
        return self._next is _Next.NOTHING

    @property
    def rest(self) -> bytes:
        """The body from here on for another parser, which has seen nothing of it: what it then reads is of no use.

        That parser is to find the end, so a chunk that is begun gets a head, and one that has ended a byte of its own.
        """
        head = {
            _Next.SIZE: b"",
            _Next.DATA: b"%x\r\n" % self._left,
            _Next.DATA_END: b"1\r\n.",
            _Next.TRAILER: b"0\r\n",
            _Next.NOTHING: b"0\r\n\r\n",
        }[self._next]
        return head + self._raw

    def read(self) -> bytes:
        """What comes next; empty at the end. `ConnectionError` when the client has gone, `InvalidParameter`."""
        while True:
            parts = self._parse()
            if parts or self.ended:
                return b"".join(parts)
            self._raw += self._receive()

    def move(self, pipe: int) -> bytes | None:
        """As `read`, but what comes next goes into *pipe* without a copy (splice(2)), as far as that can be.

        Gives what could not and is to be written; empty where all could, or at the end; `None` where *pipe* is full.
        """
        while True:
            parts = self._parse()
            if parts or self.ended:
                return b"".join(parts)
            if self._next is _Next.DATA:
                if not self._splice(pipe):
                    return None
                self._raw = self._receive(len(self._between))
                if self._raw == self._between:  # one chunk is as long as the other: what there is to parse is known
                    self._raw, self._next, self._left = b"", _Next.DATA, self._size
            else:
                self._raw += self._receive(len(self._between))

    def _splice(self, pipe: int) -> bool:
        """Move what there is of a chunk; false when there is no room for it."""
        source = self._connection.fileno()
        while self._left:
            try:
                moved = os.splice(source, pipe, self._left, flags=os.SPLICE_F_NONBLOCK)
            except BlockingIOError:
                if self._wait(0):
                    return False
                self._wait(None)
                continue
            if not moved:
                raise self._left_early()
            self._left -= moved
        self._next = _Next.DATA_END
        return True

    def _receive(self, size: int = _PIECE) -> bytes:
        while True:
            try:
                data = self._connection.recv(size)
            except BlockingIOError:
                self._wait(None)
                continue
            if not data:
                raise self._left_early()
            return data

    def _wait(self, timeout: int | None) -> bool:
        """Whether there is something to read within so many milliseconds."""
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        return bool(poll.poll(timeout))

    def _parse(self) -> list[memoryview]:
        """The data in what has come, which is kept from the first byte on that cannot be told yet."""
        raw, place, parts = self._raw, 0, []
        view = memoryview(raw)
        while place < len(raw) and not self.ended:
            if self._next is _Next.DATA:
                part = view[place : place + self._left]
                parts.append(part)
                place += len(part)
                self._left -= len(part)
                if not self._left:
                    self._next = _Next.DATA_END
                continue
            end = raw.find(b"\r\n", place, place + _LINE)
            if end < 0:
                if len(raw) - place >= _LINE:
                    raise self._wrong("a line without an end")
                break
            self._take_line(raw[place:end])
            place = end + 2
        self._raw = raw[place:]
        return parts

    def _take_line(self, line: bytes) -> None:
        if self._next is _Next.DATA_END:
            if line:
                raise self._wrong("a chunk longer than its size")
            self._next = _Next.SIZE
        elif self._next is _Next.SIZE:
            found = _SIZE.fullmatch(line)
            if found is None:
                raise self._wrong("a chunk without a size")
            self._size = self._left = int(found[1], 16)
            self._between = b"\r\n" + line + b"\r\n"
            self._next = _Next.DATA if self._left else _Next.TRAILER
        else:
            self._trailers += 1
            if self._trailers > _TRAILERS:
                raise self._wrong("too many trailers")
            if not line:
                self._next = _Next.NOTHING

    def _left_early(self) -> ConnectionResetError:
        return ConnectionResetError("the client left before the end of the request's body")

    def _wrong(self, what: str) -> InvalidParameter:
        return InvalidParameter(f"the request's body is not in chunks as HTTP has them: {what}")
