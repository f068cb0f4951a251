"""The files of containers: copied out and in, compared with the image, exported, made into an image."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Final, Protocol

from engine.containers.files import browsing, changes
from engine.containers.files.changes import Change
from engine.containers.files.roots import ContainerRoots, PathStat, Root, look, missing, mount_of, open_parent
from engine.containers.model import Container, Status
from engine.containers.places import normal
from engine.containers.service import ContainerService
from engine.containers.spec import users
from engine.errors import Conflict, EngineFault, Forbidden, InvalidParameter, NotFound
from engine.kernel import paths
from engine.snapshots.helper import UnpackHelper, UnpackLimits
from engine.snapshots.packing import pack_directory, pack_entry
from engine.snapshots.store import SnapshotStore

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY


class Sink(Protocol):
    """Takes an uncompressed tar (`UnpackHelper`)."""

    def write(self, data: bytes) -> None: ...

    def fill(self, move: Callable[[int], bytes | None]) -> None:
        """Call *move* with a pipe: what it gives is written there, and after `None` there will be room."""


class ContainerFiles:
    """The files of the containers of *containers*. Any thread may call it."""

    def __init__(
        self, *, containers: ContainerService, snapshots: SnapshotStore, roots: ContainerRoots, limits: UnpackLimits
    ) -> None:
        self._containers = containers
        self._snapshots = snapshots
        self._roots = roots
        self._limits = limits

    def stat(self, text: str, path: str) -> PathStat:
        """What is at *path* in a container; `NotFound`."""
        container = self._containers.get(text)
        with self._roots.opened(container, _checked(path)) as root:
            return look(root, path)

    def listing(self, text: str, path: str, *, limit: int = browsing.MOST) -> browsing.Listing:
        """What is in the directory *path* of a container. `NotFound`, `InvalidParameter` for what is no directory."""
        container = self._containers.get(text)
        with self._roots.opened(container, _checked(path)) as root:
            return browsing.listing(root, path, limit=limit)

    @contextmanager
    def archive(self, text: str, path: str) -> Generator[tuple[PathStat, Iterator[bytes]]]:
        """What is at *path* as a tar, in chunks; its names begin with the last one of *path*. `NotFound`."""
        container = self._containers.get(text)
        with self._roots.opened(container, _checked(path)) as root:
            found = look(root, path)
            parent, name = open_parent(root, path)
            try:
                shown = "." if path.endswith("/.") else found.name
                if stat.S_ISDIR(found.mode):
                    try:
                        directory = os.open(name, _DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
                    except OSError as error:
                        raise missing(root, path, error) from error  # something else has taken its place
                    try:
                        with closing(pack_directory(directory, name=shown)) as chunks:
                            yield found, self._read(container, chunks, root=root)
                    finally:
                        os.close(directory)
                else:
                    with closing(pack_entry(parent, name, name=shown)) as chunks:
                        yield found, self._read(container, chunks)
            finally:
                os.close(parent)
        self._containers.tell(container, "archive-path", path=path)

    @contextmanager
    def extraction(self, text: str, path: str, *, keep_kinds: bool = False, own: bool = False) -> Generator[Sink]:
        """Takes a tar into the directory *path* of a container; it is there when the block has ended.

        With *keep_kinds* a directory is never replaced by something else, nor the reverse; with *own* everything
        belongs to the container's user. `NotFound`, `Forbidden` where it is read-only, `InvalidParameter` for the
        archive; what had been unpacked until then stays, as with Docker.
        """
        container = self._containers.get(text)
        with self._roots.opened(container, _checked(path)) as root:
            inside = root.inside(normal(path))
            _require_writable(root, container, path, inside)
            owner = "-"
            if own:
                identity = users.resolve(root.descriptor, container.config.user, group_add=())
                owner = f"{identity.uid}:{identity.gid}"
            helper = UnpackHelper(
                "tree",
                inside,
                str(self._limits.entries),
                str(self._limits.bytes),
                "-" if root.namespace is None else str(root.namespace),
                str(root.place),
                owner,
                "1" if keep_kinds else "0",
                what="the archive",
                descriptors=[] if root.namespace is None else [root.namespace],
            )
            try:
                yield helper
                helper.finish()
            finally:
                helper.close()
        self._containers.tell(container, "extract-to-dir", path=path)

    def changes(self, text: str) -> Sequence[Change]:
        """What the container has changed of its image's files."""
        container = self._containers.get(text)
        with self._there(container):
            return changes.changes(self._snapshots.upper(container.id), self._snapshots.lower(container.id))

    @contextmanager
    def exported(self, text: str) -> Generator[Iterator[bytes]]:
        """Everything that the container has in its own layers, as a tar; what is mounted there is left out."""
        container = self._containers.get(text)
        with self._snapshots.opened(container.id) as merged, paths.opened_root(merged) as top:
            root = paths.open_in_root(top, "/", _DIRECTORY)
            try:
                with closing(pack_directory(root)) as chunks:
                    yield self._read(container, chunks)
            finally:
                os.close(root)
        self._containers.tell(container, "export")

    @contextmanager
    def layer(self, container: Container) -> Generator[Iterator[bytes]]:
        """What the container has written, as the tar of a layer."""
        with self._there(container):
            upper = os.open(self._snapshots.upper(container.id), _DIRECTORY | os.O_CLOEXEC)
        try:
            with closing(pack_directory(upper, layer=True)) as chunks:
                yield self._read(container, chunks)
        finally:
            os.close(upper)

    @contextmanager
    def still(self, container: Container) -> Generator[None]:
        """The container paused while the block runs, if it runs at all."""
        pauses = container.state.status is Status.RUNNING
        if pauses:
            try:
                self._containers.pause(container.id, briefly=True)
            except Conflict:
                pauses = False  # it has ended, or somebody else has paused it
        try:
            yield
        finally:
            if pauses:
                try:
                    self._containers.unpause(container.id)
                except Conflict:
                    pauses = False  # killed, or let go by somebody else, meanwhile

    def _read(self, container: Container, chunks: Iterator[bytes], *, root: Root | None = None) -> Iterator[bytes]:
        """*chunks* of the container's files, and an error where some may have vanished on the way."""
        with self._there(container):
            yield from chunks
        if root is not None and not root.stands():
            raise Conflict(f"container {container.short_id} has ended while its files were read: try again")

    @contextmanager
    def _there(self, container: Container) -> Generator[None]:
        """Reading its files in the block; `Conflict` where the container was removed meanwhile, and files with it."""
        try:
            yield
        except FileNotFoundError as error:
            if self._snapshots.exists(container.id):
                raise NotFound(f"{error.filename} of container {container.short_id} has vanished meanwhile") from error
        if not self._snapshots.exists(container.id):
            raise Conflict(f"container {container.short_id} was removed while its files were read")


def _checked(path: str) -> str:
    if not path:
        raise InvalidParameter("path: name a path in the container")
    if "\0" in path:
        raise InvalidParameter("path: must not contain a NUL character")
    return path


def _require_writable(root: Root, container: Container, path: str, inside: str) -> None:
    try:
        found = paths.open_in_root(root.descriptor, inside, os.O_PATH)
    except OSError as error:
        raise missing(root, path, error) from error
    try:
        if not stat.S_ISDIR(os.fstat(found).st_mode):
            raise InvalidParameter(f"extraction point is not a directory: {path[:300]}")
        read_only = root.read_only or bool(os.fstatvfs(found).f_flag & os.ST_RDONLY)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise missing(root, path, error) from error
        raise EngineFault(f"{path[:300]}: {error.strerror}") from error
    finally:
        os.close(found)
    if read_only:
        what = "container rootfs" if mount_of(container, path) is None else "mounted volume"
        raise Forbidden(f"{what} is marked read-only")
