"""Cuts the logs of running containers into files of a bounded size, without losing a line.

The file is renamed, then conmon is told to open its log anew; until it does, it goes on writing to the renamed file.
(conmon's own `--log-size-max` truncates the file under its readers and loses lines.)
"""

from __future__ import annotations

import logging
import math
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final

from inotify_simple import INotify, flags

from engine.containers.logs.logfile import paths
from engine.containers.options import UNLIMITED, LogOptions
from engine.containers.runtime.monitor import Monitor, Monitors
from engine.errors import RuntimeFailed

_PATIENCE: Final = 1.0
_FAST: Final = 200_000_000
"""Bytes a second that conmon writes at its best, about."""
_SHORTEST: Final = 0.01
_LONGEST: Final = 0.1
"""Seconds between two looks at a log that grows."""
_REFRESH: Final = 5.0
"""Seconds between two looks at which containers there are, if nobody says that there is a new one."""
_WRITTEN: Final = flags.MODIFY | flags.CREATE | flags.MOVED_TO | flags.ONESHOT

_log = logging.getLogger(__name__)


def rotate_if_due(path: Path, *, monitor: Callable[[], Monitor | None], size: int, files: int) -> bool:
    """Begin a new file if the log *path* has reached *size* bytes; whether it was due.

    *monitor* finds the container's monitor. The oldest file beyond *files* goes. One that has only one file begins
    anew: what was in it goes once the monitor has left it.
    """
    try:
        if path.stat().st_size < size:
            return False
    except FileNotFoundError:
        # conmon has not opened the new one since the last rotation, or the container is gone.
        return False
    found = monitor()
    if found is None or not found.monitor.alive:
        return False
    for newer, older in reversed(list(pairwise(paths(path, files=max(files, 2))))):
        with suppress(FileNotFoundError):
            newer.replace(older)
    with suppress(RuntimeFailed):  # the container has just ended: a later start opens a new file
        found.reopen_log()
    if files < 2:
        _remove_when_left(path)
    return True


def _remove_when_left(path: Path) -> None:
    """Remove the renamed file of a log that keeps no others, once its monitor writes to a new one."""
    deadline = time.monotonic() + _PATIENCE
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    path.with_name(f"{path.name}.1").unlink(missing_ok=True)


@dataclass(slots=True, kw_only=True)
class _Log:
    container_id: str
    path: Path
    options: LogOptions
    due: float = 0.0
    """When to look at it, on the monotonic clock; for ever while the kernel watches it."""
    size: int = -1
    """Bytes at the last look."""


class LogRotator:
    """Looks after the logs of running containers on a thread of its own. It is a context manager.

    The kernel tells when a log is written to that has been still (inotify(7)); from then on it is looked at in short
    intervals until it is still again. One that is written to at 200 MB/s so has files of at most twice their size, and
    containers that say nothing cost nothing.

    *running* tells the ids of the running containers, their logs and what is to become of these. *pause* is the seconds
    between two looks at a log that grows, for those who know better than its size.
    """

    def __init__(
        self,
        *,
        monitors: Monitors,
        running: Callable[[], Iterable[tuple[str, Path, LogOptions]]],
        pause: float | None = None,
    ) -> None:
        self._monitors = monitors
        self._running = running
        self._pause = pause
        self._logs: dict[str, _Log] = {}
        self._watches: dict[int, _Log] = {}
        self._new: deque[_Log] = deque()
        self._lock = threading.Lock()
        """Held while somebody wakes the thread: its descriptor is gone afterwards."""
        self._stopping = False
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._inotify = INotify(nonblocking=True)
        self._thread = threading.Thread(target=self._run, name="log-rotator", daemon=True)
        self._thread.start()

    def begun(self, container_id: str, path: Path, options: LogOptions) -> None:
        """A container has begun to run, and to write its log."""
        with self._lock:
            if not self._stopping:
                self._new.append(_Log(container_id=container_id, path=path, options=options))
                os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        with self._lock:
            if self._stopping:
                return
            self._stopping = True
            os.eventfd_write(self._wake, 1)
        self._thread.join()
        self._inotify.close()
        os.close(self._wake)

    def __enter__(self) -> LogRotator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        poll.register(self._inotify.fileno(), select.POLLIN)
        refresh = 0.0
        while not self._stopping:
            now = time.monotonic()
            try:
                if now >= refresh:
                    self._refresh()
                    refresh = now + _REFRESH
                while self._new:
                    self._take_up(self._new.popleft())
                for log in self._logs.values():
                    if log.due <= now:
                        log.due = now + _REFRESH  # if this look fails
                        self._look(log, now)
            except Exception:  # noqa: BLE001 - a full disk now must not end the rotation for good
                _log.exception("could not rotate a container's log")
            following = min((log.due for log in self._logs.values()), default=refresh)
            poll.poll(max(0.0, min(refresh, following) - time.monotonic()) * 1000)
            with suppress(BlockingIOError):
                os.eventfd_read(self._wake)
            for event in self._inotify.read(timeout=0):
                if (written := self._watches.pop(event.wd, None)) is not None:
                    written.due = time.monotonic() + self._interval(written)

    def _refresh(self) -> None:
        """Take up the logs that are new, forget those that do not grow any more."""
        found = {container_id: (path, options) for container_id, path, options in self._running()}
        for container_id in self._logs.keys() - found.keys():
            del self._logs[container_id]
        for container_id, (path, options) in found.items():
            if container_id not in self._logs:
                self._take_up(_Log(container_id=container_id, path=path, options=options))

    def _take_up(self, log: _Log) -> None:
        if log.options.max_size < UNLIMITED:
            self._logs[log.container_id] = log

    def _look(self, log: _Log, now: float) -> None:
        rotated = rotate_if_due(
            log.path,
            monitor=partial(self._monitors.find, log.container_id),
            size=log.options.max_size,
            files=log.options.max_files,
        )
        before, log.size = log.size, _size(log.path)
        if rotated or log.size != before:
            log.due = now + self._interval(log)
            return
        try:
            watch = self._inotify.add_watch(log.path.parent, _WRITTEN)
        except OSError:
            return  # no directory any more, or no more watches for this user: it is looked at from time to time
        self._watches[watch] = log
        # What was written before the watch was there nobody tells of.
        log.due = math.inf if _size(log.path) == log.size else now + self._interval(log)

    def _interval(self, log: _Log) -> float:
        if self._pause is not None:
            return self._pause
        return min(max(log.options.max_size / _FAST, _SHORTEST), _LONGEST)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1
