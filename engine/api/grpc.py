"""Tells BuildKit's clients, in words that they show, that there is no BuildKit here.

They upgrade a connection to HTTP/2 (RFC 9113) and make gRPC calls on it; of a status other than 101 they tell no more
than the number. So the upgrade is granted, and each call is answered by trailers alone (gRPC over HTTP2, "Responses"):
`UNIMPLEMENTED` and a sentence. No header of a call is read, so there is no need of a decoder of them.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Final
from urllib.parse import quote

from engine.api.hijack import Connection

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADERS, _SETTINGS, _PING, _GO_AWAY, _CONTINUATION = 0x1, 0x4, 0x6, 0x7, 0x9
_ACK: Final = 0x1
_END_STREAM: Final = 0x1
_END_HEADERS: Final = 0x4
_LARGEST: Final = 16384
"""Bytes of a frame at most, as nothing else is settled (RFC 9113, 4.2)."""
_STATUS_OK: Final = b"\x88"
"""`:status: 200` (RFC 7541, Appendix A, 8)."""
_UNIMPLEMENTED: Final = b"12"


async def refuse_calls(connection: Connection, sentence: str) -> None:
    """Answer every gRPC call on *connection* with *sentence*, until the client leaves or says no HTTP/2."""
    answer = _trailers(sentence)
    try:
        if await connection.read_exactly(len(_PREFACE)) != _PREFACE:
            return
        await connection.write(_frame(_SETTINGS, 0, 0))
        while True:
            length, kind, flags, stream = _head(await connection.read_exactly(9))
            if length > _LARGEST:
                return
            payload = await connection.read_exactly(length)
            if kind == _SETTINGS and not flags & _ACK:
                await connection.write(_frame(_SETTINGS, _ACK, 0))
            elif kind == _PING and not flags & _ACK:
                await connection.write(_frame(_PING, _ACK, 0, payload))
            elif kind in (_HEADERS, _CONTINUATION) and flags & _END_HEADERS:
                await connection.write(_frame(_HEADERS, _END_STREAM | _END_HEADERS, stream, answer))
            elif kind == _GO_AWAY:
                return
    except (asyncio.IncompleteReadError, ConnectionError):
        return  # the client has left


def _head(data: bytes) -> tuple[int, int, int, int]:
    """Length, type, flags and stream of a frame (RFC 9113, 4.1)."""
    high, low, kind, flags, stream = struct.unpack("!BHBBI", data)
    return high << 16 | low, kind, flags, stream & 0x7FFF_FFFF


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack("!BHBBI", len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, stream) + payload


def _trailers(sentence: str) -> bytes:
    """The header block of an answer that is an error: fields that no table is to remember (RFC 7541, 6.2.2)."""
    message = quote(sentence, safe=" !\"#$&'()*+,/:;<=>?@[\\]^`{|}").encode("ascii")
    fields = ((b"content-type", b"application/grpc"), (b"grpc-status", _UNIMPLEMENTED), (b"grpc-message", message))
    return _STATUS_OK + b"".join(b"\0" + _text(name) + _text(value) for name, value in fields)


def _text(data: bytes) -> bytes:
    """A string that is not compressed, its length before it (RFC 7541, 5.1 and 5.2)."""
    length = len(data)
    if length < 0x7F:
        return bytes([length]) + data
    length -= 0x7F
    prefix = [0x7F]
    while length >= 0x80:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*prefix, length]) + data
