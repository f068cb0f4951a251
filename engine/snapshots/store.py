"""Snapshots: the tree that a container sees, its own writable layer over the layers of its image.

<root>/init/                 the shared init layer: places to mount on that are nobody's change
      /<id>/lower            short names of the layers below, topmost first, a line each
           /upper, /work     what the container wrote
           /merged           where it is mounted
      /trash-<random>/       removed, waiting to be deleted
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from engine.errors import Conflict, EngineFault, InvalidParameter, NotFound
from engine.kernel import mounts
from engine.kernel.overlay import MOST_LOWER, mount_overlay
from engine.snapshots.layers import LayerStore
from engine.types import Digest, is_id

_INIT_LINK = "init"
_INIT_DIRECTORIES = ("dev", "dev/pts", "dev/shm", "proc", "sys", "etc")
_INIT_FILES = ("dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf", ".dockerenv")


class SnapshotStore:
    """The snapshots below *root*, over *layers*. Threads may use it, each on a snapshot of its own."""

    def __init__(self, root: Path, layers: LayerStore) -> None:
        self._root = root
        self._layers = layers
        self._plain: dict[tuple[Digest, ...], bool] = {}
        root.mkdir(parents=True, exist_ok=True)
        self._make_init()

    def prepare(self, snapshot: str, diff_ids: Sequence[Digest]) -> None:
        """Make a snapshot over the layers *diff_ids*, lowest first. `Conflict` when there is one of that id."""
        if len(diff_ids) >= MOST_LOWER:
            raise InvalidParameter(f"the image has {len(diff_ids)} layers; at most {MOST_LOWER - 1} can be mounted")
        lower = self._layers.short_names(list(reversed(diff_ids)))
        if not lower or self._takes_init(tuple(diff_ids)):
            lower.insert(0, _INIT_LINK)
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
        """Mount a snapshot, if it is not yet, and return where."""
        directory = self._directory(snapshot)
        merged = directory / "merged"
        if os.path.ismount(merged):
            return merged
        try:
            lower = (directory / "lower").read_text(encoding="ascii").split("\n")
        except FileNotFoundError as error:
            raise NotFound(f"no snapshot {snapshot[:12]}") from error
        try:
            mount_overlay(
                links=self._layers.links, lower=lower, upper=directory / "upper", work=directory / "work", target=merged
            )
        except OSError as error:
            raise EngineFault(f"snapshot {snapshot[:12]} cannot be mounted: {error.strerror}") from error
        return merged

    def unmount(self, snapshot: str) -> None:
        """Take a snapshot's mount off; no error when it is not mounted."""
        mounts.unmount(self._directory(snapshot) / "merged")

    def mounted(self, snapshot: str) -> Path | None:
        """Where a snapshot is mounted now."""
        merged = self._directory(snapshot) / "merged"
        return merged if os.path.ismount(merged) else None

    @contextmanager
    def opened(self, snapshot: str) -> Iterator[Path]:
        """The tree of a snapshot while the block runs, mounted for it when it was not."""
        already = self.mounted(snapshot)
        if already is not None:
            yield already
            return
        try:
            yield self.mount(snapshot)
        finally:
            self.unmount(snapshot)

    def upper(self, snapshot: str) -> Path:
        """The directory of what the container wrote. It is the container's: never follow a path in it as text."""
        return self._directory(snapshot) / "upper"

    def usage(self, snapshot: str) -> int:
        """Bytes of what the container wrote: each file's size, hard links once."""
        seen: set[tuple[int, int]] = set()
        total = 0
        for _, _, files, descriptor in os.fwalk(self.upper(snapshot)):
            for name in files:
                with contextlib.suppress(FileNotFoundError):
                    found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                    if stat.S_ISREG(found.st_mode) and (found.st_dev, found.st_ino) not in seen:
                        seen.add((found.st_dev, found.st_ino))
                        total += found.st_size
        return total

    def remove(self, snapshot: str) -> None:
        """Remove a snapshot with everything in it; no error when there is none. Deleting goes on in the background."""
        directory = self._directory(snapshot)
        self.unmount(snapshot)
        trash = self._root / f"trash-{secrets.token_hex(8)}"
        try:
            directory.rename(trash)
        except FileNotFoundError:
            return
        threading.Thread(target=shutil.rmtree, args=(trash, True), name="snapshot-trash").start()

    def ids(self) -> set[str]:
        """Every snapshot that is here."""
        return {entry.name for entry in self._root.iterdir() if is_id(entry.name)}

    def reconcile(self, *, known: Collection[str], running: Collection[str]) -> None:
        """Put right what a killed daemon left: remove what is not *known*, unmount what is not *running*."""
        for entry in list(self._root.iterdir()):
            if entry.name.startswith("trash-"):
                shutil.rmtree(entry, ignore_errors=True)
        for snapshot in self.ids():
            if snapshot not in known:
                self.remove(snapshot)
            elif snapshot not in running:
                self.unmount(snapshot)

    def _directory(self, snapshot: str) -> Path:
        if not is_id(snapshot):
            raise InvalidParameter(f"{snapshot[:70]!r} is no snapshot's id")
        return self._root / snapshot

    def _make_init(self) -> None:
        init = self._root / "init"
        for name in _INIT_DIRECTORIES:
            (init / name).mkdir(parents=True, exist_ok=True, mode=0o755)
        for name in _INIT_FILES:
            (init / name).touch(mode=0o755 if name == ".dockerenv" else 0o644, exist_ok=True)
        link = self._layers.links / _INIT_LINK
        if not link.is_symlink() or link.resolve() != init.resolve():
            link.unlink(missing_ok=True)
            link.symlink_to(init.absolute())

    def _takes_init(self, diff_ids: tuple[Digest, ...]) -> bool:
        """Whether the shared init layer hides nothing of an image's.

        It lies on top of the image, so a directory of it wins over whatever the image has there. An image with something
        unusual in one of those places goes without it: the runtime then makes the places to mount on.
        """
        if diff_ids not in self._plain:
            tops = [self._layers.diff(diff_id) for diff_id in reversed(diff_ids)]
            self._plain[diff_ids] = all(_usual(tops, name) for name in _INIT_DIRECTORIES) and all(
                _usual_file(tops, name) for name in _INIT_FILES
            )
        return self._plain[diff_ids]


def _usual(tops: Sequence[Path], name: str) -> bool:
    found = _lookup(tops, name)
    if found is None:
        return True
    if name.startswith("etc"):
        # The others are mounted over; this one is seen, so its attributes must be the same.
        return (
            stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o755 and found.st_uid == found.st_gid == 0
        )
    return stat.S_ISDIR(found.st_mode)


def _usual_file(tops: Sequence[Path], name: str) -> bool:
    found = _lookup(tops, name)
    return found is None or stat.S_ISREG(found.st_mode) or name == "dev/console"


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
