"""Cuts the logs of running containers into files of a bounded size, without losing a line.

The file is renamed, then conmon is told to open its log anew; until it does, it goes on writing to the renamed file.
(conmon's own `--log-size-max` truncates the file under its readers and loses lines.)
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final

from engine.containers.logfile import paths
from engine.containers.monitor import Monitor, Monitors
from engine.errors import RuntimeFailed

SIZE: Final = 20 * 1024 * 1024
INTERVAL: Final = 1.0
"""Seconds between looks: a stat for each running container."""

_log = logging.getLogger(__name__)


def rotate_if_due(path: Path, *, monitor: Callable[[], Monitor | None], size: int = SIZE) -> bool:
    """Begin a new file if the log *path* has reached *size* bytes; whether it was due.

    *monitor* finds the container's monitor. The oldest file beyond `logfile.FILES` goes.
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
    for newer, older in reversed(list(pairwise(paths(path)))):
        with suppress(FileNotFoundError):
            newer.replace(older)
    with suppress(RuntimeFailed):  # the container has just ended: a later start opens a new file
        found.reopen_log()
    return True


class LogRotator:
    """Looks after the logs of running containers on a thread of its own. It is a context manager.

    *running* tells their ids and logs at each look.
    """

    def __init__(
        self,
        *,
        monitors: Monitors,
        running: Callable[[], Iterable[tuple[str, Path]]],
        interval: float = INTERVAL,
        size: int = SIZE,
    ) -> None:
        self._monitors = monitors
        self._running = running
        self._interval = interval
        self._size = size
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-rotator", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def __enter__(self) -> LogRotator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                for container_id, path in self._running():
                    rotate_if_due(path, monitor=partial(self._monitors.find, container_id), size=self._size)
            except Exception:  # noqa: BLE001 - a full disk now must not end the rotation for good
                _log.exception("could not rotate a container's log")
