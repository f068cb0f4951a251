"""Cuts the logs of running containers into files of a bounded size, without losing a line.

The file is renamed, then conmon is told to open its log anew; until it does, it goes on writing to the renamed file.
(conmon's own `--log-size-max` truncates the file under its readers and loses lines.)
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final

from engine.containers.logfile import paths
from engine.containers.monitor import Monitor, Monitors
from engine.containers.options import LogOptions
from engine.errors import RuntimeFailed

_PATIENCE: Final = 1.0
INTERVAL: Final = 1.0
"""Seconds between looks: a stat for each running container."""

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


class LogRotator:
    """Looks after the logs of running containers on a thread of its own. It is a context manager.

    *running* tells their ids, their logs and what is to become of these, at each look.
    """

    def __init__(
        self,
        *,
        monitors: Monitors,
        running: Callable[[], Iterable[tuple[str, Path, LogOptions]]],
        interval: float = INTERVAL,
    ) -> None:
        self._monitors = monitors
        self._running = running
        self._interval = interval
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
                for container_id, path, options in self._running():
                    rotate_if_due(
                        path,
                        monitor=partial(self._monitors.find, container_id),
                        size=options.max_size,
                        files=options.max_files,
                    )
            except Exception:  # noqa: BLE001 - a full disk now must not end the rotation for good
                _log.exception("could not rotate a container's log")
