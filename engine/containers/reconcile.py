"""Recovery: what the database says and what is on the host are made to agree, when the daemon starts.

The daemon may have been killed at any instant. A container that still runs is adopted; one that has ended meanwhile
gets the exit code that its monitor wrote; whatever no container owns is removed.
"""

from __future__ import annotations

import logging
import shutil
import signal
from pathlib import Path
from typing import Final

from engine.config import EngineConfig
from engine.containers.model import Status
from engine.containers.options import RestartPolicyName
from engine.containers.records import Record
from engine.containers.runtime.monitor import Monitor
from engine.containers.service import ContainerService
from engine.errors import EngineError
from engine.kernel import cgroup
from engine.networks.service import NetworkService
from engine.snapshots.store import SnapshotStore
from engine.volumes.service import VolumeService

_LOG: Final = logging.getLogger(__name__)
_LOST: Final = 255


def reconcile(
    *,
    service: ContainerService,
    networks: NetworkService,
    snapshots: SnapshotStore,
    volumes: VolumeService,
    config: EngineConfig,
) -> None:
    """Bring a loaded, idle *service* to life. The network is started on the way, with those who still need theirs."""
    records = {record.container.id: record for record in service.records()}
    alive = {
        container_id: monitor
        for container_id, record in records.items()
        if record.container.state.status in (Status.RUNNING, Status.PAUSED)
        and (monitor := service.monitors.find(container_id)) is not None
        and monitor.id == container_id
        # Where the process has ended, its monitor is about to write the code.
        and monitor.monitor.alive
    }
    # Why they ended is still to be found out.
    ended = {
        container_id
        for container_id, record in records.items()
        if record.container.state.status in (Status.RUNNING, Status.PAUSED) and container_id not in alive
    }
    _remove_strangers(service, known=set(records), wanted=alive.keys() | ended)
    for group in cgroup.leftovers(config.instance):
        if not any(container_id in group.parts for container_id in alive.keys() | ended):
            cgroup.end(group)
    networks.start(live=alive.keys())
    snapshots.reconcile(known=records.keys(), running=alive.keys())
    volumes.reconcile(running=alive.keys())
    for container_id in service.joiner.ids() - alive.keys():
        service.joiner.discard(container_id)
    service.mounts.sweep(running=alive.keys())
    for record in records.values():
        try:
            _put_right(service, record, alive.get(record.container.id))
        except (EngineError, OSError, ValueError):  # one container's damage must not keep the engine from starting
            _LOG.exception("could not recover container %s", record.container.name)
    _sweep_directories(config.root / "containers", known=set(records))


def _put_right(service: ContainerService, record: Record, monitor: Monitor | None) -> None:
    container = record.container
    status = container.state.status
    if monitor is not None:
        _LOG.info("container %s goes on with pid %d", container.name, monitor.process.pid)
        service.networking.settle(container.id)
        service.watch(monitor)
        service.execs.adopt([container.id])
        service.settle_pause(container.id)
        service.health.begin(container)
    elif status in (Status.RUNNING, Status.PAUSED):
        left = service.monitors.find(container.id)
        code = left.exit_code if left is not None else None
        if left is not None and code is None:
            left.process.send(signal.SIGKILL)
        error = "" if code is not None else "the container ended while the engine was away; how is not known"
        service.finish(
            container.id,
            code=_LOST if code is None else code,
            error=error,
            oom_killed=left is not None and left.oom_killed,
        )
    elif status in (Status.REMOVING, Status.DEAD):
        service.discard(container.id)
    elif status is Status.RESTARTING or _starts_with_the_engine(record):
        service.begin_again(container.id)
    elif container.host.auto_remove and container.state.finished_at is not None:
        service.discard(container.id)


def _starts_with_the_engine(record: Record) -> bool:
    container = record.container
    if container.state.started_at is None:
        return False
    policy = container.host.restart.name
    return policy is RestartPolicyName.ALWAYS or (
        policy is RestartPolicyName.UNLESS_STOPPED and not record.stopped_by_hand
    )


def _remove_strangers(service: ContainerService, *, known: set[str], wanted: set[str]) -> None:
    """Monitors and runtime states of containers that nobody knows, or whose start was cut off."""
    for container_id in (service.monitors.ids() | service.runtime.ids()) - wanted:
        if container_id in known:
            _LOG.info("the start of container %s was cut off: taking it down", container_id[:12])
        else:
            _LOG.info("container %s is not known: taking it down", container_id[:12])
        # The monitor first: it may be about to have the runtime make the container.
        service.monitors.remove(container_id)
        if container_id in service.runtime.ids():
            service.runtime.delete(container_id)


def _sweep_directories(directory: Path, *, known: set[str]) -> None:
    for entry in directory.iterdir():
        if entry.name not in known:
            shutil.rmtree(entry, ignore_errors=True)
