"""Reads a container's log: all of it, its tail, a stretch of time, or as it grows."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Final, Self

from engine.containers.logs import logfile
from engine.containers.logs.changes import watching
from engine.containers.logs.logfile import LogEntry
from engine.containers.model import LogQuery
from engine.types import SECOND, now

_BLOCK: Final = 512 * 1024
_PROMPT: Final = 0.1
"""Seconds after which a follower gets a line that has not ended, such as a shell's prompt."""
_LIVE_BLOCK: Final = 128 * 1024
"""Bytes read at once on the event loop: about two milliseconds of parsing."""


class LogReader:
    """The log at *path* of a container.

    *exited* is done when the container has ended; `None` for one that does not run. Entries come in lists, in the order
    in which they were written, each a line with its end. A line of more than 16 KiB comes in parts, and one that has
    not ended comes without an end: an entry goes on with that line if the one before it in its stream had no line end.
    """

    def __init__(self, path: Path, *, exited: Future[int | None] | None = None) -> None:
        self._path = path
        self._exited = exited

    def batches(self, query: LogQuery) -> Iterator[list[LogEntry]]:
        """What there is now. Blocking."""
        chosen = _Choice(query)
        ended = self._ended
        with _Lines(self._path, tail=query.tail) as lines:
            lines.stop_at_end()
            while data := lines.read(_BLOCK):
                if entries := chosen(data):
                    yield entries
            if entries := chosen.last(lines.rest() if ended else b""):
                yield entries

    async def follow(self, query: LogQuery) -> AsyncGenerator[list[LogEntry], None]:
        """What there is, then what comes, until the container has ended and all has been read, or `query.until`."""
        chosen = _Choice(query)
        loop = asyncio.get_running_loop()
        with watching(self._path.parent) as changed, _Lines(self._path, tail=query.tail) as lines:

            def wake(_: Future[int | None]) -> None:
                # The daemon may be on its way out: then nobody waits any more.
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(changed.set)

            if self._exited is not None:
                self._exited.add_done_callback(wake)
            while True:
                changed.clear()
                # Asked before reading: the log of a container that has ended is whole.
                ended = self._ended
                if data := lines.read(_LIVE_BLOCK):
                    if entries := chosen(data):
                        yield entries
                    await asyncio.sleep(0)
                    continue
                left = (query.until - now()) / 1e9 if query.until else None
                if ended or (left is not None and left <= 0):
                    if entries := chosen.last(lines.rest() if ended else b""):
                        yield entries
                    return
                try:
                    await asyncio.wait_for(changed.wait(), _PROMPT if chosen.waiting else left)
                except TimeoutError:
                    if chosen.waiting and (entries := chosen.last(b"")):
                        yield entries

    @property
    def _ended(self) -> bool:
        return self._exited is None or self._exited.done()


def timestamp(instant: int) -> bytes:
    """*instant* as Docker puts it before a line of a log: RFC 3339 in UTC, always with nine digits."""
    seconds, nanoseconds = divmod(instant, SECOND)
    return b"%b.%09dZ" % (_second(seconds), nanoseconds)


@lru_cache(maxsize=64)
def _second(seconds: int) -> bytes:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode("ascii")


class _Choice:
    """The entries of records that a query asks for."""

    def __init__(self, query: LogQuery) -> None:
        self._since = query.since
        self._until = query.until or 1 << 63
        self._streams = frozenset(number for number, wanted in ((1, query.stdout), (2, query.stderr)) if wanted)
        self._join = logfile.Joiner()
        self._all = len(self._streams) == 2 and not query.since and not query.until

    @property
    def waiting(self) -> bool:
        return self._join.waiting

    def __call__(self, data: bytes) -> list[LogEntry]:
        return self._chosen(self._join(data))

    def last(self, rest: bytes) -> list[LogEntry]:
        """The entries of *rest*, and of lines that have not ended."""
        return self._chosen((self._join(rest) if rest else []) + self._join.flush())

    def _chosen(self, entries: list[LogEntry]) -> list[LogEntry]:
        if self._all:
            return entries
        since, until, streams = self._since, self._until, self._streams
        return [entry for entry in entries if since <= entry[0] <= until and entry[1] in streams]


class _Lines:
    """The records of a log as a stream of bytes, over the borders of its files. A context manager."""

    def __init__(self, path: Path, *, tail: int | None) -> None:
        self._path = path
        self._files = logfile.open_files(path)
        self._opened = list(self._files)
        if tail is not None:
            self._files = logfile.seek_to_tail(self._files, tail)
        self._carry = b""
        self._left: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._opened:
            file.close()

    def stop_at_end(self) -> None:
        """Read no further than to where the log ends now: it may grow faster than it is read."""
        self._left = sum(os.fstat(file.fileno()).st_size - file.tell() for file in self._files)

    def read(self, size: int) -> bytes:
        """The next whole records without their last line end, about *size* bytes; empty when there are none for now."""
        while data := self._read(size):
            whole, newline, rest = data.rpartition(b"\n")
            if not newline:
                self._carry += data
                continue
            whole, self._carry = self._carry + whole, rest
            if whole:
                return whole
        return b""

    def rest(self) -> bytes:
        """What follows the last whole record: one that a crash has cut, if anything."""
        rest, self._carry = self._carry, b""
        return rest

    def _read(self, size: int) -> bytes:
        """The next bytes; empty when there are none for now."""
        if self._left is not None and not (size := min(size, self._left)):
            return b""
        while True:
            current = self._files[0] if self._files else None
            data = current.read(size) if current is not None else b""
            if not data and len(self._files) <= 1:
                if self._left is not None:
                    return b""
                newer = logfile.open_files(self._path, after=current)
                if not newer:
                    return b""
                self._opened += newer
                self._files += newer
                # conmon has left the file, but may have written to it after the last look.
                data = current.read(size) if current is not None else b""
            if data:
                if self._left is not None:
                    self._left -= len(data)
                return data
            if current is not None:
                self._opened.remove(current)
                current.close()
                del self._files[0]
                if self._carry:
                    # A crash has cut the file's last record: it must not run into the next file's first.
                    return b"\n"
