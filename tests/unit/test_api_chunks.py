"""Bodies in chunks, however they are cut in pieces."""

from __future__ import annotations

import fcntl
import os
import random
import select
import socket
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest

from engine.api.chunks import ChunkedBody
from engine.errors import InvalidParameter

DATA = bytes(range(256)) * 3
NEXT = b"GET /_ping HTTP/1.1\r\n"


def chunked(data: bytes, sizes: Iterable[int], *, trailer: bytes = b"") -> bytes:
    pieces, place = [], 0
    for size in sizes:
        piece = data[place : place + size]
        pieces.append(b"%X;x=y\r\n%b\r\n" % (len(piece), piece) if size % 2 else b"%x\r\n%b\r\n" % (len(piece), piece))
        place += size
    assert place == len(data)
    return b"".join(pieces) + b"0\r\n" + trailer + b"\r\n"


WHOLE = chunked(DATA, (1, 255, 300, 212), trailer=b"Checksum: 1\r\n")


@contextmanager
def body(ahead: bytes = b"", *later: bytes, end: bool = True) -> Iterator[ChunkedBody]:
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        theirs.setblocking(False)
        for data in later:
            ours.sendall(data)
        if end:
            ours.shutdown(socket.SHUT_WR)
        yield ChunkedBody(theirs, ahead)


def everything(body: ChunkedBody) -> bytes:
    found = b""
    while data := body.read():
        found += data
    return found


def moved(body: ChunkedBody) -> bytes:
    """As `everything`, through a small pipe that somebody else reads."""
    source, pipe = os.pipe()
    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)
    with ThreadPoolExecutor(1) as pool, os.fdopen(source, "rb") as reader:
        found = pool.submit(reader.read)
        with os.fdopen(pipe, "wb", buffering=0) as writer:
            while not body.ended:
                data = body.move(pipe)
                if data is None:
                    select.select([], [pipe], [])
                else:
                    written = 0
                    while written < len(data):
                        written += writer.write(data[written:])
        return found.result()


@pytest.mark.parametrize("cut", range(0, len(WHOLE), 7))
def test_cut_anywhere(cut: int) -> None:
    with body(WHOLE[:cut], WHOLE[cut:] + NEXT) as found:
        assert everything(found) == DATA
        assert found.ended
        assert found.rest == b"0\r\n\r\n" + NEXT
        assert found.read() == b""


@pytest.mark.parametrize("cut", range(0, len(WHOLE), 23))
def test_moved_into_a_pipe(cut: int) -> None:
    with body(WHOLE[:cut], WHOLE[cut:] + NEXT) as found:
        assert moved(found) == DATA
        assert found.rest + found._connection.recv(100) == b"0\r\n\r\n" + NEXT
        assert found.move(-1) == b""


@pytest.mark.parametrize("cut", [0, 300, 70_000])
def test_much_moved_into_a_pipe(cut: int) -> None:
    """Chunks of one size, as the docker CLI sends them, and others; more than the pipe takes at once."""
    data = random.Random(5).randbytes(100_000)
    sizes = [8192] * 6 + [10_000, 1, *[4096] * 3]
    raw = chunked(data, [*sizes, len(data) - sum(sizes)])
    with body(raw[:cut], raw[cut:] + NEXT) as found:
        assert moved(found) == data
        assert found.rest + found._connection.recv(100) == b"0\r\n\r\n" + NEXT


@pytest.mark.parametrize("cut", range(1, len(WHOLE), 23))
def test_moved_and_cut_off(cut: int) -> None:
    with body(b"", WHOLE[:cut]) as found:
        with pytest.raises(ConnectionResetError, match="before the end"):
            moved(found)
        with body(found.rest, WHOLE[cut:] + NEXT) as other:
            everything(other)
            assert other.rest == b"0\r\n\r\n" + NEXT


def test_in_random_pieces() -> None:
    chance = random.Random(7)
    for _ in range(20):
        sizes = []
        while sum(sizes) < len(DATA):
            sizes.append(min(chance.randint(1, 200), len(DATA) - sum(sizes)))
        raw = chunked(DATA, sizes)
        with body(raw[: chance.randint(0, len(raw))]) as found:
            pieces = raw[len(found.rest) :]
            with body(found.rest, pieces) as again:
                assert everything(again) == DATA


@pytest.mark.parametrize("cut", range(len(WHOLE)))
def test_another_parser_finds_the_end(cut: int) -> None:
    """Whatever has been read, a parser that begins there ends where the body does."""
    with body(WHOLE[:cut], end=True) as found:
        with pytest.raises(ConnectionResetError):
            everything(found)
        with body(found.rest, WHOLE[cut:] + NEXT) as other:
            everything(other)
            assert other.rest == b"0\r\n\r\n" + NEXT


@pytest.mark.parametrize(
    "raw",
    [
        b"x\r\n",
        b"-1\r\n",
        b"0x1\r\n",
        b"\r\n",
        b"1" * 16 + b"\r\n",
        b"1\r\nab\r\n",
        b"1" + b" " * 2000,
        b"0\r\n" + b"a: b\r\n" * 70,
    ],
)
@pytest.mark.parametrize("read", [everything, moved])
def test_what_is_no_chunk(raw: bytes, read: Callable[[ChunkedBody], bytes]) -> None:
    with body(b"", raw) as found, pytest.raises(InvalidParameter, match="not in chunks"):
        read(found)
