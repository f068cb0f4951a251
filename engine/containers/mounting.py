"""Host paths and volumes of a container: settled at its creation, made ready at its start, let go at its end.

A place inside the container is resolved by the kernel in the container's root (`engine.kernel.paths`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from engine.containers.model import Container
from engine.containers.options import ContainerConfig, HostConfig, Mount, MountKind, ReadOnly
from engine.containers.places import make_mount_point, normal
from engine.containers.spec.mounts import ReadyMount
from engine.errors import EngineError, InvalidParameter, NotFound, of_field
from engine.kernel import mounts as kernel_mounts
from engine.types import new_id
from engine.volumes.service import VolumeService

_WORDS_OF_ACCESS: Final = frozenset({"", "ro", "rw", "z", "Z"})


class ContainerMounts:
    """*directory* holds the parts of volumes that are mounted alone."""

    def __init__(self, *, volumes: VolumeService, directory: Path) -> None:
        self._volumes = volumes
        self._directory = directory

    def volumes_of(self, container: Container) -> Iterable[str]:
        """The names of the volumes that the container has."""
        return (mount.source for mount in _volumes(container))

    @contextmanager
    def making(self, container: Container) -> Iterator[None]:
        """Make the volumes that are not there yet; none of them stays when one cannot be made.

        While the block runs nobody removes them: the container, which does not have its row yet, will be there then.
        """
        with self._volumes.claimed(self.volumes_of(container), user=container.id):
            self._make(container)
            yield

    def _make(self, container: Container) -> None:
        made = []
        try:
            for mount in _volumes(container):
                if not self._volumes.exists(mount.source):
                    made.append(mount.source)
                with of_field("Binds, Mounts"):
                    self._volumes.create(
                        name=mount.source,
                        driver=mount.driver,
                        options=mount.driver_options,
                        labels=mount.labels,
                        anonymous=mount.own,
                    )
        except EngineError:
            for name in made:
                with suppress(EngineError):
                    self._volumes.remove(name, given_up_by=container.id)
            raise

    def ready(self, container: Container, root: int) -> tuple[ReadyMount, ...]:
        """Everything mounted that the container's mounts need, and places for them in its *root*.

        To be undone by `release`, also when it fails half-way. `InvalidParameter` names what cannot be mounted.
        """
        found = []
        for number, mount in enumerate(container.host.mounts):
            source = self._volume(container, root, mount, number) if mount.kind is MountKind.VOLUME else _host(mount)
            make_mount_point(root, source, mount.target)
            found.append(ready_mount(mount, source))
        return tuple(found)

    def release(self, container: Container) -> None:
        """Let go of what `ready` mounted. May be repeated."""
        for number, mount in enumerate(container.host.mounts):
            if mount.subpath:
                _remove_part(self._part(container, number))
        for mount in _volumes(container):
            with suppress(NotFound):
                self._volumes.unmount(mount.source, user=container.id)

    def forget(self, container: Container, *, volumes: bool) -> None:
        """The container goes: with *volumes*, so do those volumes that were made for it alone."""
        if not volumes:
            return
        for mount in _volumes(container):
            if mount.own:
                with suppress(EngineError):  # another container has them by VolumesFrom, or they are gone already
                    self._volumes.remove(mount.source, given_up_by=container.id)

    def sweep(self, *, running: Collection[str]) -> None:
        """Unmount the parts of volumes that no *running* container has: for the daemon's start."""
        if not self._directory.is_dir():
            return
        for place in self._directory.iterdir():
            if place.name.partition("-")[0] not in running:
                _remove_part(place)

    def _volume(self, container: Container, root: int, mount: Mount, number: int) -> Path:
        place = self._volumes.mount(
            mount.source, user=container.id, destination=mount.target, read_only=mount.read_only
        )
        if mount.copy_up:
            self._volumes.populate(mount.source, root=root, path=mount.target)
        if not mount.subpath:
            return place
        part = self._part(container, number)
        descriptor = self._volumes.subpath(mount.source, mount.subpath)
        try:
            inside = Path(f"/proc/self/fd/{descriptor}")
            part.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            part.mkdir() if inside.is_dir() else part.touch()
            kernel_mounts.bind(inside, part)
        finally:
            os.close(descriptor)
        return part

    def _part(self, container: Container, number: int) -> Path:
        return self._directory / f"{container.id}-{number}"


def settled(config: ContainerConfig, host: HostConfig, *, find: Callable[[str], Container]) -> HostConfig:
    """*host* with every mount that the container will have, each volume with a name. Nothing is made yet.

    Those of the request come first, then those of `VolumesFrom`, then the volumes that config or image declare.
    *find* knows containers by their names and ids. `InvalidParameter` for a place that is named twice,
    `ContainerNotFound`.
    """
    found: dict[str, Mount] = {}
    for mount in host.mounts:
        place = normal(mount.target)
        if place == "/":
            raise InvalidParameter("Binds, Mounts: invalid specification: destination can't be '/'")
        if place in found or place in map(normal, host.tmpfs):
            raise InvalidParameter(f"Binds, Mounts, Tmpfs: Duplicate mount point: {place}")
        if mount.kind is MountKind.BIND and not mount.make_source:
            _host(mount)
        found[place] = replace(mount, target=place)
    taken = {normal(place) for place in host.tmpfs}
    for text in host.volumes_from:
        with of_field("VolumesFrom"):
            others = tuple(_others(text, find))
        for mount in others:
            if mount.target not in taken:
                found.setdefault(mount.target, mount)
    for place in map(normal, config.volumes):
        if place not in taken and place != "/":
            found.setdefault(place, Mount(kind=MountKind.VOLUME, target=place))
    return replace(host, mounts=tuple(_named(mount) for mount in found.values()))


def _remove_part(place: Path) -> None:
    kernel_mounts.unmount(place)
    if place.is_dir():
        place.rmdir()
    else:
        place.unlink(missing_ok=True)


def _host(mount: Mount) -> Path:
    source = Path(mount.source)
    try:
        if not source.exists():
            if not mount.make_source:
                raise InvalidParameter(
                    'Mounts: invalid mount config for type "bind": bind source path does not exist: '
                    f"{mount.source[:300]}"
                )
            source.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidParameter(
            f"invalid mount of {mount.source[:200]!r} at {mount.target[:200]!r}: {error.filename}: {error.strerror}"
        ) from error
    return source


def ready_mount(mount: Mount, source: Path) -> ReadyMount:
    """*mount* with what the specification wants to know of it; *source* is where it is on the host."""
    # crun 1.8 takes a recursive propagation for a recursive bind; of one mount alone both say the same.
    options = ["rbind", mount.propagation] if mount.recursive else ["bind", mount.propagation.removeprefix("r")]
    if mount.read_only:
        # `rro` needs mount_setattr(2), Linux 5.12, and runc 1.1: the oldest that this engine runs with has it.
        # crun 1.8 wants a directory for it; below a file nothing is mounted.
        recursively = mount.recursive and mount.recursion is not ReadOnly.TOP and source.is_dir()
        options.append("rro" if recursively else "ro")
    return ReadyMount(source=source, target=mount.target, options=tuple(options))


def _volumes(container: Container) -> Iterable[Mount]:
    return (mount for mount in container.host.mounts if mount.kind is MountKind.VOLUME)


def _named(mount: Mount) -> Mount:
    if mount.kind is not MountKind.VOLUME or mount.source:
        return mount
    return replace(mount, source=new_id(), own=True)


def _others(text: str, find: Callable[[str], Container]) -> Iterable[Mount]:
    name, _, access = text.partition(":")
    words = access.split(",")
    if not set(words) <= _WORDS_OF_ACCESS:
        raise InvalidParameter(f"invalid mode: {access[:60]}")
    for mount in find(name).host.mounts:
        yield replace(mount, read_only=True) if "ro" in words else mount
