"""Output on its way to a client that may not be reading: a little of it in memory, more in a file, and then no more.

A container's log and its other clients wait for the slowest reader of its attach socket. So the engine reads that
socket whatever its client does, and keeps here what the client has not taken.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
import threading
from collections import deque
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

MEMORY: Final = 1024 * 1024
"""Bytes in memory, beside the one piece that is being written."""
MOST: Final = 64 * 1024 * 1024
"""Bytes in the file."""
_PIECE: Final = 256 * 1024

_log = logging.getLogger(__name__)


class Backlog:
    """A queue of bytes between one task that puts and one that takes, on one event loop. It is a context manager.

    Its file, in *directory*, has no name: nothing of it is left by a daemon that is killed.
    """

    def __init__(self, directory: Path, *, memory: int = MEMORY, most: int = MOST) -> None:
        self._directory = directory
        self._memory = memory
        self._most = most
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self._ring: _Ring | None = None
        self._stored = 0
        self._storing = False
        self._useless = False
        self._ended = False
        self._some = asyncio.Event()
        self._room = asyncio.Event()

    async def offer(self, piece: bytes) -> bool:
        """Add a *piece* if there is room for it; whether there was. A full disk is as good as a full file."""
        if not self._stored and (not self._pieces or self._held + len(piece) <= self._memory):
            self._pieces.append(piece)
            self._held += len(piece)
        elif self._stored + len(piece) > self._most or not await self._store(piece):
            return False
        self._some.set()
        return True

    async def put(self, piece: bytes) -> None:
        """Add a *piece*, waiting while there is no room."""
        self._room.clear()
        while not await self.offer(piece):
            await self._room.wait()
            self._room.clear()

    def end(self) -> None:
        """Nothing more will be put."""
        self._ended = True
        self._some.set()

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """What has been put, in that order, up to the end."""
        while True:
            self._some.clear()
            if self._pieces:
                piece = self._pieces.popleft()
                self._held -= len(piece)
            elif self._stored and self._ring is not None:
                piece = await asyncio.to_thread(self._ring.read, min(self._stored, _PIECE))
                self._stored -= len(piece)
                if not self._stored and not self._storing:
                    self._forget_ring()
            elif self._ended:
                return
            else:
                await self._some.wait()
                continue
            self._room.set()
            yield piece

    def close(self) -> None:
        self._forget_ring()

    def __enter__(self) -> Backlog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _store(self, piece: bytes) -> bool:
        """Write a *piece* to the file; whether that could be done. What fails once is not tried again."""
        if self._useless:
            return False
        self._storing = True
        try:
            if self._ring is None:
                self._ring = _Ring(self._directory, size=self._most)
            await asyncio.to_thread(self._ring.write, piece)
        except OSError as error:
            _log.warning("cannot keep output for a slow client in %s: %s", self._directory, error.strerror)
            self._useless = True
            return False
        finally:
            self._storing = False
        self._stored += len(piece)
        return True

    def _forget_ring(self) -> None:
        if self._ring is not None:
            self._ring.close()
            self._ring = None


class _Ring:
    """A file of *size* bytes that is written round and round. Any thread may call."""

    def __init__(self, directory: Path, *, size: int) -> None:
        self._file = tempfile.TemporaryFile(dir=directory, buffering=0)  # noqa: SIM115 - closed by `close`
        self._size = size
        self._lock = threading.Lock()
        self._begin = 0
        self._end = 0

    def write(self, data: bytes) -> None:
        """`OSError` when there is no room on the disk; nothing has been added then."""
        with self._lock:
            view, place = memoryview(data), self._end
            while view:
                offset = place % self._size
                written = os.pwrite(self._file.fileno(), view[: self._size - offset], offset)
                view, place = view[written:], place + written
            self._end = place

    def read(self, size: int) -> bytes:
        """The next bytes, *size* at most; the caller knows that there are some."""
        with self._lock:
            offset = self._begin % self._size
            data = os.pread(self._file.fileno(), min(size, self._end - self._begin, self._size - offset), offset)
            self._begin += len(data)
            return data

    def close(self) -> None:
        """Waits for a thread that is at it: the descriptor's number may be another's afterwards."""
        with self._lock:
            self._file.close()
