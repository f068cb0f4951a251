"""Restart policies: whether a container starts again, and when."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from engine.containers.model import Container
from engine.containers.options import RestartPolicyName
from engine.types import SECOND

_FIRST: Final = 0.1
_LONGEST: Final = 60.0
LONG_LIFE: Final = 10 * SECOND
"""A container that lived so long, in nanoseconds, begins again with the shortest delay."""


def policy_says(container: Container, code: int) -> bool:
    """Whether the container's policy starts it again after an end with *code* that nobody asked for."""
    policy = container.host.restart
    if policy.name in (RestartPolicyName.ALWAYS, RestartPolicyName.UNLESS_STOPPED):
        return True
    if policy.name is not RestartPolicyName.ON_FAILURE or code == 0:
        return False
    return not policy.maximum_retries or container.state.restart_count < policy.maximum_retries


def ends_in_a_row(before: int, *, lived: int) -> int:
    """How many ends there were since a long life, with this one after *lived* nanoseconds, and *before* it."""
    return 1 if lived >= LONG_LIFE else before + 1


def delay(attempt: int) -> float:
    """Seconds before the next life: 0.1, doubled with each end in a row, at most a minute."""
    return min(_FIRST * 2.0 ** max(0, min(attempt, 20) - 1), _LONGEST)


class Restarts:
    """The restarts that are due. Each runs on a thread of its own, when its time has come."""

    def __init__(self, restart: Callable[[str], None]) -> None:
        self._restart = restart
        self._lock = threading.Lock()
        self._timers: dict[str, threading.Timer] = {}
        self._closed = False
        self._at_work: set[threading.Thread] = set()
        self.kept: set[str] = set()
        """Containers that are being restarted by hand: their end is not their removal."""

    def schedule(self, container_id: str, *, attempt: int) -> None:
        timer = threading.Timer(delay(attempt), self._due, (container_id,))
        timer.daemon = True
        with self._lock:
            if self._closed:
                return
            self._timers[container_id] = timer
            timer.start()

    def cancel(self, container_id: str) -> bool:
        """Take back a restart; true when one was due."""
        with self._lock:
            timer = self._timers.pop(container_id, None)
        if timer is not None:
            timer.cancel()
        return timer is not None

    def close(self) -> None:
        """Take back every restart, and wait for those at work."""
        with self._lock:
            self._closed = True
            timers, self._timers = self._timers, {}
            at_work = tuple(self._at_work)
        for timer in timers.values():
            timer.cancel()
        for thread in at_work:
            thread.join()

    def _due(self, container_id: str) -> None:
        with self._lock:
            if self._timers.pop(container_id, None) is None:
                return
            self._at_work.add(threading.current_thread())
        try:
            self._restart(container_id)
        finally:
            with self._lock:
                self._at_work.discard(threading.current_thread())
