"""Snapshots: the tree that a container sees, its own writable layer over the layers of its image.

<root>/init/                 the shared init layer: places to mount on that are nobody's change
      /init-kernel/          the same without /etc, for images that have something of their own in these places
      /empty/                stands for the layers of an image that has none
      /<id>/lower            short names of the layers below, topmost first, a line each
           /upper, /work     what the container wrote
           /merged           where it is mounted
      /trash-<random>/       removed, waiting to be deleted
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Final

from engine.errors import Conflict, EngineFault, InvalidParameter, NotFound
from engine.kernel import mounts
from engine.kernel.overlay import MOST_LOWER, mount_overlay
from engine.kernel.trees import tree_size
from engine.snapshots.layers import LayerStore
from engine.snapshots.trash import discard
from engine.types import Digest, is_id

_INIT: Final = "init"
_INIT_KERNEL: Final = "init-kernel"
_EMPTY: Final = "empty"
_KERNEL_DIRECTORIES: Final = ("dev", "dev/pts", "dev/shm", "proc", "sys")
_KERNEL_FILES: Final = ("dev/console",)
_IMAGE_FILES: Final = ("etc/hostname", "etc/hosts", "etc/resolv.conf", ".dockerenv")
_MTAB: Final = "etc/mtab"
_REMEMBERED: Final = 1000
"""Images of which it is remembered whether they leave room for the init layer."""


class SnapshotStore:
    """The snapshots below *root*, over *layers*. Threads may use it, each on a snapshot of its own."""

    def __init__(self, root: Path, layers: LayerStore) -> None:
        self._root = root
        self._layers = layers
        self._leave_room = lru_cache(_REMEMBERED)(self._look_for_room)
        self._lock = threading.Lock()
        """Held while something is mounted or unmounted."""
        self._kept: set[str] = set()
        """Snapshots that stay mounted until `unmount`."""
        self._visitors: Counter[str] = Counter()
        """How many `opened` blocks are in each snapshot."""
        root.mkdir(parents=True, exist_ok=True)
        # Setuid programs of containers are out of reach of the host's users.
        root.chmod(0o700)
        self._make_init()

    def prepare(
        self, snapshot: str, diff_ids: Sequence[Digest], *, above: Sequence[str] = (), bare: bool = False
    ) -> None:
        """Make a snapshot over the layers *diff_ids*, lowest first. `Conflict` when there is one of that id.

        *above* are the short names of layers on top of these that are still in the making, lowest first. A *bare*
        snapshot has nothing between these layers and what is written: for files, not for processes.
        """
        count = len(diff_ids) + len(above)
        if count >= MOST_LOWER:
            raise InvalidParameter(f"the image has {count} layers; at most {MOST_LOWER - 1} can be mounted")
        lower = [*reversed(above), *self._layers.short_names(list(reversed(diff_ids)))]
        if not bare:
            lower.insert(0, _INIT if self._is_plain(tuple(diff_ids), above) else _INIT_KERNEL)
        elif not lower:
            lower.append(_EMPTY)  # overlayfs wants one
        directory = self._directory(snapshot)
        try:
            directory.mkdir(mode=0o710)
        except FileExistsError as error:
            raise Conflict(f"snapshot {snapshot[:12]} exists already") from error
        try:
            for name in ("upper", "work", "merged"):
                (directory / name).mkdir(mode=0o755)
            (directory / "lower").write_text("\n".join(lower), encoding="ascii")
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise

    def mount(self, snapshot: str) -> Path:
        """Mount a snapshot, if it is not yet, and return where. It stays until `unmount`."""
        with self._lock:
            merged = self._mount(snapshot)
            self._kept.add(snapshot)
            return merged

    def unmount(self, snapshot: str) -> None:
        """Take a snapshot's mount off, at the latest when its last visitor leaves; no error when it is not mounted."""
        with self._lock:
            self._kept.discard(snapshot)
            if not self._visitors[snapshot]:
                self._unmount(snapshot)

    def mounted(self, snapshot: str) -> Path | None:
        """Where a snapshot is mounted now."""
        merged = self._directory(snapshot) / "merged"
        return merged if os.path.ismount(merged) else None

    @contextmanager
    def opened(self, snapshot: str) -> Iterator[Path]:
        """The tree of a snapshot while the block runs, mounted for it when it was not.

        A container that starts or stops meanwhile keeps or loses its own claim on the mount, not the block's.
        """
        with self._lock:
            if not self._visitors[snapshot] and self.mounted(snapshot):
                self._kept.add(snapshot)  # by an earlier daemon, for a container that runs
            merged = self._mount(snapshot)
            self._visitors[snapshot] += 1
        try:
            yield merged
        finally:
            with self._lock:
                self._visitors[snapshot] -= 1
                if not self._visitors[snapshot]:
                    del self._visitors[snapshot]
                    if snapshot not in self._kept:
                        self._unmount(snapshot)

    def upper(self, snapshot: str) -> Path:
        """The directory of what the container wrote. It is the container's: never follow a path in it as text."""
        return self._directory(snapshot) / "upper"

    def lower(self, snapshot: str) -> Sequence[Path]:
        """The directories below what the container wrote, topmost first; the first is the engine's own."""
        try:
            names = (self._directory(snapshot) / "lower").read_text(encoding="ascii").split("\n")
        except FileNotFoundError as error:
            raise NotFound(f"no snapshot {snapshot[:12]}") from error
        return [self._layers.links / name for name in names]

    def usage(self, snapshot: str) -> int:
        """Bytes of what the container wrote: each file's size, hard links once. It may be running."""
        try:
            return tree_size(self.upper(snapshot))
        except FileNotFoundError as error:
            raise NotFound(f"no snapshot {snapshot[:12]}") from error

    def remove(self, snapshot: str) -> None:
        """Remove a snapshot with everything in it; no error when there is none. Deleting goes on in the background."""
        directory = self._directory(snapshot)
        trash = self._root / f"trash-{secrets.token_hex(8)}"
        with self._lock:
            self._kept.discard(snapshot)
            self._unmount(snapshot)
            try:
                directory.rename(trash)
            except FileNotFoundError:
                return
        threading.Thread(target=discard, args=(trash,), name="snapshot-trash").start()

    def exists(self, snapshot: str) -> bool:
        """Whether a snapshot is here: one that is removed is not, from before its first file is deleted."""
        return self._directory(snapshot).is_dir()

    def ids(self) -> set[str]:
        """Every snapshot that is here."""
        return {entry.name for entry in self._root.iterdir() if is_id(entry.name)}

    def reconcile(self, *, known: Collection[str], running: Collection[str]) -> None:
        """Put right what a killed daemon left: remove what is not *known*, unmount what is not *running*."""
        for entry in list(self._root.iterdir()):
            if entry.name.startswith("trash-"):
                discard(entry)
        for snapshot in self.ids():
            if snapshot not in known:
                self.remove(snapshot)
            elif snapshot not in running:
                self.unmount(snapshot)

    def _directory(self, snapshot: str) -> Path:
        if not is_id(snapshot):
            raise InvalidParameter(f"{snapshot[:70]!r} is no snapshot's id")
        return self._root / snapshot

    def _mount(self, snapshot: str) -> Path:
        directory = self._directory(snapshot)
        merged = directory / "merged"
        if os.path.ismount(merged):
            return merged
        try:
            lower = (directory / "lower").read_text(encoding="ascii").split("\n")
        except FileNotFoundError as error:
            raise NotFound(f"no snapshot {snapshot[:12]}") from error
        try:
            with self._layers.steady():
                mount_overlay(
                    links=self._layers.links,
                    lower=self._distinct(lower),
                    upper=directory / "upper",
                    work=directory / "work",
                    target=merged,
                )
        except OSError as error:
            raise EngineFault(f"snapshot {snapshot[:12]} cannot be mounted: {error.strerror}") from error
        return merged

    def _distinct(self, names: Sequence[str]) -> list[str]:
        """*names* without those of a layer that is there above as well: overlayfs takes each directory once.

        What the lower one of two equal layers has, the upper one shows or hides.
        """
        found: dict[tuple[int, int], str] = {}
        for name in names:
            status = (self._layers.links / name).stat()
            found.setdefault((status.st_dev, status.st_ino), name)
        return list(found.values())

    def _unmount(self, snapshot: str) -> None:
        mounts.unmount(self._directory(snapshot) / "merged")

    def _make_init(self) -> None:
        for name in (_INIT, _INIT_KERNEL, _EMPTY):
            init = self._root / name
            init.mkdir(exist_ok=True, mode=0o755)
            link = self._layers.links / name
            if not link.is_symlink() or link.readlink() != init.absolute():
                link.unlink(missing_ok=True)
                link.symlink_to(init.absolute())
        for name in (_INIT, _INIT_KERNEL):
            init = self._root / name
            for place in _KERNEL_DIRECTORIES:
                (init / place).mkdir(parents=True, exist_ok=True, mode=0o755)
            for place in _KERNEL_FILES:
                (init / place).touch(mode=0o644, exist_ok=True)
        init = self._root / _INIT
        (init / "etc").mkdir(exist_ok=True, mode=0o755)
        for place in _IMAGE_FILES:
            (init / place).touch(mode=0o755 if place == ".dockerenv" else 0o644, exist_ok=True)
        if not (init / _MTAB).is_symlink():
            (init / _MTAB).symlink_to("/proc/mounts")

    def _is_plain(self, diff_ids: tuple[Digest, ...], above: Sequence[str]) -> bool:
        """Whether the init layer with /etc hides nothing that an image has put there on purpose.

        It lies on top of the image, so what it has wins. Over /dev, /proc and /sys it always lies: they are mounted
        over, and an image that has links or files there only means to lead the runtime astray. An image with a strange
        /etc keeps that, and places to mount on are made in the container's own layer.
        """
        if not above:
            return self._leave_room(diff_ids)
        with self._layers.steady():
            tops = [self._layers.links / name for name in reversed(above)]
            return _leaves_room([*tops, *self._topmost_first(diff_ids)])

    def _look_for_room(self, diff_ids: tuple[Digest, ...]) -> bool:
        return _leaves_room(self._topmost_first(diff_ids))

    def _topmost_first(self, diff_ids: Sequence[Digest]) -> list[Path]:
        return [self._layers.diff(diff_id) for diff_id in reversed(diff_ids)]


def _leaves_room(tops: Sequence[Path]) -> bool:
    """Whether the directories *tops*, topmost first, have nothing where the init layer has something else."""
    etc, mtab = _lookup(tops, "etc"), _lookup(tops, _MTAB)
    files = (_lookup(tops, file) for file in _IMAGE_FILES)
    return (
        (etc is None or (stat.S_ISDIR(etc.st_mode) and _is_ordinary(etc)))
        and (mtab is None or stat.S_ISLNK(mtab.st_mode))
        and all(found is None or stat.S_ISREG(found.st_mode) for found in files)
    )


def _is_ordinary(found: os.stat_result) -> bool:
    """Whether a directory has the attributes that the init layer would give it."""
    return stat.S_IMODE(found.st_mode) == 0o755 and found.st_uid == found.st_gid == 0


def _lookup(tops: Sequence[Path], name: str) -> os.stat_result | None:
    """What the topmost layer that says anything of *name* says; a whiteout is `None`. Links are not followed."""
    for top in tops:
        path = top
        found = None
        for part in name.split("/"):
            path = path / part
            try:
                found = path.lstat()
            except (FileNotFoundError, NotADirectoryError):
                found = None
                break
            if not stat.S_ISDIR(found.st_mode):
                break
        if found is not None:
            return None if stat.S_ISCHR(found.st_mode) and found.st_rdev == 0 else found
    return None
