"""The root of a container's files: of a running one as its processes see it, of another one its snapshot."""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.containers.model import Container, Status
from engine.containers.options import Mount, MountKind
from engine.containers.places import normal
from engine.containers.runtime.monitor import Monitors
from engine.errors import EngineError, EngineFault, InvalidParameter, NotFound
from engine.kernel import paths
from engine.snapshots.store import SnapshotStore
from engine.types import new_id
from engine.volumes.service import VolumeService

_PATH: Final = os.O_PATH | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A container's root while it is open. Descriptors are the block's to close."""

    container: Container
    descriptor: int
    prefix: str = ""
    """What of a path leads to the root: "" but for a volume of a container that does not run."""
    namespace: int | None = None
    """The mount namespace of a running container."""
    place: Path = Path("/")
    """Where the root is in that namespace, or else on the host."""
    read_only: bool = False
    stands: Callable[[], bool] = lambda: True
    """Whether everything is still mounted there that was: not once a container has ended that had mounts."""

    def inside(self, path: str) -> str:
        """*path* of the container, as it is looked up in the root."""
        return path[len(self.prefix) :] or "/"

    def name_of(self, descriptor: int) -> str:
        """Where *descriptor*, opened in the root, is in the container."""
        return f"{self.prefix}{paths.place_in_root(self.descriptor, descriptor)}".rstrip("/") or "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class PathStat:
    """What is at a path in a container (Docker Engine API, `X-Docker-Container-Path-Stat`)."""

    name: str
    size: int
    mode: int
    """As in stat(2)."""
    modified: int
    """Nanoseconds since the epoch."""
    link_target: str
    """Where a symbolic link leads, as an absolute path in the container."""


class ContainerRoots:
    def __init__(self, *, monitors: Monitors, snapshots: SnapshotStore, volumes: VolumeService) -> None:
        self._monitors = monitors
        self._snapshots = snapshots
        self._volumes = volumes

    @contextmanager
    def opened(self, container: Container, path: str) -> Iterator[Root]:
        """The root of *container*, or of the volume that *path* is in where the container does not run."""
        with ExitStack() as stack:
            if container.state.status in (Status.RUNNING, Status.PAUSED):
                live = self._running(stack, container)
                if live is not None:
                    yield live
                    return
            mount = mount_of(container, path)
            if mount is None:
                place = stack.enter_context(self._snapshots.opened(container.id))
                read_only = container.host.read_only_rootfs
            else:
                place, read_only = Path(mount.source), mount.read_only
                if mount.kind is MountKind.VOLUME:
                    # As a user of its own: the container may start and end meanwhile.
                    user = f"{container.id}-files-{new_id()[:12]}"
                    place = self._volumes.mount(mount.source, user=user)
                    stack.callback(self._volumes.unmount, mount.source, user=user)
            yield Root(
                container=container,
                descriptor=_opened(stack, place, _PATH),
                prefix=mount.target if mount is not None else "",
                place=place,
                read_only=read_only,
            )

    def _running(self, stack: ExitStack, container: Container) -> Root | None:
        """The root as the container's processes see it; `None` when they have ended."""
        monitor = self._monitors.find(container.id)
        if monitor is None:
            return None
        process = monitor.process
        proc = Path("/proc", str(process.pid))
        try:
            descriptor = _opened(stack, proc / "root", _PATH | os.O_DIRECTORY)
            namespace = _opened(stack, proc / "ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, ProcessLookupError):
            return None
        if not process.alive:
            return None  # what was opened may be another's
        shows_others = bool(container.host.mounts or container.host.tmpfs)
        return Root(
            container=container,
            descriptor=descriptor,
            namespace=namespace,
            stands=lambda: process.alive or not shows_others,
        )


def open_parent(root: Root, path: str) -> tuple[int, str]:
    """A descriptor of the directory of *path* and the last name in it, which is not followed; "." is *path* itself.

    `NotFound` in Docker's words.
    """
    inside = root.inside(normal(path))
    directory, name = posixpath.split(inside)
    if path.endswith(("/", "/.")) or not name:
        directory, name = inside, "."
    try:
        return paths.open_in_root(root.descriptor, directory, _PATH | os.O_DIRECTORY), name
    except OSError as error:
        raise missing(root, path, error) from error


def look(root: Root, path: str) -> PathStat:
    """What is at *path*; a link at its end is not followed. `NotFound`."""
    parent, name = open_parent(root, path)
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        target = _target(root, path, parent, name) if stat.S_ISLNK(found.st_mode) else ""
    except OSError as error:
        raise missing(root, path, error) from error
    finally:
        os.close(parent)
    return PathStat(
        name=posixpath.basename(normal(path)) or "/",
        size=found.st_size,
        mode=found.st_mode,
        modified=found.st_mtime_ns,
        link_target=target,
    )


def missing(root: Root, path: str, error: OSError) -> EngineError:
    """The error to raise for *path*."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return NotFound(f"Could not find the file {path[:300]} in container {root.container.name}")
    if error.errno in (errno.ELOOP, errno.ENAMETOOLONG, errno.EXDEV, errno.EINVAL):
        return InvalidParameter(f"{path[:300]}: {error.strerror}")
    return EngineFault(f"{path[:300]}: {error.strerror}")


def _target(root: Root, path: str, parent: int, name: str) -> str:
    try:
        descriptor = paths.open_in_root(root.descriptor, root.inside(normal(path)), _PATH)
    except OSError:
        # A link to nothing: what it says, from where it is.
        text = os.readlink(name, dir_fd=parent)
        return posixpath.normpath(posixpath.join(posixpath.dirname(normal(path)), text))
    try:
        return root.name_of(descriptor)
    finally:
        os.close(descriptor)


def _opened(stack: ExitStack, path: Path, flags: int) -> int:
    descriptor = os.open(path, flags)
    stack.callback(os.close, descriptor)
    return descriptor


def mount_of(container: Container, path: str) -> Mount | None:
    """The mount that *path* lies in: the deepest of those whose target it begins with."""
    place = normal(path)
    found = [
        mount
        for mount in container.host.mounts
        if place == mount.target or place.startswith(mount.target.rstrip("/") + "/")
    ]
    return max(found, key=lambda mount: len(mount.target), default=None)
