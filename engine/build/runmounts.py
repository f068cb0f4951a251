"""What RUN sees besides its stage's files: `--mount`, the image's volumes, scripts from here-documents.

Places to mount on that the image does not have are made for the command and taken away again, so that they are not in
the layer.
"""

from __future__ import annotations

import errno
import os
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

from engine.build import agent
from engine.build.cachemounts import CacheMounts
from engine.build.dockerfile.mounts import MountKind, RunMount
from engine.build.scratch import Scratch
from engine.build.secrets import SecretMounts, identity
from engine.build.trees import Missing, Tree
from engine.containers.places import make_mount_point
from engine.containers.spec.mounts import ReadyMount
from engine.errors import InvalidParameter
from engine.kernel import copying, mounts, paths
from engine.kernel.overlay import mount_overlay

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY
_OPTIONS: Final = ("rbind", "rprivate")
_SOCKET_MODE: Final = 0o600


class Origins(Protocol):
    """Finds the tree of a stage or an image, the context for an empty name."""

    def __call__(self, name: str, /) -> Tree: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Mounts that are ready, and those that the runtime makes in memory."""

    mounts: Sequence[ReadyMount] = ()
    tmpfs: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    """Secrets that are variables, and where the agent is."""


@contextmanager
def prepared(
    wanted: Iterable[RunMount],
    *,
    volumes: Iterable[str],
    rootfs: Path,
    working_dir: str,
    origins: Origins,
    caches: CacheMounts,
    secrets: Mapping[str, bytes],
    keys: Mapping[str, agent.Key],
    scratch: Scratch,
    bundle: Path,
    note: Callable[[str], None],
    check: Callable[[], None],
) -> Iterator[Prepared]:
    """Everything mounted that *wanted* and the image's *volumes* ask for while the block runs.

    What a command writes into a volume of its image is not kept, as in Docker's classic builder. Files of
    secrets and sockets of agents are made in *bundle*; *note* hears of what was not given and need not be.
    """
    ready: list[ReadyMount] = []
    tmpfs: dict[str, str] = {}
    confided = SecretMounts(secrets)
    agents = 0
    env: dict[str, str] = {}
    with ExitStack() as stack, paths.opened_root(rootfs) as root:
        for path in volumes:
            place = _absolute(path, "/")
            ready.append(ReadyMount(source=_volume(root, place, scratch), target=place))
        for mount in wanted:
            if mount.kind is MountKind.SSH:
                if (key := _key(mount, keys, note)) is not None:
                    found = stack.enter_context(_agent(mount, key, agents, bundle, working_dir))
                    env.setdefault("SSH_AUTH_SOCK", found.target)
                    ready.append(found)
                    agents += 1
                continue
            if mount.kind is MountKind.SECRET:
                if not confided.has(mount):
                    note(f"# the secret {identity(mount)[:100]} was not given: its mount is left out")
                    continue
                if (file := confided.take(mount, bundle)) is not None:
                    ready.append(replace(file, target=_absolute(file.target, working_dir)))
                continue
            place = _absolute(mount.target, working_dir)
            if mount.kind is MountKind.TMPFS:
                tmpfs[place] = f"size={mount.size}" if mount.size else ""
                continue
            if mount.kind is MountKind.CACHE:
                source = stack.enter_context(caches.lent(mount, place, origins=origins, check=check))
            else:
                source = _bind(stack, mount, origins(mount.from_), scratch)
            ready.append(
                ReadyMount(source=source, target=place, options=(*_OPTIONS, *(("ro",) if mount.read_only else ())))
            )
        for place in tmpfs:
            stack.callback(_take_away, rootfs, _missing(root, place))
        for each in ready:
            stack.callback(_take_away, rootfs, _missing(root, each.target))
            make_mount_point(root, each.source, each.target)
        yield Prepared(mounts=ready, tmpfs=tmpfs, env=env | confided.env)


def _key(mount: RunMount, keys: Mapping[str, agent.Key], note: Callable[[str], None]) -> agent.Key | None:
    """The key that *mount* asks for; `None` where it was not given and need not be."""
    name = mount.id or agent.USUAL
    if name in keys:
        return keys[name]
    if mount.required:
        raise InvalidParameter(
            f"RUN --mount=type=ssh: the SSH key {name[:100]} was not given. The build page has a field for it; the "
            f"docker CLI brings it in a header, {agent.HEADER}: {name[:100]}=BASE64 (HttpHeaders in its config.json), "
            "as its option --ssh needs sessions of BuildKit, which this engine does not have"
        )
    note(f"# the SSH key {name[:100]} was not given: its mount is left out")
    return None


@contextmanager
def _agent(mount: RunMount, key: agent.Key, number: int, bundle: Path, working_dir: str) -> Iterator[ReadyMount]:
    """The mount of an agent's socket, which listens while the block runs."""
    place = bundle / f"agent-{number}"
    mode = _SOCKET_MODE if mount.mode is None else mount.mode
    with agent.listening(key, place, mode=mode, uid=mount.uid or 0, gid=mount.gid or 0):
        target = _absolute(mount.target or f"/run/buildkit/ssh_agent.{number}", working_dir)
        yield ReadyMount(source=place, target=target)


def _absolute(path: str, working_dir: str) -> str:
    place = posixpath.normpath(posixpath.join("/", working_dir, path)).replace("//", "/")
    if place == "/":
        raise InvalidParameter(f"RUN: nothing can be mounted at {path[:100]!r}, which is the root")
    return place


def _volume(root: int, place: str, scratch: Scratch) -> Path:
    """A copy of what the image has at *place*."""
    directory = scratch.directory("volume")
    try:
        source = paths.open_in_root(root, place, _DIRECTORY)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return directory
        raise
    try:
        target = os.open(directory, _DIRECTORY | os.O_CLOEXEC)
        try:
            copying.copy_directory(source, target)
        finally:
            os.close(target)
    finally:
        os.close(source)
    return directory


def _bind(stack: ExitStack, mount: RunMount, tree: Tree, scratch: Scratch) -> Path:
    """A mount of what is at the source in *tree*; with room to write that is thrown away where it is writable."""
    try:
        found = tree.find(mount.source or "/")
    except Missing:
        found = []
    if len(found) != 1:
        raise InvalidParameter(f"RUN --mount=type=bind: {mount.source[:200]!r} is not there, or not one thing")
    place = scratch.directory("bind")
    point = place / "point"
    descriptor = paths.open_in_root(tree.descriptor, found[0].path, os.O_PATH)
    try:
        point.mkdir() if found[0].directory else point.touch()
        mounts.bind(Path(f"/proc/self/fd/{descriptor}"), point)
    finally:
        os.close(descriptor)
    stack.callback(mounts.unmount, point)
    if mount.read_only or not found[0].directory:
        return point
    for name in ("upper", "work", "merged"):
        (place / name).mkdir()
    mount_overlay(links=place, lower=["point"], upper=place / "upper", work=place / "work", target=place / "merged")
    stack.callback(mounts.unmount, place / "merged")
    return place / "merged"


def _missing(root: int, place: str) -> list[str]:
    """Those of *place* and its parents that are not there, deepest first."""
    missing = []
    while place != "/":
        try:
            os.close(paths.open_in_root(root, place, os.O_PATH))
            break
        except OSError as error:
            if error.errno != errno.ENOENT:
                break
        missing.append(place)
        place = posixpath.dirname(place)
    return missing


def _take_away(rootfs: Path, places: Sequence[str]) -> None:
    """Remove places to mount on that were made, where nothing has come into them."""
    with paths.opened_root(rootfs) as root:
        for place in places:
            directory, name = posixpath.split(place)
            with suppress(OSError):  # something is in there now, or it has gone: both are the command's own doing
                parent = paths.open_in_root(root, directory, os.O_PATH | os.O_DIRECTORY)
                try:
                    _remove(parent, name)
                finally:
                    os.close(parent)


def _remove(parent: int, name: str) -> None:
    try:
        os.rmdir(name, dir_fd=parent)
    except NotADirectoryError:
        if os.stat(name, dir_fd=parent, follow_symlinks=False).st_size == 0:
            os.unlink(name, dir_fd=parent)
