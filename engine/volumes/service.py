"""Volumes: made, listed, mounted for containers, removed. Their data are never removed by anything else.

A volume with options of its own is mounted when the first container that uses it starts, and unmounted after the last.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from engine.database import Database
from engine.errors import Conflict, EngineFault, InvalidParameter, VolumeNotFound
from engine.events import EventBus, Kind
from engine.kernel import copying, mounts, paths, syscalls, trees
from engine.types import new_id, now
from engine.volumes import options as mount_options
from engine.volumes.filters import chosen, truth
from engine.volumes.model import LONGEST_NAME, VOLUME_NAME, PrunedVolumes, Volume
from engine.volumes.records import VolumeRecords

_LOG: Final = logging.getLogger(__name__)
_GOING: Final = ".removing-"

Uses = Callable[[], Mapping[str, Collection[str]]]


class VolumeService:
    """The volumes of one engine, under *root*. Any thread may call it."""

    def __init__(self, *, database: Database, events: EventBus, root: Path) -> None:
        self._events = events
        self._root = root
        self._records = VolumeRecords(database, root)
        self._lock = threading.Lock()
        self._locks: WeakValueDictionary[str, threading.RLock] = WeakValueDictionary()
        self._claims: Counter[tuple[str, str]] = Counter()
        """Volumes and the containers that will have them, but are not among `uses` yet."""
        self.uses: Uses = dict
        """Tells which containers have each volume, running or not; set by the engine."""
        root.mkdir(parents=True, exist_ok=True, mode=0o701)

    def reconcile(self, *, running: Collection[str]) -> None:
        """Put things in order at start: only *running* containers use volumes, and removals are finished."""
        users = self._records.users()
        known = {volume.name: volume for volume in self._records.all()}
        for name, containers in users.items():
            for user in containers - set(running):
                self._records.leave(name, user)
        for volume in known.values():
            # Whoever was killed between a row and its mount has left a mount without a row.
            if volume.options and users.get(volume.name, frozenset()).isdisjoint(running):
                mounts.unmount(volume.mountpoint)
        for entry in self._root.iterdir():
            if entry.name not in known and entry.is_dir():
                self._delete(entry)

    def create(
        self,
        *,
        name: str | None = None,
        driver: str = "local",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        anonymous: bool = False,
    ) -> Volume:
        """The volume *name*, made unless it is there; without a name one that has a generated one.

        `InvalidParameter` for a bad name or bad options, `Conflict` where it is there with other options.
        """
        anonymous = anonymous or not name
        name = name or new_id()
        if driver not in ("", "local"):
            raise VolumeNotFound(
                f'create {name[:80]}: error looking up volume plugin {driver[:60]}: plugin "{driver[:60]}" not found'
            )
        _require_name(name)
        wanted = dict(options or {})
        mount_options.parse(wanted)
        with self._busy(name):
            there = self._records.get(name)
            if there is not None:
                if wanted and wanted != there.options:
                    raise Conflict(f"volume {name} exists with other options: remove it, or take another name")
                return there
            volume = Volume(
                name=name,
                mountpoint=self._root / name / "_data",
                created=now(),
                labels=dict(labels or {}),
                options=wanted,
                anonymous=anonymous,
            )
            try:
                volume.mountpoint.parent.mkdir(mode=0o701, exist_ok=True)
                volume.mountpoint.mkdir(mode=0o755, exist_ok=True)
            except OSError as error:
                raise EngineFault(f"volume {name} cannot be made: {error.filename}: {error.strerror}") from error
            self._records.insert(volume)
        self._tell("create", volume)
        return volume

    def get(self, name: str) -> Volume:
        """The volume *name*; `VolumeNotFound`."""
        found = self._records.get(name)
        if found is None:
            raise VolumeNotFound(f"get {name[:250]}: no such volume")
        return found

    def exists(self, name: str) -> bool:
        return self._records.get(name) is not None

    def list(self, *, filters: Mapping[str, Collection[str]] | None = None) -> Sequence[Volume]:
        """The volumes by name. Filters are Docker's `dangling`, `driver`, `label`, `name`."""
        return chosen(self._records.all(), filters or {}, used=self.uses().keys())

    def remove(self, name: str, *, force: bool = False, given_up_by: str = "") -> None:
        """Remove a volume with its data; `Conflict` while a container has it, `VolumeNotFound` unless *force*.

        The container *given_up_by* is being removed and does not count.
        """
        with self._busy(name):
            volume = self._records.get(name)
            if volume is None:
                if force:
                    return
                raise VolumeNotFound(f"get {name[:250]}: no such volume")
            if users := sorted(self._users(name) - {given_up_by}):
                raise Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
            mounts.unmount(volume.mountpoint)
            self._records.delete(name)
            self._delete(volume.mountpoint.parent)
        self._tell("destroy", volume)

    def prune(self, *, filters: Mapping[str, Collection[str]]) -> PrunedVolumes:
        """Remove the volumes that no container has: those without a name, or with `all=true` every one.

        Other filters are `label` and `label!`.
        """
        everything = True in {truth("all", value) for value in filters.get("all", ())}
        rest = {key: values for key, values in filters.items() if key != "all"}
        removed, reclaimed = [], 0
        for volume in chosen(self._records.all(), rest, used=self.uses().keys(), pruning=True):
            if not (everything or volume.anonymous):
                continue
            try:
                size = self.size(volume.name)
                self.remove(volume.name)
            except (Conflict, VolumeNotFound):
                continue  # taken or removed by somebody else meanwhile
            removed.append(volume.name)
            reclaimed += size
        self._events.publish(Kind.VOLUME, "prune", "", {"reclaimed": str(reclaimed)})
        return PrunedVolumes(names=tuple(removed), reclaimed=reclaimed)

    def size(self, name: str) -> int:
        """Bytes of its files on this host; 0 for one whose data are elsewhere."""
        volume = self.get(name)
        return 0 if volume.options else trees.tree_size(volume.mountpoint)

    # --- for containers

    @contextmanager
    def claimed(self, names: Iterable[str], *, user: str) -> Iterator[None]:
        """Keep the volumes *names*, there or to be made, from being removed while the block runs, for *user*."""
        claims = {(name, user) for name in names}
        with self._lock:
            self._claims.update(claims)
        try:
            yield
        finally:
            with self._lock:
                self._claims.subtract(claims)
                self._claims += Counter()  # drops those that nobody has any more

    def mount(self, name: str, *, user: str, destination: str = "", read_only: bool = False) -> Path:
        """Where the data of the volume are, there to stay until `unmount` by the same *user*, a container's id.

        *destination* is where the container will see them. `VolumeNotFound`, `EngineFault` in mount(2)'s words.
        """
        with self._busy(name):
            volume = self.get(name)
            asked = mount_options.parse(volume.options)
            if asked is not None and not _mounted(volume.mountpoint):
                asked = mount_options.resolved(asked)
                try:
                    syscalls.mount(asked.source, str(volume.mountpoint), asked.kind, asked.flags, asked.data)
                except OSError as error:
                    why = error.strerror or ""
                    if error.errno == errno.ENODEV:
                        why += f": this host's kernel has no file systems of the kind {asked.kind}"
                    raise EngineFault(f"failed to mount local volume: {asked}: {why}") from error
            self._records.use(name, user)
        access = {"read/write": str(not read_only).lower()}
        self._tell("mount", volume, container=user, destination=destination, propagation="", **access)
        return volume.mountpoint

    def unmount(self, name: str, *, user: str) -> None:
        """The container has ended. May be repeated; `VolumeNotFound`."""
        with self._busy(name):
            volume = self.get(name)
            left = self._leave(volume, user)
        if left:
            self._tell("unmount", volume, container=user)

    def populate(self, name: str, *, root: int, path: str) -> None:
        """Fill the volume, where it is empty, with what is at *path* in the *root* of a container: Docker's copy-up.

        The volume's own directory takes owner and mode of the one that it will hide. All of it is there, or nothing.
        """
        with self._busy(name):
            volume = self.get(name)
            with os.scandir(volume.mountpoint) as entries:
                if any(entries):
                    return
            try:
                source = paths.open_in_root(root, path, os.O_RDONLY | os.O_DIRECTORY)
            except OSError:
                return  # the image has no directory there
            try:
                self._fill(volume, source)
            except OSError as error:
                raise EngineFault(
                    f"volume {name} cannot be filled with the image's {path[:200]}: {error.filename}: {error.strerror}"
                ) from error
            finally:
                os.close(source)

    def subpath(self, name: str, path: str) -> int:
        """A descriptor (O_PATH) of *path* in the volume, which no link leads out of; `InvalidParameter`."""
        if path.startswith("/") or ".." in path.split("/"):
            raise InvalidParameter(f"subpath must be a relative path within the volume, not {path[:200]!r}")
        with paths.opened_root(self.get(name).mountpoint) as root:
            try:
                return paths.open_in_root(root, path, os.O_PATH)
            except OSError as error:
                raise InvalidParameter(
                    f"cannot access path {path[:200]!r} of volume {name}: {error.strerror}"
                ) from error

    def _users(self, name: str) -> set[str]:
        # Claims first: who gives one up is among the uses by then.
        with self._lock:
            claiming = {user for claimed, user in self._claims if claimed == name}
        return claiming | set(self.uses().get(name, ()))

    def _fill(self, volume: Volume, source: int) -> None:
        if volume.options or len(self._records.users().get(volume.name, ())) > 1:
            # Mounted, or seen by others already: it can only be filled where it is.
            with paths.opened_root(volume.mountpoint) as target:
                copying.copy_directory(source, target)
            return
        filling = volume.mountpoint.with_name("_filling")
        with suppress(FileNotFoundError):
            trees.remove_tree(filling)  # of a daemon that was killed
        filling.mkdir()
        try:
            with paths.opened_root(filling) as target:
                copying.copy_directory(source, target)
            filling.rename(volume.mountpoint)
        except OSError:
            trees.remove_tree(filling)
            raise

    def _leave(self, volume: Volume, user: str) -> bool:
        """Note that *user* has it no longer, and unmount what nobody has; whether *user* had it."""
        before = user in self._records.users().get(volume.name, ())
        if self._records.leave(volume.name, user) and volume.options:
            mounts.unmount(volume.mountpoint)
        return before

    @contextmanager
    def _busy(self, name: str) -> Iterator[None]:
        """One at a time for each volume: mounting one over a network, or filling it, must not hold up the others."""
        with self._lock:
            lock = self._locks.setdefault(name, threading.RLock())
        with lock:
            yield

    def _delete(self, directory: Path) -> None:
        """Delete a volume's directory, which first gets a name that no volume has: a cut-off removal shows."""
        going = directory
        if not directory.name.startswith(_GOING):
            going = directory.with_name(f"{_GOING}{new_id()[:16]}")
            directory.rename(going)
        with suppress(FileNotFoundError):
            for target in mounts.mounts_below(going):
                mounts.unmount(Path(target))
            trees.remove_tree(going)

    def _tell(self, action: str, volume: Volume, **attributes: str) -> None:
        self._events.publish(Kind.VOLUME, action, volume.name, {"driver": "local", **attributes})


def _mounted(place: Path) -> bool:
    return any(mount.target == str(place) for mount in mounts.mount_table())


def _require_name(name: str) -> None:
    """`InvalidParameter` in Docker's words."""
    if VOLUME_NAME.fullmatch(name):
        return
    shown = name[:80]
    if len(name) < 2:
        why = "volume name is too short, names should be at least two alphanumeric characters"
    elif len(name) > LONGEST_NAME:
        why = f"volume name is too long: it has {len(name)} characters, and a directory's name at most {LONGEST_NAME}"
    else:
        why = (
            f'"{shown}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are '
            "allowed. If you intended to pass a host directory, use absolute path"
        )
    raise InvalidParameter(f"create {shown}: {why}")
