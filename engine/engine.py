"""The engine as a whole: builds the services, starts them, stops them."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Final, Self

from engine.build.service import BuildService
from engine.config import EngineConfig
from engine.containers.files.commit import Commits
from engine.containers.files.roots import ContainerRoots
from engine.containers.files.service import ContainerFiles
from engine.containers.reconcile import reconcile
from engine.containers.service import ContainerService
from engine.containers.usage import ContainerUsage
from engine.content.store import ContentStore
from engine.database import Database
from engine.errors import Conflict, NotFound
from engine.events import EventBus
from engine.images.archives import ImageArchives
from engine.images.distribution import Distribution
from engine.images.service import ImageService
from engine.images.stores import ImageStores
from engine.kernel import cgroup
from engine.networks.service import NetworkService
from engine.registry.hosts import RegistryHosts
from engine.registry.reach import PublicReach
from engine.snapshots.helper import UnpackLimits
from engine.snapshots.layers import LayerStore
from engine.snapshots.store import SnapshotStore
from engine.volumes.service import VolumeService

_LOG: Final = logging.getLogger(__name__)


class Engine:
    """One engine on this host. Use it as a context: leaving it stops the services, never the containers."""

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self._stack = ExitStack()
        with ExitStack() as stack:
            config.root.mkdir(parents=True, exist_ok=True, mode=0o711)
            config.run.mkdir(parents=True, exist_ok=True, mode=0o711)
            _lock(config, stack)
            self.events = EventBus()
            self.database = stack.enter_context(Database(config.root / "havre.sqlite3"))
            limits = layer_limits(config)
            self.content = ContentStore(config.root / "content")
            self.layers = LayerStore(config.root / "layers", limits=limits)
            self.snapshots = SnapshotStore(config.root / "snapshots", self.layers)
            self.images = ImageService(
                database=self.database,
                events=self.events,
                content=self.content,
                layers=self.layers,
                hosts=RegistryHosts(
                    mirrors=config.registry_mirrors,
                    insecure=config.insecure_registries,
                    certificates=config.registry_certs,
                    token_servers=config.token_servers,
                ),
            )
            stack.callback(self.images.close)
            self.archives = ImageArchives(self.images.stores, self.images.catalogue)
            self.distribution = Distribution(self.images.stores)
            self.reach = PublicReach(networks=config.reachable_networks)
            self.networks = NetworkService(database=self.database, events=self.events, config=config)
            stack.callback(self.networks.close)
            stack.callback(_remove_groups, config.instance)
            self.volumes = VolumeService(database=self.database, events=self.events, root=config.root / "volumes")
            self.containers = ContainerService(
                database=self.database,
                events=self.events,
                config=config,
                images=self.images,
                networks=self.networks,
                snapshots=self.snapshots,
                volumes=self.volumes,
            )
            roots = ContainerRoots(monitors=self.containers.monitors, snapshots=self.snapshots, volumes=self.volumes)
            self.files = ContainerFiles(
                containers=self.containers, snapshots=self.snapshots, roots=roots, limits=limits
            )
            self.commits = Commits(containers=self.containers, files=self.files, images=self.images)
            self.builds = BuildService(
                database=self.database,
                config=config,
                images=self.images,
                layers=self.layers,
                snapshots=self.snapshots,
                networks=self.networks,
                runtime=self.containers.runtime,
                in_use=self.containers.uses,
                reach=self.reach,
            )
            self.usage = ContainerUsage(containers=self.containers, cgroup_parent=config.instance)
            self.volumes.uses = self.containers.volume_uses
            stack.callback(self.containers.close)
            stack.callback(self.builds.close)
            self._stack = stack.pop_all()

    def start(self) -> None:
        """Recover what an earlier daemon left, and begin to serve."""
        self.containers.load()
        self.containers.runtime.prepare()
        self.images.reconcile(in_use=self.containers.uses)
        reconcile(
            service=self.containers,
            networks=self.networks,
            snapshots=self.snapshots,
            volumes=self.volumes,
            config=self.config,
        )
        self.builds.sweep()
        _LOG.info("engine ready: root %s, run %s, bridge %s", self.config.root, self.config.run, self.config.bridge)

    def close(self) -> None:
        """Stop the services. Containers go on, and the next engine finds them."""
        self._stack.close()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def layer_limits(config: EngineConfig) -> UnpackLimits:
    """What a layer, or an upload, may be at most."""
    return UnpackLimits(entries=config.layer_files, bytes=config.layer_bytes, ratio=config.layer_ratio)


@contextmanager
def image_stores(config: EngineConfig) -> Iterator[ImageStores]:
    """The stores of the images alone, while no engine uses them; `Conflict` when one does."""
    if not (config.root / "havre.sqlite3").is_file():
        raise NotFound(f"there is no engine's state in {config.root}: set HAVRE_ROOT")
    with ExitStack() as stack:
        config.run.mkdir(parents=True, exist_ok=True, mode=0o711)
        _lock(config, stack)
        images = ImageService(
            database=stack.enter_context(Database(config.root / "havre.sqlite3")),
            events=EventBus(),
            content=ContentStore(config.root / "content"),
            layers=LayerStore(config.root / "layers", limits=layer_limits(config)),
        )
        yield images.stores


def _remove_groups(instance: str) -> None:
    """Remove the parents of the containers' groups where no container runs."""
    for group in cgroup.tops(instance):
        cgroup.remove(group)


def _lock(config: EngineConfig, stack: ExitStack) -> None:
    """One engine a root and a run directory: two would undo each other's work."""
    for directory in {config.run.resolve(), config.root.resolve()}:
        descriptor = os.open(directory / "engine.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        stack.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(
                f"another engine already uses {directory}: stop it, or give this one other directories "
                "(HAVRE_ROOT, HAVRE_RUN) and another bridge (HAVRE_BRIDGE)"
            ) from None
