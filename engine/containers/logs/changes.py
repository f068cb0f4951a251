"""Tells followers of logs that there may be more to read: one inotify instance for all of an event loop.

The kernel gives a user 128 instances by default, and there may be more followers than that (inotify(7)).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from inotify_simple import INotify, flags

_MASK: Final = flags.MODIFY | flags.MOVED_TO | flags.CREATE


class _Changes:
    """The watches of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._inotify = INotify(nonblocking=True)
        self._watches: dict[int, set[asyncio.Event]] = {}
        loop.add_reader(self._inotify.fileno(), self._read)

    def add(self, directory: Path, event: asyncio.Event) -> int:
        watch: int = self._inotify.add_watch(directory, _MASK)
        self._watches.setdefault(watch, set()).add(event)
        return watch

    def remove(self, watch: int, event: asyncio.Event) -> None:
        events = self._watches[watch]
        events.discard(event)
        if not events:
            del self._watches[watch]
            # The directory may have been removed, and its watch with it.
            with suppress(OSError):
                self._inotify.rm_watch(watch)

    def close_if_idle(self) -> bool:
        """Close unless somebody still watches; whether it did."""
        if self._watches:
            return False
        self._loop.remove_reader(self._inotify.fileno())
        self._inotify.close()
        return True

    def _read(self) -> None:
        for watch in {happened.wd for happened in self._inotify.read(timeout=0)}:
            # An overflow of the kernel's queue comes with -1: anything may have changed.
            watches = self._watches if watch < 0 else (watch,)
            for changed in watches:
                for event in self._watches.get(changed, ()):
                    event.set()


_loops: Final[dict[asyncio.AbstractEventLoop, _Changes]] = {}


@contextmanager
def watching(directory: Path) -> Iterator[asyncio.Event]:
    """An event that is set whenever a file in *directory* is written to or appears, while the block runs."""
    loop = asyncio.get_running_loop()
    if loop not in _loops:
        _loops[loop] = _Changes(loop)
    changes = _loops[loop]
    event = asyncio.Event()
    watch = -1
    try:
        # Without the directory there is no log: the follower learns of the end by other means.
        with suppress(FileNotFoundError):
            watch = changes.add(directory, event)
        yield event
    finally:
        if watch >= 0:
            changes.remove(watch, event)
        if changes.close_if_idle():
            del _loops[loop]
