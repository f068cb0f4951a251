"""aiohttp's server and its connections, put right for what Docker's clients do."""

from __future__ import annotations

import asyncio
import re
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web
from aiohttp.http_parser import HttpRequestParserPy

from engine.api.chunks import ChunkedBody

_ARCHIVE: Final = re.compile(
    rb"(?:PUT|POST) [^\r\n]*\r\n"
    rb"(?=(?:[^\r\n]+\r\n)*transfer-encoding:[ \t]*chunked[ \t]*\r\n)"
    rb"(?!(?:[^\r\n]+\r\n)*(?:content-type:[ \t]*application/json|expect:))"
    rb"(?:[^\r\n]+\r\n)+\r\n",
    re.IGNORECASE,
)
"""The head of a request whose body is an archive in chunks. The docker CLI calls some `text/plain`."""
_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
    b'{"message":"too many connections: this engine has as many clients as it can serve"}\n'
)
_LONGEST_HEAD: Final = 16 * 1024


class HttpConnection(web.RequestHandler):
    """aiohttp's protocol, put right in three things.

    Its parser in C (3.14) knows no upgrade but websocket's and drops the bytes behind a request for another one; the
    one in Python keeps them, and costs 10 µs a request. A client that has typed everything ahead and half-closed its
    side would have its connection closed. And the body of an archive is held back from it until the request's handler
    takes that (`take_body`) or does not want it (`give_body_back`), since threads read it faster by themselves.
    """

    __slots__ = ("_held", "input_ended")

    def __init__(self, manager: web.Server, **options: Any) -> None:
        super().__init__(manager, **options)
        self.input_ended = False
        self._held: HeldBody | None = None
        self._parser = HttpRequestParserPy(
            self,
            options["loop"],
            self._read_bufsize,
            max_line_size=self.max_line_size,
            max_field_size=self.max_field_size,
            max_headers=self.max_headers,
            payload_exception=web.RequestPayloadError,
            max_msg_queue_size=self._max_msg_queue_size,
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if isinstance(self._manager, HttpServer) and isinstance(transport, asyncio.Transport):
            if self._manager.full:
                transport.write(_FULL)
                transport.close()
            else:
                self._manager.greet()

    def data_received(self, data: bytes) -> None:
        head = _ARCHIVE.match(data, 0, _LONGEST_HEAD) if self._idle() else None
        if head is None or self.transport is None:
            super().data_received(data)
            return
        self.transport.pause_reading()
        self._held = HeldBody(self.transport.get_extra_info("socket"), data[head.end() :])
        super().data_received(data[: head.end()])

    def take_body(self) -> HeldBody | None:
        """The body of the request that is being handled, where it has been held back."""
        return self._held

    def give_body_back(self, body: HeldBody | None = None) -> None:
        """Let aiohttp have what nobody has read of a body that was held back: it finds the end, and the next request.

        With *body*, only where that has not been given back before.
        """
        held = self._held
        if held is None or body not in (None, held):
            return
        self._held = None
        rest = held.end()
        if self.transport is None or self.transport.is_closing():
            return
        if rest is None:
            self.transport.abort()  # its reader is still at it, and nobody knows where
            return
        super().data_received(rest)
        self.transport.resume_reading()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.give_body_back()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        # `_upgraded` is set from the request's head until a handler has answered it.
        self.input_ended = bool(self._upgraded)
        return self.input_ended

    def _idle(self) -> bool:
        """Whether the next byte is the first of a request's head, and that request's turn is now."""
        parser = self._parser
        return (
            isinstance(parser, HttpRequestParserPy)
            and self._waiter is not None
            and not self._messages
            and self._payload_parser is None
            and not self._upgraded
            and parser._payload_parser is None
            and not parser._lines
            and not parser._tail
        )


class HeldBody:
    """A body that waits in its socket for a thread that reads it."""

    def __init__(self, connection: Any, ahead: bytes) -> None:
        # A descriptor of its own: the connection may be closed while a thread waits for more.
        self._connection = socket.socket(fileno=socket.dup(connection.fileno()))
        self._body = ChunkedBody(self._connection, ahead)
        self._lock = threading.Lock()

    @property
    def ended(self) -> bool:
        return self._body.ended

    def read(self) -> bytes:
        """Raises as `ChunkedBody.read` does."""
        with self._lock:
            self._check_open()
            return self._body.read()

    def move(self, pipe: int) -> bytes | None:
        """Raises as `ChunkedBody.move` does."""
        with self._lock:
            self._check_open()
            return self._body.move(pipe)

    def end(self) -> bytes | None:
        """Let go of the socket; what another parser is to see, `None` when a thread was reading: it gets an error."""
        alone = self._lock.acquire(blocking=False)
        if not alone:
            self._connection.shutdown(socket.SHUT_RD)  # wakes the thread up
            self._lock.acquire()
        try:
            self._connection.close()
            return self._body.rest if alone else None
        finally:
            self._lock.release()

    def _check_open(self) -> None:
        if self._connection.fileno() < 0 and not self.ended:
            raise ConnectionResetError("the request has ended before its body was read")


class HttpServer(web.Server):
    """aiohttp's server, with these connections, and not more than *most* of them; *greet* is called for each."""

    most = sys.maxsize
    greet: Callable[[], None] = staticmethod(lambda: None)

    @property
    def full(self) -> bool:
        return len(self.connections) > self.most

    def __call__(self) -> HttpConnection:
        return HttpConnection(self, loop=self._loop, **self._kwargs)


def connection_of(request: web.BaseRequest) -> HttpConnection | None:
    """The connection that *request* came by; `None` once it has ended."""
    protocol: asyncio.BaseProtocol = request.protocol
    return protocol if isinstance(protocol, HttpConnection) else None
