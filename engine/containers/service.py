"""Containers: created, started, stopped, waited for, removed.

One lock a container orders what is done to it; a picture of each container is kept in memory and in its row. The end of
a process comes from its monitor (`engine.containers.exits`) and is handled on a thread of the service's pool.
"""

from __future__ import annotations

import logging
import shutil
import signal as signals
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as WaitTimeoutError
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from engine.config import EngineConfig
from engine.containers import listing, names, seccomp, state
from engine.containers.creation import draft
from engine.containers.exits import Exit
from engine.containers.model import (
    Container,
    ContainerConfig,
    Created,
    HostConfig,
    Status,
    WaitCondition,
)
from engine.containers.monitor import Monitor, Monitors
from engine.containers.records import ContainerRecords, Record, name_taken
from engine.containers.restart import Restarts, policy_says
from engine.containers.runtime import find_monitor, find_runtime
from engine.containers.signals import signal_number
from engine.containers.starting import Starter
from engine.containers.streams import ContainerStreams
from engine.containers.waiting import WaitHandle
from engine.database import Database
from engine.errors import AmbiguousId, CommandUnusable, Conflict, ContainerNotFound, EngineError, NotModified
from engine.events import EventBus, Kind
from engine.images.model import ContainerUse, Image
from engine.images.service import ImageService
from engine.kernel.process import held_capabilities
from engine.networks.service import NetworkService
from engine.snapshots.store import SnapshotStore
from engine.types import Digest, is_id, new_id, now

_LOG: Final = logging.getLogger(__name__)
STOP_TIMEOUT: Final = 10
"""Seconds between a stop's signal and SIGKILL, where neither caller nor container say."""
KILL_PATIENCE: Final = 30
"""Seconds that SIGKILL may take: a process in an uninterruptible sleep does not die before it wakes."""
_NOT_STARTED: Final = 128


class ContainerService(ContainerStreams):
    """The containers of one engine. Any thread may call it."""

    def __init__(
        self,
        *,
        database: Database,
        events: EventBus,
        config: EngineConfig,
        images: ImageService,
        networks: NetworkService,
        snapshots: SnapshotStore,
    ) -> None:
        self._events = events
        self._images = images
        self._snapshots = snapshots
        self._networks = networks
        self._records = ContainerRecords(database)
        self._lock = threading.RLock()
        self._known: dict[str, Record] = {}
        self._locks: dict[str, threading.RLock] = {}
        self._pool = ThreadPoolExecutor(max_workers=32, thread_name_prefix="container")
        # Apart from those who wait for them: 32 ends at once would otherwise wait for each other for ever.
        self._helpers = ThreadPoolExecutor(max_workers=32, thread_name_prefix="sandbox")
        self.runtime = find_runtime(config.run / "runtime")
        monitors = Monitors(
            root=config.run / "monitors",
            conmon=find_monitor(),
            runtime=self.runtime.program,
            runtime_root=self.runtime.root,
        )
        self._held = held_capabilities()
        super().__init__(monitors=monitors, held=self._held)
        self._restarts = Restarts(self._restart_now)
        directory = config.root / "containers"
        directory.mkdir(parents=True, exist_ok=True, mode=0o710)
        self._starter = Starter(
            directory=directory,
            cgroup_parent=config.instance,
            held=self._held,
            snapshots=snapshots,
            networks=networks,
            monitors=monitors,
            runtime=self.runtime,
            attachments=self.attachments,
            executor=self._helpers,
        )
        seccomp.default_profile()

    # --- the service itself

    def load(self) -> None:
        """Read the containers that the database knows. Before anything else."""
        with self._lock:
            for record in self._records.all():
                self._known[record.container.id] = record

    def close(self) -> None:
        """Stop watching; containers go on running."""
        self._restarts.close()
        self.close_streams()
        self._pool.shutdown(wait=True)
        self._helpers.shutdown(wait=True)

    # --- reading

    def get(self, text: str) -> Container:
        """The container that *text* names: an id, a name, or an unambiguous beginning of an id."""
        return self._with_sandbox(self._find(text).container)

    def list(
        self,
        *,
        all: bool = False,  # noqa: A002 - Docker's word
        filters: Mapping[str, Collection[str]] | None = None,
        limit: int | None = None,
    ) -> Sequence[Container]:
        """The containers, newest first; those that run, unless *all*, a filter of state or *limit* asks for more."""
        with self._lock:
            everything = [record.container for record in self._known.values()]
        everything.sort(key=lambda container: container.created, reverse=True)
        found = listing.filtered(
            everything, filters=filters or {}, all_states=all or bool(limit), find=self.get, images=self._images
        )
        return [self._with_sandbox(container) for container in (found[:limit] if limit else found)]

    def uses(self, image: Digest) -> Sequence[ContainerUse]:
        """The containers that were made from *image*."""
        with self._lock:
            containers = [record.container for record in self._known.values() if record.container.image == image]
        return [ContainerUse(id=container.id, running=container.state.running) for container in containers]

    # --- life

    def create(
        self,
        *,
        name: str | None,
        config: ContainerConfig,
        host: HostConfig,
        raw_config: Mapping[str, Any],
        raw_host_config: Mapping[str, Any],
    ) -> Created:
        """Make a container. `ImageNotFound`, `Conflict` for a name that is taken, `InvalidParameter`."""
        with self._images.held(config.image) as image:
            return self._create(image, name=name, config=config, host=host, raw=(raw_config, raw_host_config))

    def _create(
        self,
        image: Image,
        *,
        name: str | None,
        config: ContainerConfig,
        host: HostConfig,
        raw: tuple[Mapping[str, Any], Mapping[str, Any]],
    ) -> Created:
        container_id = new_id()
        wanted = names.checked(name) if name else self._free_name()
        holder = self._holder(wanted)
        if holder is not None:
            raise name_taken(wanted, holder)
        made = draft(
            container_id=container_id,
            name=wanted,
            image=image,
            config=config,
            host=host,
            raw_config=raw[0],
            raw_host_config=raw[1],
            held=self._held,
            log_path=str(self._starter.bundle(container_id) / "container.log"),
        )
        if host.network_mode not in ("host", "none", "default"):
            self._networks.get(host.network_mode)
        bundle = self._starter.bundle(container_id)
        record = Record(container=made.container)
        try:
            self._snapshots.prepare(container_id, image.diff_ids)
            bundle.mkdir(mode=0o710)
            with self._lock:
                self._records.insert(record)
                self._known[container_id] = record
        except BaseException:
            self._snapshots.remove(container_id)
            shutil.rmtree(bundle, ignore_errors=True)
            raise
        self._tell(record.container, "create")
        return Created(id=container_id, warnings=made.warnings)

    def start(self, text: str) -> None:
        """Run a container's process; `NotModified` when it runs. Raises as `Starter.start` does.

        One that was to be removed at its end is removed when it does not start.
        """
        container_id = self._find(text).container.id
        with self._locked(container_id) as record:
            state.require_startable(record.container)
            self._restarts.cancel(container_id)
            fresh = replace(record.container, state=replace(record.container.state, restart_count=0))
            self._start(replace(record, container=fresh, stopped_by_hand=False, failures=0))

    def stop(self, text: str, *, timeout: float | None = None, signal: str | None = None) -> None:
        """Ask the process to end, and end it after *timeout* seconds (negative: never). `NotModified` when it has."""
        container = self._find(text).container
        if self._restarts.cancel(container.id):
            self._give_up_restart(container.id)
            return
        if not container.state.running:
            raise NotModified(f"Container {container.id} is already stopped")
        number = signal_number(signal or container.config.stop_signal or "SIGTERM")
        if timeout is None:
            timeout = STOP_TIMEOUT if container.config.stop_timeout is None else container.config.stop_timeout
        self._note_stop(container.id)
        self._end(container, number, timeout)
        self._tell(self._find(container.id, missing=container).container, "stop")

    def restart(self, text: str, *, timeout: float | None = None, signal: str | None = None) -> None:
        """Stop and start; start only, when it does not run."""
        container_id = self._find(text).container.id
        with self._keeping(container_id), suppress(NotModified):
            self.stop(container_id, timeout=timeout, signal=signal)
        with suppress(NotModified):  # two who restart it at once both have what they want
            self.start(container_id)
        self._tell(self._find(container_id).container, "restart")

    def kill(self, text: str, *, signal: str = "SIGKILL") -> None:
        """Send a signal to the process; `NotRunning` when there is none."""
        number = signal_number(signal)
        container = self._find(text).container
        try:
            state.require_running(container)
        except Conflict as error:
            raise type(error)(f"Cannot kill container: {text}: {error}") from error
        if number in (signals.SIGKILL, signal_number(container.config.stop_signal or "SIGTERM")):
            self._note_stop(container.id)
        self._signal(container, number)
        if number == signals.SIGKILL:
            self._await_end(container.id, KILL_PATIENCE)

    def pause(self, text: str) -> None:
        with self._locked(self._find(text).container.id) as record:
            state.require_running(record.container)
            if record.container.state.status is Status.PAUSED:
                raise Conflict(f"Container {record.container.id} is already paused")
            self.runtime.pause(record.container.id)
            self._save(replace(record, container=state.moved(record.container, Status.PAUSED)))
        self._tell(record.container, "pause")

    def unpause(self, text: str) -> None:
        with self._locked(self._find(text).container.id) as record:
            if record.container.state.status is not Status.PAUSED:
                raise Conflict(f"Container {record.container.id} is not paused")
            self.runtime.resume(record.container.id)
            self._save(replace(record, container=state.moved(record.container, Status.RUNNING)))
        self._tell(record.container, "unpause")

    def rename(self, text: str, name: str) -> None:
        """Give a container another name; `Conflict` when that is taken."""
        wanted = names.checked(name)
        with self._locked(self._find(text).container.id) as record:
            if record.container.name == wanted:
                raise Conflict("Renaming a container with the same name as its current name")
            old = record.container.name
            with self._lock:
                self._save(replace(record, container=replace(record.container, name=wanted)))
        self._tell(replace(record.container, name=wanted), "rename", oldName=f"/{old}")

    def remove(self, text: str, *, force: bool = False) -> None:
        """Remove a container and all that it wrote; with *force* a running one is killed first."""
        container = self._find(text).container
        if container.state.running and not force:
            status = container.state.status
            paused = status is Status.PAUSED
            raise Conflict(
                f'cannot remove container "/{container.name}": container is {status}'
                + (" and must be unpaused first" if paused else ": stop the container before removing or force remove")
            )
        self._note_stop(container.id)
        self._restarts.cancel(container.id)
        container = self._find(container.id, missing=container).container
        if container.state.running and container.state.status is not Status.RESTARTING:
            with suppress(EngineError):
                self._signal(container, signals.SIGKILL)
            self._await_end(container.id, KILL_PATIENCE)
        with suppress(ContainerNotFound), self._locked(container.id) as record:
            self._remove(record)

    # --- streams

    def wait(self, text: str, condition: WaitCondition = WaitCondition.NOT_RUNNING) -> WaitHandle:
        """A handle that is done when *condition* holds: registered at once, before this returns."""
        record = self._find(text)
        container = record.container
        with self._lock:
            handle = self._waiters.register(container.id, condition)
            current = self._known.get(container.id)
        if condition is WaitCondition.NOT_RUNNING and (current is None or not current.container.state.running):
            # It may have ended since it was found: the newest picture has the code.
            ended = (current or record).container.state
            self._waiters.ended_for(handle, ended.exit_code, ended.error)
        elif current is None:
            self._waiters.removed(container.id, container.state.exit_code)
        return handle

    # --- what the reconciler needs

    def records(self) -> Sequence[Record]:
        with self._lock:
            return tuple(self._known.values())

    def watch(self, monitor: Monitor) -> None:
        """Hear of the end of a monitor, of this daemon's or of an earlier one's."""
        self.exits.watch(monitor, self._hand_over)

    def finish(self, container_id: str, *, code: int, error: str, oom_killed: bool = False) -> None:
        """Record the end of a container's process, and do what follows from it."""
        with suppress(ContainerNotFound), self._locked(container_id) as record:
            self._finish(record, code=code, error=error, oom_killed=oom_killed)

    def discard(self, container_id: str) -> None:
        """Finish a removal that was cut off."""
        with self._locked(container_id) as record:
            self._remove(record)

    def begin_again(self, container_id: str) -> None:
        """Start a container whose policy says so, now that the daemon starts."""
        self._restarts.schedule(container_id, attempt=0)

    # --- inside

    def _start(self, record: Record) -> None:
        container = record.container
        try:
            started = self._starter.start(container)
        except EngineError as error:
            code = error.exit_code if isinstance(error, CommandUnusable) else _NOT_STARTED
            failed = replace(
                record, container=replace(container, state=replace(container.state, exit_code=code, error=str(error)))
            )
            if container.state.status is Status.RESTARTING:
                failed = replace(failed, container=state.moved(failed.container, Status.EXITED, finished_at=now()))
            self._save(failed)
            self._end_streams(container.id)
            self._tell(container, "die", exitCode=str(code))
            self._waiters.ended(container.id, code, str(error))
            if container.host.auto_remove:
                self._remove(failed)
            raise
        running = state.moved(
            container,
            Status.RUNNING,
            pid=started.monitor.process.pid,
            started_at=now(),
            exit_code=0,
            error="",
            oom_killed=False,
        )
        self._save(replace(record, container=running))
        self._tell(running, "start")
        self.watch(started.monitor)

    def _logs(self) -> Sequence[tuple[str, Path]]:
        """The logs that grow."""
        with self._lock:
            containers = [record.container for record in self._known.values()]
        return [(container.id, Path(container.log_path)) for container in containers if container.state.running]

    def _hand_over(self, end: Exit) -> None:
        """The watcher's thread must be free for the next end."""
        self._pool.submit(self._ended_safely, end)

    def _ended_safely(self, end: Exit) -> None:
        try:
            self._ended(end)
        except Exception:  # noqa: BLE001 - one container's trouble stays its own
            _LOG.exception("could not record the end of container %s", end.monitor.container_id)

    def _ended(self, end: Exit) -> None:
        code, error = end.code, ""
        if code is None:
            # Without its monitor nobody reads what the process prints: it would stand still at the next full pipe.
            end.monitor.process.send(signals.SIGKILL)
            code, error = 137, "the container's monitor was killed, and the container with it"
        with suppress(ContainerNotFound), self._locked(end.monitor.container_id) as record:
            current = record.container.state
            if current.pid == end.monitor.process.pid and current.running:
                self._finish(record, code=code, error=error, oom_killed=end.oom_killed)

    def _finish(self, record: Record, *, code: int, error: str, oom_killed: bool) -> None:
        """The process has ended: take its things down, tell everybody, restart or remove."""
        container = record.container
        kept = self._kept(container.id)  # before those who restart it can see the end, and keep it no longer
        lived = now() - (container.state.started_at or now())
        again = not record.stopped_by_hand and policy_says(container, code)
        status = Status.RESTARTING if again else Status.EXITED
        ended = state.moved(
            container, status, pid=0, exit_code=code, error=error, oom_killed=oom_killed, finished_at=now()
        )
        if again:
            ended = replace(ended, state=replace(ended.state, restart_count=ended.state.restart_count + 1))
        failures = 0 if lived > Restarts.LONG_LIFE else record.failures + 1
        record = replace(record, container=ended, failures=failures)
        self._save(record)
        if oom_killed:
            self._tell(ended, "oom")
        try:
            self._starter.take_down(container.id)
        except EngineError:
            _LOG.exception("could not take down container %s", container.id)
        self._end_streams(container.id)
        self._tell(ended, "die", exitCode=str(code))
        self._waiters.ended(container.id, code, error)
        if again:
            self._restarts.schedule(container.id, attempt=failures)
        elif container.host.auto_remove and not kept:
            self._remove(record)

    def _restart_now(self, container_id: str) -> None:
        """A restart that has become due, on the thread of `Restarts`."""
        with suppress(ContainerNotFound), self._locked(container_id) as record:
            if record.container.state.status in (Status.RUNNING, Status.PAUSED, Status.REMOVING):
                return
            if record.container.state.status is Status.RESTARTING and record.stopped_by_hand:
                self._stay_ended(record)
                return
            # One that was stopped by hand and starts with the daemon is under its policy again.
            record = replace(record, stopped_by_hand=False)
            try:
                self._start(record)
            except EngineError as error:
                _LOG.warning("container %s was not restarted: %s", record.container.name, error)
                if policy_says(record.container, _NOT_STARTED):
                    failures = record.failures + 1
                    current = self._known[container_id]
                    count = current.container.state.restart_count + 1
                    again = state.moved(current.container, Status.RESTARTING, restart_count=count)
                    self._save(replace(current, container=again, failures=failures))
                    self._restarts.schedule(container_id, attempt=failures)

    def _give_up_restart(self, container_id: str) -> None:
        """Stopped between two lives: it stays ended."""
        with self._locked(container_id) as record:
            if record.container.state.status is Status.RESTARTING:
                self._stay_ended(record)
                self._tell(record.container, "stop")

    def _stay_ended(self, record: Record) -> None:
        stopped = state.moved(record.container, Status.EXITED)
        self._save(replace(record, container=stopped, stopped_by_hand=True))
        self._waiters.ended(stopped.id, stopped.state.exit_code, stopped.state.error)

    def _remove(self, record: Record) -> None:
        container = record.container
        self._save(replace(record, container=state.moved(container, Status.REMOVING)))
        self._starter.take_down(container.id)
        self._end_streams(container.id)
        self._snapshots.remove(container.id)
        shutil.rmtree(self._starter.bundle(container.id), ignore_errors=True)
        self._records.delete(container.id)
        with self._lock:
            self._known.pop(container.id, None)
            self._locks.pop(container.id, None)
        self._images.collect(in_use=self.uses)
        self._tell(container, "destroy")
        self._waiters.removed(container.id, container.state.exit_code, container.state.error)

    def _end(self, container: Container, number: int, timeout: float) -> None:
        """Signal, wait, and kill if it comes to that."""
        if container.state.status is Status.PAUSED:
            self.unpause(container.id)
        with suppress(EngineError):
            self._signal(container, number)
        if timeout < 0:
            self.wait(container.id).result()
        elif not self._await_end(container.id, timeout):
            with suppress(EngineError):
                self._signal(container, signals.SIGKILL)
            self._await_end(container.id, KILL_PATIENCE)

    def _signal(self, container: Container, number: int) -> None:
        monitor = self.monitors.find(container.id)
        if monitor is None or not monitor.process.send(number):
            raise Conflict(f"Container {container.id} is not running")
        if number == signals.SIGKILL and container.state.status is Status.PAUSED:
            # A frozen process does not die before it thaws.
            self.runtime.resume(container.id)
        self._tell(container, "kill", signal=str(number))

    def _await_end(self, container_id: str, timeout: float) -> bool:
        """Wait until the container does not run. False when *timeout* seconds were not enough."""
        try:
            handle = self.wait(container_id)
        except ContainerNotFound:
            return True
        try:
            handle.result(timeout=timeout)
        except WaitTimeoutError:
            handle.cancel()
            return False
        return True

    def _note_stop(self, container_id: str) -> None:
        """Remember that somebody wants it stopped, before it ends: no policy then starts it again."""
        with suppress(ContainerNotFound), self._locked(container_id) as record:
            if record.container.host.restart.name != "no" and not record.stopped_by_hand:
                self._save(replace(record, stopped_by_hand=True))

    @contextmanager
    def _keeping(self, container_id: str) -> Iterator[None]:
        """Keep a container from being removed at its end: it is only restarted."""
        self._keep.add(container_id)
        try:
            yield
        finally:
            self._keep.discard(container_id)

    def _kept(self, container_id: str) -> bool:
        return container_id in self._keep

    @property
    def _keep(self) -> set[str]:
        return self._restarts.kept

    @contextmanager
    def _locked(self, container_id: str) -> Iterator[Record]:
        """The container's lock, and its newest record; `ContainerNotFound` when it is gone meanwhile."""
        with self._lock:
            if container_id not in self._known:
                raise ContainerNotFound(container_id)
            lock = self._locks.setdefault(container_id, threading.RLock())
        with lock:
            with self._lock:
                record = self._known.get(container_id)
            if record is None:
                raise ContainerNotFound(container_id)
            yield record

    def _save(self, record: Record) -> None:
        with self._lock:
            self._records.update(record)
            self._known[record.container.id] = record

    def _find(self, text: str, *, missing: Container | None = None) -> Record:
        """By id, by name, by the beginning of an id, in this order; *missing* stands for one that has gone."""
        bare = text.removeprefix("/")
        with self._lock:
            if bare in self._known:
                return self._known[bare]
            found = [record for record in self._known.values() if record.container.name == bare]
            if not found and bare and not is_id(bare):
                found = [record for identifier, record in self._known.items() if identifier.startswith(bare)]
        if len(found) > 1:
            raise AmbiguousId(bare)
        if not found:
            if missing is not None:
                return Record(container=missing)
            raise ContainerNotFound(text)
        return found[0]

    def _free_name(self) -> str:
        with self._lock:
            return names.generated({record.container.name for record in self._known.values()})

    def _holder(self, name: str) -> str | None:
        with self._lock:
            return next((key for key, record in self._known.items() if record.container.name == name), None)

    def _with_sandbox(self, container: Container) -> Container:
        if not container.state.running:
            return container
        return replace(container, sandbox=self._networks.sandbox(container.id))

    def _tell(self, container: Container, action: str, **attributes: str) -> None:
        self._events.publish(
            Kind.CONTAINER,
            action,
            container.id,
            {**container.config.labels, "image": container.config.image, "name": container.name, **attributes},
        )
