"""Directories that outlive builds for RUN --mount=type=cache: a compiler's or a package manager's own cache.

<root>/<id>/data      the files
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.build.dockerfile.mounts import RunMount, Sharing
from engine.database import Database
from engine.errors import InvalidParameter
from engine.kernel import copying, paths
from engine.kernel.trees import remove_tree, tree_size
from engine.types import now

if TYPE_CHECKING:
    from engine.build.runmounts import Origins

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_TICK: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheDirectory:
    """One directory."""

    id: str
    name: str
    size: int
    created: int
    used: int
    uses: int
    in_use: bool


class CacheMounts:
    """The directories below *root*."""

    def __init__(self, root: Path, database: Database) -> None:
        self._root = root
        self._database = database
        self._changed = threading.Condition()
        self._users: Counter[str] = Counter()
        self._locked: set[str] = set()
        root.mkdir(parents=True, exist_ok=True, mode=0o700)

    @contextmanager
    def lent(self, mount: RunMount, place: str, *, origins: Origins, check: Callable[[], None]) -> Iterator[Path]:
        """The directory that *mount* means while the block runs; waits for others where it is `locked`."""
        name = mount.id or place
        with self._taken(name, mount.sharing, check) as identifier:
            directory = self._root / identifier / "data"
            if not directory.is_dir():
                self._make(identifier, mount, origins)
            with self._database.transaction() as connection:
                connection.execute(
                    "INSERT INTO build_mounts (id, name, created, used, uses) VALUES (?, ?, ?, ?, 1) "
                    "ON CONFLICT (id) DO UPDATE SET used = excluded.used, uses = uses + 1",
                    (identifier, name, now(), now()),
                )
            yield directory

    def all(self) -> list[CacheDirectory]:
        """Every directory, the last used first."""
        found = []
        for row in self._database.query("SELECT * FROM build_mounts ORDER BY used DESC, id"):
            directory = self._root / row["id"] / "data"
            if directory.is_dir():
                with self._changed:
                    in_use = self._users[row["id"]] > 0
                found.append(
                    CacheDirectory(
                        id=row["id"],
                        name=row["name"],
                        size=tree_size(directory),
                        created=row["created"],
                        used=row["used"],
                        uses=row["uses"],
                        in_use=in_use,
                    )
                )
        return found

    def remove(self, identifiers: Sequence[str]) -> None:
        """Remove directories that nobody uses; the others stay."""
        for identifier in identifiers:
            with self._changed:
                if self._users[identifier]:
                    continue
                with self._database.transaction() as connection:
                    connection.execute("DELETE FROM build_mounts WHERE id = ?", (identifier,))
                directory = self._root / identifier
                if directory.is_dir():
                    remove_tree(directory)

    def sweep(self) -> None:
        """Remove directories that were never finished, or that no row knows. Only before anything else runs."""
        known = {row["id"] for row in self._database.query("SELECT id FROM build_mounts")}
        for directory in list(self._root.iterdir()):
            if directory.name not in known:
                remove_tree(directory)

    def _make(self, identifier: str, mount: RunMount, origins: Origins) -> None:
        """Make a directory, whole or not at all, with what `from` and `source` name in it.

        Several stages may do so at once, where they share it: the first one's is there for all.
        """
        temporary = self._root / f"{identifier}.{secrets.token_hex(4)}"
        try:
            (temporary / "data").mkdir(parents=True)
            self._fill(temporary / "data", mount, origins)
            temporary.rename(self._root / identifier)
        except BaseException as error:
            with suppress(FileNotFoundError):
                remove_tree(temporary)
            if not isinstance(error, OSError) or error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise

    def _fill(self, directory: Path, mount: RunMount, origins: Origins) -> None:
        target = os.open(directory, _DIRECTORY)
        try:
            if mount.from_:
                tree = origins(mount.from_)
                try:
                    source = paths.open_in_root(tree.descriptor, mount.source or "/", os.O_RDONLY | os.O_DIRECTORY)
                except OSError as error:
                    raise InvalidParameter(
                        f"RUN --mount=type=cache: {mount.source[:200]!r} in {mount.from_[:100]}: {error.strerror}"
                    ) from error
                try:
                    copying.copy_directory(source, target)
                finally:
                    os.close(source)
            os.fchmod(target, 0o755 if mount.mode is None else mount.mode)
            os.fchown(target, mount.uid or 0, mount.gid or 0)
        finally:
            os.close(target)

    @contextmanager
    def _taken(self, name: str, sharing: Sharing, check: Callable[[], None]) -> Iterator[str]:
        with self._changed:
            identifier = _identifier(name, 0)
            if sharing is Sharing.LOCKED:
                while self._users[identifier]:
                    self._changed.wait(_TICK)
                    check()
                self._locked.add(identifier)
            elif sharing is Sharing.SHARED:
                while identifier in self._locked:
                    self._changed.wait(_TICK)
                    check()
            else:
                number = 0
                while self._users[identifier]:
                    number += 1
                    identifier = _identifier(name, number)
            self._users[identifier] += 1
        try:
            yield identifier
        finally:
            with self._changed:
                self._users[identifier] -= 1
                self._locked.discard(identifier)
                self._changed.notify_all()


def _identifier(name: str, number: int) -> str:
    """The directory of that name; a *number* for those that are private."""
    return hashlib.sha256(f"{name}\0{number}".encode("utf-8", "surrogateescape")).hexdigest()[:32]
