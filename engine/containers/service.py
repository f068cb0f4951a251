"""Containers: created, started, stopped, changed, removed.

One lock a container orders what is done to it (`engine.containers.register`). The end of a process comes from its
monitor (`engine.containers.runtime.exits`) and is handled on a thread of the service's pool
(`engine.containers.lifecycle`).
"""

from __future__ import annotations

import logging
import shutil
import signal as signals
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from engine.config import EngineConfig
from engine.containers import apparmor, links, listing, names, state, updating
from engine.containers.autopsy import Autopsy, Death
from engine.containers.creation import draft
from engine.containers.ending import KILL_PATIENCE, Ender
from engine.containers.health import HealthChecks
from engine.containers.joining import Joiner, partner
from engine.containers.lifecycle import Lifecycle
from engine.containers.links import Links
from engine.containers.model import Container, Created, Pruned, Status, WaitCondition
from engine.containers.mounting import ContainerMounts
from engine.containers.networking import ContainerNetworking, usual
from engine.containers.options import ContainerConfig, HostConfig, LogOptions, RestartPolicy
from engine.containers.probe import probe
from engine.containers.records import Record
from engine.containers.register import ContainerRegister
from engine.containers.restart import Restarts
from engine.containers.runtime.choice import find_monitor, find_runtime
from engine.containers.runtime.exits import Exit
from engine.containers.runtime.monitor import Monitor, Monitors
from engine.containers.signals import signal_name, signal_number
from engine.containers.spec import seccomp
from engine.containers.starting import Starter
from engine.containers.streams.service import ContainerStreams
from engine.containers.waiting import WaitHandle
from engine.database import Database
from engine.errors import (
    Conflict,
    ContainerNotFound,
    EngineError,
    InvalidParameter,
    NotFound,
    NotModified,
    NotRunning,
    RuntimeFailed,
)
from engine.events import EventBus, Kind
from engine.images.model import ContainerUse, Image
from engine.images.service import ImageService
from engine.kernel import cgroup
from engine.kernel.process import held_capabilities
from engine.networks.model import Attachment
from engine.networks.service import NetworkService
from engine.registry.platforms import suits
from engine.snapshots.store import SnapshotStore
from engine.types import Digest, Platform, new_id
from engine.volumes.service import VolumeService

_LOG: Final = logging.getLogger(__name__)
STOP_TIMEOUT: Final = 10
"""Seconds between a stop's signal and SIGKILL, where neither caller nor container say."""
_REMOVALS: Final = 10
"""How often a removal is tried of a container that is started in the same moment again and again."""


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
        volumes: VolumeService,
    ) -> None:
        self._events = events
        self._images = images
        self._snapshots = snapshots
        self._networks = networks
        self.register = ContainerRegister(database)
        self._pool = ThreadPoolExecutor(max_workers=32, thread_name_prefix="container")
        # Apart from those who wait for them: 32 ends at once would otherwise wait for each other for ever.
        self._helpers = ThreadPoolExecutor(max_workers=32, thread_name_prefix="sandbox")
        self.runtime = find_runtime(config.run / "runtime", cgroup_parent=config.instance)
        monitors = Monitors(
            root=config.run / "monitors",
            conmon=find_monitor(),
            runtime=self.runtime,
        )
        self._held = held_capabilities()
        self._cgroup_parent = config.instance
        super().__init__(monitors=monitors, held=self._held)
        self._restarts = Restarts(lambda container_id: self._lifecycle.begin_again(container_id))
        directory = config.root / "containers"
        directory.mkdir(parents=True, exist_ok=True, mode=0o710)
        self.mounts = ContainerMounts(volumes=volumes, directory=config.run / "parts")
        self.joiner = Joiner(find=self.get, directory=config.run / "shm")
        self.links = Links(
            containers=self.register.containers,
            find=lambda text: self.register.find(text).container,
            networks=networks,
            bundle=lambda container_id: directory / container_id,
        )
        self._starter = Starter(
            directory=directory,
            cgroup_parent=config.instance,
            held=self._held,
            snapshots=snapshots,
            networks=networks,
            monitors=monitors,
            runtime=self.runtime,
            attachments=self.attachments,
            mounts=self.mounts,
            joiner=self.joiner,
            links=self.links,
            executor=self._helpers,
        )
        self.networking = ContainerNetworking(register=self.register, networks=networks, bundle=self._starter.bundle)
        self.health = HealthChecks(register=self.register, probe=partial(probe, self.execs), tell=self.tell)
        self._autopsy = Autopsy(database=database, cgroup_parent=config.instance)
        self._lifecycle = Lifecycle(
            register=self.register,
            starter=self._starter,
            waiters=self._waiters,
            restarts=self._restarts,
            health=self.health,
            autopsy=self._autopsy,
            images=images,
            snapshots=snapshots,
            tell=self.tell,
            watch=self.watch,
            end_streams=self._end_streams,
        )
        self._ender = Ender(
            register=self.register,
            monitors=monitors,
            runtime=self.runtime,
            watch=self.wait,
            unpause=self.unpause,
            tell=self.tell,
        )
        seccomp.default_profile()
        apparmor.load_default()

    # --- the service itself

    def load(self) -> None:
        """Read the containers that the database knows. Before anything else."""
        self.register.load()

    def give_up_waits(self) -> None:
        """Let those go who wait for an end: the engine is about to stop, and a stop may wait for days."""
        self._waiters.close()

    def close(self) -> None:
        """Stop watching; containers go on running."""
        self.give_up_waits()
        self._restarts.close()
        self.health.close()
        self.close_streams()
        self._pool.shutdown(wait=True)
        self._helpers.shutdown(wait=True)
        self.runtime.close()

    # --- reading

    def get(self, text: str) -> Container:
        """The container that *text* names: an id, a name, or an unambiguous beginning of an id."""
        return self._with_sandbox(self.register.find(text).container)

    def known(self, text: str) -> Container:
        return self.register.find(text).container

    def list(
        self,
        *,
        all: bool = False,  # noqa: A002 - Docker's word
        filters: Mapping[str, Collection[str]] | None = None,
        limit: int | None = None,
    ) -> Sequence[Container]:
        """The containers, newest first; those that run, unless *all*, a filter of state or *limit* asks for more."""
        everything = list(self.register.containers())
        everything.sort(key=lambda container: container.created, reverse=True)
        found = listing.filtered(
            everything, filters=filters or {}, all_states=all or bool(limit), find=self.get, images=self._images
        )
        return [self._with_sandbox(container) for container in (found[:limit] if limit else found)]

    def uses(self, image: Digest) -> Sequence[ContainerUse]:
        """The containers that were made from *image*."""
        return self.register.uses(image)

    def volume_uses(self) -> Mapping[str, Collection[str]]:
        """The volumes that containers have, running or not, with the ids of these containers."""
        uses: dict[str, list[str]] = {}
        for container in self.register.containers():
            for name in self.mounts.volumes_of(container):
                uses.setdefault(name, []).append(container.id)
        return uses

    def deaths(self, text: str = "", *, limit: int = 100) -> Sequence[Death]:
        """Why containers ended, newest first: those called *text*, also when they are gone, or all.

        `ContainerNotFound` where *text* names neither a container nor one that has died.
        """
        with suppress(ContainerNotFound):
            text = self.register.find(text).container.id if text else ""
        found = self._autopsy.deaths(text, limit=limit)
        if text and not found and self.register.by_id(text) is None:
            raise ContainerNotFound(text)
        return found

    # --- life

    def create(
        self,
        *,
        name: str | None,
        config: ContainerConfig,
        host: HostConfig,
        raw_config: Mapping[str, Any],
        raw_host_config: Mapping[str, Any],
        attachments: tuple[Attachment, ...] | None = None,
        platform: Platform | None = None,
    ) -> Created:
        """Make a container, in the network of its mode where *attachments* do not say more.

        An image that is here for another *platform* counts as not here, and the CLI pulls. Raises `ImageNotFound`,
        `NotFound`, `Conflict` for a name that is taken, `InvalidParameter`.
        """
        with self._images.held(config.image) as image:
            if platform is not None and not suits(image.platform, platform):
                raise NotFound(
                    f"image with reference {config.image} was found but does not match the specified platform: wanted "
                    f"{platform}, actual: {image.platform}"
                )
            return self._create(
                image,
                name=name,
                config=config,
                host=host,
                attachments=usual(config, host) if attachments is None else attachments,
                raw=(raw_config, raw_host_config),
            )

    def _create(
        self,
        image: Image,
        *,
        name: str | None,
        config: ContainerConfig,
        host: HostConfig,
        attachments: tuple[Attachment, ...],
        raw: tuple[Mapping[str, Any], Mapping[str, Any]],
    ) -> Created:
        container_id = new_id()
        wanted = self.register.free_name(names.checked(name) if name else None)
        made = draft(
            container_id=container_id,
            name=wanted,
            image=image,
            config=config,
            host=host,
            attachments=self.networking.named(attachments, mode=host.network_mode),
            raw_config=raw[0],
            raw_host_config=raw[1],
            held=self._held,
            log_path=str(self._starter.bundle(container_id) / "container.log"),
            find=self.get,
        )
        container = made.container
        bundle = self._starter.bundle(container_id)
        with self.mounts.making(container):
            try:
                self._snapshots.prepare(container_id, image.diff_ids)
                bundle.mkdir(mode=0o710)
                self.register.insert(Record(container=container))
            except BaseException:
                self._snapshots.remove(container_id)
                shutil.rmtree(bundle, ignore_errors=True)
                self.mounts.forget(container, volumes=True)
                raise
        self.tell(container, "create")
        return Created(id=container_id, warnings=made.warnings)

    def start(self, text: str) -> None:
        """Run a container's process; `NotModified` when it runs. Raises as `Starter.start` does.

        One that was to be removed at its end is removed when it does not start.
        """
        container_id = self.register.find(text).container.id
        with self.register.locked(container_id) as record:
            state.require_startable(record.container)
            self._restarts.cancel(container_id)
            fresh = replace(record.container, state=replace(record.container.state, restart_count=0))
            self._lifecycle.begin(replace(record, container=fresh, stopped_by_hand=False, failures=0))

    def stop(self, text: str, *, timeout: float | None = None, signal: str | None = None) -> None:
        """Ask the process to end, and end it after *timeout* seconds (negative: never). `NotModified` when it has."""
        container = self.register.find(text).container
        if self._restarts.cancel(container.id):
            self._give_up_restart(container.id)
            return
        if not container.state.running:
            self._ender.wait_until_taken_down(container.id)
            raise NotModified(f"Container {container.id} is already stopped")
        number = signal_number(signal or container.config.stop_signal or "SIGTERM")
        if timeout is None:
            timeout = STOP_TIMEOUT if container.config.stop_timeout is None else container.config.stop_timeout
        self._ender.note(container.id, f"stop with {signal_name(number)}")
        self._ender.end(container, number, timeout)
        self.tell(self.register.find(container.id, missing=container).container, "stop")

    def restart(self, text: str, *, timeout: float | None = None, signal: str | None = None) -> None:
        """Stop and start; start only, when it does not run."""
        container_id = self.register.find(text).container.id
        with self._keeping(container_id), suppress(NotModified):
            self.stop(container_id, timeout=timeout, signal=signal)
        with suppress(NotModified):  # two who restart it at once both have what they want
            self.start(container_id)
        self.tell(self.register.find(container_id).container, "restart")

    def kill(self, text: str, *, signal: str = "SIGKILL") -> None:
        """Send a signal to the process; `NotRunning` when there is none. One that is to end it thaws it as well."""
        number = signal_number(signal)
        container = self.register.find(text).container
        try:
            state.require_running(container)
        except Conflict as error:
            raise type(error)(f"Cannot kill container: {text}: {error}") from error
        ends = number in (signals.SIGKILL, signal_number(container.config.stop_signal or "SIGTERM"))
        if ends:
            self._ender.note(container.id, f"kill with {signal_name(number)}")
        self._ender.signal(container, number)
        if number == signals.SIGKILL:
            self._ender.wait(container.id, KILL_PATIENCE)
        elif ends and container.state.status is Status.PAUSED:
            with suppress(Conflict):  # somebody else has let it go on
                self.unpause(container.id)

    def pause(self, text: str, *, briefly: bool = False) -> None:
        """Let every process stand still; *briefly* for the engine's own ends: a later daemon lets them go on."""
        with self.register.locked(self.register.find(text).container.id) as record:
            state.require_running(record.container)
            if record.container.state.status is Status.PAUSED:
                raise Conflict(f"Container {record.container.id} is already paused")
            with self._unless_ended(record.container.id):
                self.runtime.pause(record.container.id)
            paused = state.moved(record.container, Status.PAUSED)
            self.register.save(replace(record, container=paused, paused_briefly=briefly))
        self.tell(record.container, "pause")

    def unpause(self, text: str) -> None:
        with self.register.locked(self.register.find(text).container.id) as record:
            if record.container.state.status is not Status.PAUSED:
                raise Conflict(f"Container {record.container.id} is not paused")
            with self._unless_ended(record.container.id):
                self.runtime.resume(record.container.id)
            running = state.moved(record.container, Status.RUNNING)
            self.register.save(replace(record, container=running, paused_briefly=False))
        self.tell(record.container, "unpause")

    @contextmanager
    def _unless_ended(self, container_id: str) -> Iterator[None]:
        """`NotRunning` where the runtime refuses because the process has ended, which is not written down yet."""
        try:
            yield
        except RuntimeFailed as error:
            monitor = self.monitors.find(container_id)
            if monitor is None or not monitor.process.alive:
                raise NotRunning(f"Container {container_id} is not running") from error
            raise

    def rename(self, text: str, name: str) -> None:
        """Give a container another name; `Conflict` when that is taken."""
        with self.register.locked(self.register.find(text).container.id) as record:
            old = record.container.name
            if name.removeprefix("/") == old:
                raise InvalidParameter("Renaming a container with the same name as its current name")
            try:
                wanted = names.checked(f"/{name.removeprefix('/')}")
                self.register.save(replace(record, container=replace(record.container, name=wanted)))
            except (InvalidParameter, Conflict) as error:
                raise type(error)(f"Error when allocating new name: {error}") from error
            self._networks.rename(record.container.id, old, wanted)
        self.tell(replace(record.container, name=wanted), "rename", oldName=f"/{old}")

    def update(self, text: str, *, changes: Mapping[str, Any], restart: RestartPolicy | None = None) -> Sequence[str]:
        """Change limits, by their names in `Resources`, and the restart policy; what to tell. At once where it runs.

        `InvalidParameter` where the whole would not do, `RuntimeFailed` where the kernel refuses: nothing is changed.
        """
        with self.register.locked(self.register.find(text).container.id) as record:
            container, warnings = updating.updated(record.container, changes=changes, restart=restart)
            if changes and container.state.status in (Status.RUNNING, Status.PAUSED):
                with self._unless_ended(container.id):
                    self.runtime.update(container.id, updating.document(container.host))
            self.register.save(replace(record, container=container))
        self.tell(container, "update")
        return warnings

    def remove(self, text: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container and all that it wrote; with *force* a running one is killed first.

        With *volumes* those go that were made for it alone; named ones stay whatever happens.
        """
        container = self.register.find(text).container
        for attempt in range(_REMOVALS):
            if force:
                self._ender.note(container.id, "remove")
            else:
                state.require_removable(container)
            self._restarts.cancel(container.id)
            container = self.register.find(container.id, missing=container).container
            again = attempt + 1 < _REMOVALS
            if force and container.state.running and container.state.status is not Status.RESTARTING:
                with suppress(EngineError):
                    self._ender.signal(container, signals.SIGKILL)
                again = self._ender.wait(container.id, KILL_PATIENCE) and again
            with suppress(ContainerNotFound), self.register.locked(container.id) as record:
                container = record.container
                if container.state.status in (Status.RUNNING, Status.PAUSED) and again:
                    continue  # somebody has started it meanwhile
                self._lifecycle.remove(record, volumes=volumes)
            return

    def unlink(self, text: str, alias: str) -> None:
        """Let a container know another no more by *alias*, from its next start on; `ContainerNotFound`."""
        with self.register.locked(self.register.find(text).container.id) as record:
            host = links.without(record.container.host, alias)
            if host is None:
                raise ContainerNotFound(f"{text}/{alias}")
            self.register.save(replace(record, container=replace(record.container, host=host)))

    def prune(self, *, filters: Mapping[str, Collection[str]]) -> Pruned:
        """Remove the containers that do not run. Filters are Docker's `label`, `label!` and `until`."""
        wanted = listing.prunable(self.register.containers(), filters=filters)
        removed, reclaimed = [], 0
        for container in wanted:
            try:
                size = self._snapshots.usage(container.id)
                self.remove(container.id)
            except EngineError:
                continue  # started or removed by somebody else meanwhile
            removed.append(container.id)
            reclaimed += size
        self._events.publish(Kind.CONTAINER, "prune", "", {"reclaimed": str(reclaimed)})
        return Pruned(ids=tuple(removed), reclaimed=reclaimed)

    # --- streams

    def wait(self, text: str, condition: WaitCondition = WaitCondition.NOT_RUNNING) -> WaitHandle:
        """A handle that is done when *condition* holds: registered at once, before this returns."""
        record = self.register.find(text)
        container = record.container
        handle = self._waiters.register(container.id, condition)
        current = self.register.by_id(container.id)
        if condition is WaitCondition.NOT_RUNNING and (current is None or not current.container.state.running):
            # It may have ended since it was found: the newest picture has the code.
            ended = (current or record).container.state
            self._waiters.ended_for(handle, ended.exit_code, ended.error)
        elif current is None:
            self._waiters.removed(container.id, container.state.exit_code)
        return handle

    # --- what the reconciler needs

    def records(self) -> Sequence[Record]:
        return self.register.all()

    def watch(self, monitor: Monitor) -> None:
        """Hear of the end of a monitor, of this daemon's or of an earlier one's."""
        self.exits.watch(monitor, self._hand_over)
        container = self.register.find(monitor.container_id).container
        if container.host.log.driver != "none":
            self._rotator.begun(container.id, Path(container.log_path), container.host.log)

    def settle_pause(self, container_id: str) -> None:
        """A pause or its end that was cut off before its record: the record, which somebody has been told, holds."""
        with self.register.locked(container_id) as record:
            container = record.container
            stands = cgroup.frozen(container.control_group(self._cgroup_parent))
            if container.state.status is Status.PAUSED and record.paused_briefly:
                if stands:
                    self.runtime.resume(container_id)
                running = state.moved(container, Status.RUNNING)
                self.register.save(replace(record, container=running, paused_briefly=False))
            elif stands and container.state.status is Status.RUNNING:
                self.runtime.resume(container_id)
            elif not stands and container.state.status is Status.PAUSED:
                self.runtime.pause(container_id)

    def finish(self, container_id: str, *, code: int, error: str, oom_killed: bool = False) -> None:
        """Record the end of a container's process, and do what follows from it."""
        with suppress(ContainerNotFound), self.register.locked(container_id) as record:
            self._lifecycle.end(record, code=code, error=error, oom_killed=oom_killed)

    def discard(self, container_id: str) -> None:
        """Finish a removal that was cut off."""
        with self.register.locked(container_id) as record:
            self._lifecycle.remove(record, volumes=record.remove_volumes or record.container.host.auto_remove)

    def begin_again(self, container_id: str) -> None:
        """Start a container whose policy says so, now that the daemon starts."""
        self._restarts.schedule(container_id, attempt=0)

    # --- inside

    def _logs(self) -> Sequence[tuple[str, Path, LogOptions]]:
        """The logs that grow."""
        return [
            (container.id, Path(container.log_path), container.host.log)
            for container in self.register.containers()
            if container.state.running and container.host.log.driver != "none"
        ]

    def _hand_over(self, end: Exit) -> None:
        """The watcher's thread must be free for the next end."""
        self._pool.submit(self._ended_safely, end)

    def _ended_safely(self, end: Exit) -> None:
        try:
            self._lifecycle.ended(end)
        except Exception:  # noqa: BLE001 - one container's trouble stays its own
            _LOG.exception("could not record the end of container %s", end.monitor.container_id)

    def _give_up_restart(self, container_id: str) -> None:
        """Stopped between two lives: it stays ended."""
        with self.register.locked(container_id) as record:
            if record.container.state.status is Status.RESTARTING:
                self._lifecycle.stay_ended(record)
                self.tell(record.container, "stop")

    @contextmanager
    def _keeping(self, container_id: str) -> Iterator[None]:
        """Keep a container from being removed at its end: it is only restarted."""
        self._restarts.kept.add(container_id)
        try:
            yield
        finally:
            self._restarts.kept.discard(container_id)

    def _with_sandbox(self, container: Container) -> Container:
        if not container.state.running or partner(container.host.network_mode) is not None:
            return container
        return replace(container, sandbox=self._networks.sandbox(container.id))

    def tell(self, container: Container, action: str, **attributes: str) -> None:
        """Publish an event of a container."""
        self._events.publish(
            Kind.CONTAINER,
            action,
            container.id,
            {**container.config.labels, "image": container.config.image, "name": container.name, **attributes},
        )
