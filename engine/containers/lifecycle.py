"""The passages of a container's life: begun, ended, begun again, removed.

Whoever calls has the container's lock, and hands over the record that came with it.
"""

from __future__ import annotations

import logging
import shutil
import signal as signals
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from engine.containers import state
from engine.containers.autopsy import Autopsy
from engine.containers.health import HealthChecks
from engine.containers.model import Status, Tell
from engine.containers.records import Record
from engine.containers.register import ContainerRegister
from engine.containers.restart import Restarts, ends_in_a_row, policy_says
from engine.containers.runtime.exits import Exit
from engine.containers.runtime.monitor import Monitor
from engine.containers.starting import Starter
from engine.containers.waiting import Waiters
from engine.errors import CommandUnusable, ContainerNotFound, EngineError
from engine.images.service import ImageService
from engine.snapshots.store import SnapshotStore
from engine.types import SECOND, now

_LOG: Final = logging.getLogger(__name__)
_NOT_STARTED: Final = 128
_RECENT: Final = 60 * SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """What every passage needs."""

    register: ContainerRegister
    starter: Starter
    waiters: Waiters
    restarts: Restarts
    health: HealthChecks
    autopsy: Autopsy
    images: ImageService
    snapshots: SnapshotStore
    tell: Tell
    watch: Callable[[Monitor], None]
    """Called with the monitor of a container that has just been started."""
    end_streams: Callable[[str], None]

    def begin(self, record: Record) -> None:
        """Run the container's process. One that was to be removed at its end is removed when it does not start."""
        container = record.container
        try:
            started = self.starter.start(container)
        except EngineError as error:
            self._not_begun(record, error)
            raise
        running = state.moved(
            container,
            Status.RUNNING,
            pid=started.monitor.process.pid,
            started_at=now(),
            exit_code=0,
            error="",
            oom_killed=False,
            health=self.health.first(container),
        )
        self.register.save(replace(record, container=running, asked=""))
        self.starter.links.refresh(running)
        self.tell(running, "start")
        self.watch(started.monitor)
        self.health.begin(running)

    def end(self, record: Record, *, code: int, error: str, oom_killed: bool) -> None:
        """The process has ended: take its things down, tell everybody, restart or remove."""
        container = record.container
        kept = container.id in self.restarts.kept  # before those who restart it see the end, and keep it no longer
        lived = now() - (container.state.started_at or now())
        again = not record.stopped_by_hand and policy_says(container, code)
        status = Status.RESTARTING if again else Status.EXITED
        ended = state.moved(
            container, status, pid=0, exit_code=code, error=error, oom_killed=oom_killed, finished_at=now()
        )
        if again:
            ended = replace(ended, state=replace(ended.state, restart_count=ended.state.restart_count + 1))
        failures = ends_in_a_row(record.failures, lived=lived)
        self.health.end(container.id)
        try:
            # A signal that it has outlived for so long is not why it ended.
            asked = record.asked if now() - record.asked_at < _RECENT else ""
            self.autopsy.examine(ended, asked=asked)
        except Exception:  # noqa: BLE001 - that nothing is known of the reason must not lose the end itself
            _LOG.exception("could not write down why container %s ended", container.id)
        record = replace(record, container=ended, failures=failures, asked="")
        self.register.save(record)
        if oom_killed:
            self.tell(ended, "oom")
        self.tell(ended, "die", exitCode=str(code), execDuration=str(lived // SECOND))
        try:
            self.starter.take_down(container)
        except EngineError:
            _LOG.exception("could not take down container %s", container.id)
        self.end_streams(container.id)
        self.waiters.ended(container.id, code, error)
        if again:
            self.restarts.schedule(container.id, attempt=failures)
        elif container.host.auto_remove and not kept:
            self.remove(record, volumes=True)

    def ended(self, end: Exit) -> None:
        """What a monitor tells. Takes the lock itself."""
        code, error = end.code, ""
        if code is None:
            # Without its monitor nobody reads what the process prints: it would stand still at the next full pipe.
            end.monitor.process.send(signals.SIGKILL)
            code, error = 137, "the container's monitor was killed, and the container with it"
        with suppress(ContainerNotFound), self.register.locked(end.monitor.container_id) as record:
            current = record.container.state
            if current.pid == end.monitor.process.pid and current.running:
                # A monitor may see the end before it has heard of the kill.
                oom_killed = end.oom_killed or self.autopsy.out_of_memory(record.container)
                self.end(record, code=code, error=error, oom_killed=oom_killed)

    def begin_again(self, container_id: str) -> None:
        """A restart that has become due. Takes the lock itself."""
        with suppress(ContainerNotFound), self.register.locked(container_id) as record:
            if record.container.state.status in (Status.RUNNING, Status.PAUSED, Status.REMOVING):
                return
            if record.container.state.status is Status.RESTARTING and record.stopped_by_hand:
                self.stay_ended(record)
                return
            # One that was stopped by hand and starts with the daemon is under its policy again.
            record = replace(record, stopped_by_hand=False)
            try:
                self.begin(record)
            except EngineError as error:
                _LOG.warning("container %s was not restarted: %s", record.container.name, error)
                if policy_says(record.container, _NOT_STARTED):
                    self._try_later(container_id, failures=record.failures + 1)

    def stay_ended(self, record: Record) -> None:
        """Stopped between two lives: it is not begun again."""
        stopped = state.moved(record.container, Status.EXITED)
        self.register.save(replace(record, container=stopped, stopped_by_hand=True))
        self.waiters.ended(stopped.id, stopped.state.exit_code, stopped.state.error)

    def remove(self, record: Record, *, volumes: bool) -> None:
        """Remove the container and what it wrote, with *volumes* those that nobody named as well."""
        container = record.container
        removing = replace(record, container=state.moved(container, Status.REMOVING), remove_volumes=volumes)
        self.register.save(removing)
        self.starter.take_down(container)
        self.end_streams(container.id)
        self.snapshots.remove(container.id)
        shutil.rmtree(self.starter.bundle(container.id), ignore_errors=True)
        # Before the row, which is what tells a later daemon to go on with the removal.
        self.starter.mounts.forget(container, volumes=volumes)
        self.register.delete(container.id)
        self.images.collect(in_use=self.register.uses)
        self.tell(container, "destroy")
        self.waiters.removed(container.id, container.state.exit_code, container.state.error)

    def _not_begun(self, record: Record, error: EngineError) -> None:
        container = record.container
        code = error.exit_code if isinstance(error, CommandUnusable) else _NOT_STARTED
        failed = replace(
            record, container=replace(container, state=replace(container.state, exit_code=code, error=str(error)))
        )
        if container.state.status is Status.RESTARTING:
            failed = replace(failed, container=state.moved(failed.container, Status.EXITED, finished_at=now()))
        self.register.save(failed)
        self.end_streams(container.id)
        self.waiters.ended(container.id, code, str(error))
        if container.host.auto_remove:
            self.remove(failed, volumes=True)

    def _try_later(self, container_id: str, *, failures: int) -> None:
        current = self.register.by_id(container_id)
        if current is None:
            return
        count = current.container.state.restart_count + 1
        again = state.moved(current.container, Status.RESTARTING, restart_count=count)
        self.register.save(replace(current, container=again, failures=failures))
        self.restarts.schedule(container_id, attempt=failures)
