"""Learns of the end of containers and exec sessions from the end of their monitors.

A monitor writes the exit code, then ends; its pidfd becomes readable at that moment, for monitors of this daemon and
for those adopted from an earlier one alike. A monitor that has ended before it was watched is told of at once, so that
no exit can be lost, whatever the order. A monitor that dies without an exit code (killed, or short of memory) is told
of as well: its container may still run, without its standard streams.
"""

from __future__ import annotations

import logging
import os
import selectors
import threading
from collections.abc import Callable
from dataclasses import dataclass

from engine.containers.runtime.monitor import Monitor

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """The end of a monitor. `code` is 128 + signal for a killed process, `None` when the monitor died without one."""

    monitor: Monitor
    code: int | None
    oom_killed: bool


class ExitWatcher:
    """One thread that waits for all monitors. It is a context manager.

    Callbacks run on that thread, one after the other: one that takes long holds up the others' news.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._new: list[tuple[Monitor, Callable[[Exit], None]]] = []
        self._stopping = False
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread = threading.Thread(target=self._run, name="exit-watcher", daemon=True)
        self._thread.start()

    def watch(self, monitor: Monitor, on_exit: Callable[[Exit], None]) -> None:
        """Call *on_exit* once, when *monitor* ends or at once when it has ended already."""
        with self._lock:
            if self._stopping:
                return
            self._new.append((monitor, on_exit))
            os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Stop watching. Monitors and containers go on; nothing more is told once this returns."""
        with self._lock:
            if self._stopping:
                return
            self._stopping = True
            os.eventfd_write(self._wake, 1)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> ExitWatcher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        with selectors.EpollSelector() as selector:
            selector.register(self._wake, selectors.EVENT_READ)
            while not self._stopping:
                for key, _ in selector.select():
                    if key.data is None:
                        self._adopt(selector)
                    elif not self._stopping:
                        selector.unregister(key.fd)
                        os.close(key.fd)
                        _tell(*key.data)
            for key in tuple(selector.get_map().values()):
                os.close(key.fd)

    def _adopt(self, selector: selectors.BaseSelector) -> None:
        os.eventfd_read(self._wake)
        with self._lock:
            new, self._new = self._new, []
        for monitor, on_exit in new:
            descriptor = monitor.monitor.open()
            if descriptor is None:
                _tell(monitor, on_exit)
            else:
                selector.register(descriptor, selectors.EVENT_READ, (monitor, on_exit))


def _tell(monitor: Monitor, on_exit: Callable[[Exit], None]) -> None:
    try:
        on_exit(Exit(monitor=monitor, code=monitor.exit_code, oom_killed=monitor.oom_killed))
    except Exception:  # noqa: BLE001 - one container's trouble must not leave the others unwatched
        _log.exception("could not record the end of %s", monitor.id)
