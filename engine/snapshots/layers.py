"""Unpacked layers: one directory each, named by its diffID, written once by the unpack helper and never again.

<root>/<hex of the diffID>/diff     the files
                          /size     bytes of the files, as text
                          /link     the layer's short name
      /l/<short>                    a link to ../<hex>/diff, for short mount options
      /tmp-<random>/                a layer in the making; swept at start

A directory that is a layer already, such as what a build's step has written, is taken as it is
(`engine.snapshots.adoption`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from engine.errors import DigestMismatch, EngineFault, StorageFull
from engine.kernel.disk import sync_directory, sync_file_system
from engine.kernel.overlay import OPAQUE
from engine.kernel.paths import open_in_root, opened_root
from engine.snapshots.helper import FULL, Unpacked, UnpackHelper, UnpackLimits
from engine.snapshots.trash import discard
from engine.types import Digest, is_id

_SHORT: Final = 10


class LayerStore:
    """The layers below *root*. Threads may use it at once."""

    def __init__(self, root: Path, *, limits: UnpackLimits | None = None) -> None:
        self._root = root
        self.limits: Final = limits or UnpackLimits()
        self._lock = threading.RLock()
        self.links.mkdir(parents=True, exist_ok=True)
        # Layers hold setuid programs that the host's users must not reach.
        root.chmod(0o700)

    @property
    def root(self) -> Path:
        return self._root

    @property
    def links(self) -> Path:
        """The directory of short links, for `mount_overlay`."""
        return self._root / "l"

    def has(self, diff_id: Digest) -> bool:
        return (self._root / diff_id.hex).is_dir()

    def diff_ids(self) -> set[Digest]:
        """Every layer that is here."""
        return {Digest(f"sha256:{entry.name}") for entry in self._root.iterdir() if is_id(entry.name)}

    def size(self, diff_id: Digest) -> int:
        """Bytes of the layer's files, as the archive told them; `EngineFault` when the layer is not here."""
        return int(self._read(diff_id, "size"))

    def diff(self, diff_id: Digest) -> Path:
        """The directory of the layer's files. Nobody writes there."""
        return self._root / diff_id.hex / "diff"

    def short_names(self, diff_ids: Sequence[Digest]) -> list[str]:
        """The names of the layers' links, in the order given."""
        return [self._read(diff_id, "link") for diff_id in diff_ids]

    @contextmanager
    def steady(self) -> Iterator[None]:
        """No layer gets or loses its name while the block runs, so that what links lead to can be mounted."""
        with self._lock:
            yield

    @contextmanager
    def unpack(self, *, expected: Digest | None = None) -> Iterator[LayerUnpacker]:
        """Take in a layer: write its uncompressed tar, then commit. Left without a commit, nothing stays.

        Without *expected* the layer is one of our own making, and is named by what it turns out to be. Raises
        `InvalidParameter` for an archive that is broken or refused, `DigestMismatch` when its digest is not *expected*,
        `StorageFull` when there is no room.
        """
        temporary = self._root / f"tmp-{secrets.token_hex(8)}"
        try:
            with _room_for(_shown(expected)):
                (temporary / "diff").mkdir(parents=True)
                (temporary / "diff").chmod(0o755)
            unpacker = LayerUnpacker(self, temporary, expected, self.limits)
            try:
                yield unpacker
            finally:
                unpacker.close()
        finally:
            discard(temporary)

    def remove(self, diff_id: Digest) -> None:
        """Remove a layer that nothing uses; no error when it is not there."""
        if (doomed := self.take_away(diff_id)) is not None:
            discard(doomed)

    def take_away(self, diff_id: Digest) -> Path | None:
        """Take its name from a layer that nothing uses; what is left for `discard`. `None` when it is not there."""
        directory = self._root / diff_id.hex
        doomed = self._root / f"tmp-{secrets.token_hex(8)}"
        with self._lock:
            try:
                link = self._read(diff_id, "link")
                directory.rename(doomed)
            except (FileNotFoundError, EngineFault):
                return None
            (self.links / link).unlink(missing_ok=True)
        return doomed

    def sweep(self) -> None:
        """Remove what a daemon that was killed left half made, and repair links. Only before anything else runs."""
        for entry in list(self._root.iterdir()):
            if entry.name.startswith("tmp-"):
                discard(entry)
        known = {}
        for entry in self._root.iterdir():
            if (entry / "link").is_file():
                known[(entry / "link").read_text(encoding="ascii")] = entry.name
        for link in list(self.links.iterdir()):
            # Those that point elsewhere are not of layers: the snapshots keep their init layer's here.
            if link.name not in known and not link.readlink().is_absolute():
                link.unlink()
        for name, target in known.items():
            self._link(name, target)

    def take(self, temporary: Path, diff_id: Digest, size: int, *, link: str = "") -> bool:
        """Give a whole, verified layer its name. False when one of the same diffID is there already: that one stays.

        *link* is the short name that the layer has been mounted by so far, if it has one: it leads to the layer that
        stays.
        """
        name = link or secrets.token_hex(_SHORT // 2)
        with _room_for(diff_id.short):
            (temporary / "size").write_text(str(size), encoding="ascii")
            (temporary / "link").write_text(name, encoding="ascii")
            # One call for the thousands of files, instead of an fsync each.
            sync_file_system(temporary)
        with self._lock, _room_for(diff_id.short):
            taken = not self.has(diff_id)
            if taken or link:
                # The link first: a layer that has its name also has its link.
                self._link(name, diff_id.hex)
            if taken:
                temporary.rename(self._root / diff_id.hex)
        sync_directory(self._root)
        return taken

    def take_over(self, temporary: Path, diff_id: Digest, size: int) -> None:
        """As `take`, in the place of the layer that has the name, whose link stays: snapshots know it."""
        link = self._read(diff_id, "link")
        doomed = self._root / f"tmp-{secrets.token_hex(8)}"
        with self._lock:
            (self._root / diff_id.hex).rename(doomed)
            self.take(temporary, diff_id, size, link=link)
        discard(doomed)

    def _link(self, name: str, target: str) -> None:
        place = self.links / name
        wanted = Path("..") / target / "diff"
        if place.is_symlink() and place.readlink() != wanted:
            place.unlink()
        with contextlib.suppress(FileExistsError):
            place.symlink_to(wanted)

    def _read(self, diff_id: Digest, name: str) -> str:
        try:
            return (self._root / diff_id.hex / name).read_text(encoding="ascii")
        except FileNotFoundError as error:
            raise EngineFault(
                f"layer {diff_id.short} is missing in {self._root}: remove the images that use it and pull them again"
            ) from error


class LayerUnpacker:
    """A layer in the making: `write` its tar, `commit` it. Made by `LayerStore.unpack`."""

    def __init__(self, store: LayerStore, temporary: Path, expected: Digest | None, limits: UnpackLimits) -> None:
        self._store = store
        self._temporary = temporary
        self._expected = expected
        self._hash = hashlib.sha256()
        self._done: Unpacked | None = None
        self._helper = UnpackHelper(
            "layer", str(temporary / "diff"), str(limits.entries), str(limits.bytes), what=f"layer {_shown(expected)}"
        )

    def write(self, data: bytes) -> None:
        """Hand on *data* of the uncompressed tar; blocks while the helper is behind."""
        self._hash.update(data)
        self._helper.write(data)

    @property
    def digest(self) -> Digest:
        """The diffID of what has been written so far: for holding the layer before its `commit`."""
        return Digest("sha256:" + self._hash.hexdigest())

    @property
    def files(self) -> Path:
        """Where the files are before they have their name."""
        return self._temporary / "diff"

    def verify(self) -> Digest:
        """Take in the end of the tar, check the diffID and return it. Afterwards only `commit` or `replace`."""
        if self._done is None:
            done = self._helper.finish()
            self._mark_opaque(done.opaque)
            if self._expected is not None and self.digest != self._expected:
                raise DigestMismatch(f"layer unpacks to {self.digest}, not to {self._expected} as its image says")
            self._done = done
        return self.digest

    def commit(self) -> Digest:
        """Verify the diffID, give the layer its name, and return it."""
        found = self.verify()
        self._store.take(self._temporary, found, self._size)
        return found

    def replace(self) -> None:
        """The same, in the place of a layer that is there and damaged. Only while nothing uses it."""
        self._store.take_over(self._temporary, self.verify(), self._size)

    @property
    def _size(self) -> int:
        return self._done.bytes if self._done is not None else 0

    def close(self) -> None:
        """End the helper, whatever it is doing."""
        self._helper.close()

    def _mark_opaque(self, paths: Sequence[bytes]) -> None:
        """The one thing that takes CAP_SYS_ADMIN, which the helper does not have (overlayfs.rst, "Whiteouts …")."""
        with opened_root(self._temporary / "diff") as root:
            for path in paths:
                descriptor = open_in_root(root, os.fsdecode(path), os.O_RDONLY | os.O_DIRECTORY)
                try:
                    os.setxattr(descriptor, OPAQUE, b"y")
                finally:
                    os.close(descriptor)


def _shown(diff_id: Digest | None) -> str:
    return diff_id.short if diff_id is not None else "in the making"


@contextmanager
def _room_for(layer: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise StorageFull(f"no room for layer {layer}: {error}; free some space and try again") from error
        raise
