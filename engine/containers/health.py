"""Health checks: commands run in a container at intervals, and what they say of it.

The rules are Docker's (Docker Engine API, `HealthConfig` and `Health`): failures within the start period do not count,
a success ends that period, so many failures in a row make a container unhealthy. One thread keeps the times; the
commands run on a small pool, so that a slow check of one container does not delay the others'.
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Final

from engine.containers.model import Container, Health, HealthResult, HealthStatus, Status, Tell
from engine.containers.register import ContainerRegister
from engine.errors import ContainerNotFound
from engine.images.model import HealthCheck
from engine.types import SECOND, now

DEFAULT_INTERVAL: Final = 30 * SECOND
DEFAULT_TIMEOUT: Final = 30 * SECOND
DEFAULT_START_INTERVAL: Final = 5 * SECOND
DEFAULT_RETRIES: Final = 3
_KEPT: Final = 5
_AT_ONCE: Final = 8
_LONGEST: Final = 365 * 24 * 3600.0
"""Seconds: more than threads can wait may be asked for."""

_log = logging.getLogger(__name__)


class HealthChecks:
    """Looks after the health of running containers.

    *probe* takes one look: it gets the container, the seconds that the look may take, and an event at which it gives up
    and returns `None`.
    """

    def __init__(
        self,
        *,
        register: ContainerRegister,
        probe: Callable[[Container, float, threading.Event], HealthResult | None],
        tell: Tell,
    ) -> None:
        self._register = register
        self._probe = probe
        self._tell = tell
        self._condition = threading.Condition()
        self._due: list[tuple[float, str, int]] = []
        self._lives: dict[str, int] = {}
        """The life of each container that is looked at: what is due for an earlier life is passed over."""
        self._closed = False
        self._closing = threading.Event()
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="health")
        self._thread: threading.Thread | None = None

    def first(self, container: Container) -> Health | None:
        """The health of a container that is just being started."""
        return Health() if container.config.health.wanted else None

    def begin(self, container: Container) -> None:
        """Look after a container that runs, from now on."""
        if not container.config.health.wanted:
            return
        with self._condition:
            self._lives[container.id] = life = self._lives.get(container.id, 0) + 1
            self._plan(container, life)

    def end(self, container_id: str) -> None:
        """The container has ended."""
        with self._condition:
            self._lives.pop(container_id, None)

    def close(self) -> None:
        """Look no more; looks that are being taken are given up, and what they run is left to the next daemon."""
        self._closing.set()
        with self._condition:
            self._closed = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _plan(self, container: Container, life: int) -> None:
        # Called with the condition's lock held.
        if self._closed:
            return
        heapq.heappush(self._due, (time.monotonic() + delay(container, now()), container.id, life))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="health-clock", daemon=True)
            self._thread.start()
        self._condition.notify()

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._closed and (not self._due or self._due[0][0] > time.monotonic()):
                    self._condition.wait(self._due[0][0] - time.monotonic() if self._due else None)
                if self._closed:
                    return
                _, container_id, life = heapq.heappop(self._due)
                if self._lives.get(container_id) != life:
                    continue
            self._pool.submit(self._look, container_id, life)

    def _look(self, container_id: str, life: int) -> None:
        try:
            record = self._register.by_id(container_id)
            if record is None:
                return
            container = record.container
            if container.state.status is Status.RUNNING:
                timeout = min((container.config.health.timeout or DEFAULT_TIMEOUT) / SECOND, _LONGEST)
                result = self._probe(container, timeout, self._closing)
                if result is not None:
                    self._note(container, result)
            with self._condition:
                if self._lives.get(container_id) == life:
                    self._plan(self._register.find(container_id).container, life)
        except ContainerNotFound:
            return
        except Exception:  # noqa: BLE001 - one container's trouble must not end the looks at the others
            _log.exception("could not look at the health of container %s", container_id)

    def _note(self, seen: Container, result: HealthResult) -> None:
        with suppress(ContainerNotFound), self._register.locked(seen.id) as record:
            container = record.container
            if container.state.started_at != seen.state.started_at or not container.state.running:
                return  # that was an earlier life
            before = container.state.health or Health()
            after = judged(before, result, check=container.config.health, started=container.state.started_at or 0)
            container = replace(container, state=replace(container.state, health=after))
            self._register.save(replace(record, container=container))
        if after.status is not before.status:
            self._tell(container, f"health_status: {after.status}")


def delay(container: Container, instant: int) -> float:
    """Seconds until the next look: shorter ones while the container is still coming up."""
    check, health = container.config.health, container.state.health
    interval = check.interval or DEFAULT_INTERVAL
    starting = health is None or health.status is HealthStatus.STARTING
    if starting and instant - (container.state.started_at or instant) < check.start_period:
        interval = min(interval, check.start_interval or DEFAULT_START_INTERVAL)
    return min(interval / SECOND, _LONGEST)


def judged(health: Health, result: HealthResult, *, check: HealthCheck, started: int) -> Health:
    """*health* after one more *result* in a container that was *started* at that instant."""
    status, streak = health.status, health.failing_streak
    if result.exit_code == 0:
        status, streak = HealthStatus.HEALTHY, 0
    elif status is not HealthStatus.STARTING or result.start - started >= check.start_period:
        streak += 1
        if streak >= (check.retries or DEFAULT_RETRIES):
            status = HealthStatus.UNHEALTHY
    return Health(status=status, failing_streak=streak, log=(*health.log, result)[-_KEPT:])
