"""Directories that are layers already, such as what a build's step has written: taken as they are, without a copy.

An adopted layer can be mounted at once, by its short name. Its diffID is that of the tar that it would be packed into:
hashing it takes a while, and others may build on it meanwhile.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from engine.kernel.trees import limit_times, tree_size
from engine.snapshots.layers import LayerStore
from engine.snapshots.packing import pack_directory
from engine.snapshots.trash import discard
from engine.types import Digest

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class AdoptedLayer:
    """A directory on its way to become a layer of *store*. `close` it, also after a `commit`."""

    def __init__(self, store: LayerStore, directory: Path, *, latest: int | None = None) -> None:
        """Take *directory*, which is on the store's file system and which nobody writes to any more.

        With *latest* (nanoseconds), no file in it is younger than that.
        """
        self._store = store
        token = secrets.token_hex(5)
        self.link = token
        """The short name by which it can be mounted, now and after its commit, until it is closed."""
        self._place = store.root / f"tmp-adopted-{token}"
        self._place.mkdir(mode=0o700)
        try:
            directory.rename(self._place / "diff")
            if latest is not None:
                limit_times(self._place / "diff", latest)
            (store.links / token).symlink_to(Path("..") / self._place.name / "diff")
        except BaseException:
            discard(self._place)
            raise
        self._mine = False

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it."""
        with os.scandir(self._place / "diff") as entries:
            return next(entries, None) is None

    def hash(self, *, check: Callable[[], None]) -> Digest:
        """Its diffID. *check* is called now and then and may raise to give up."""
        digest = hashlib.sha256()
        for chunk in self._packed():
            check()
            digest.update(chunk)
        return Digest("sha256:" + digest.hexdigest())

    def commit(self, diff_id: Digest) -> None:
        """Give it the name that its `hash` told. `StorageFull` when there is no room."""
        self._mine = self._store.take(self._place, diff_id, tree_size(self._place / "diff"), link=self.link)

    def close(self) -> None:
        """Let go of what is not in the store: all of it without a commit, the copy where it was there before."""
        if not self._mine:
            (self._store.links / self.link).unlink(missing_ok=True)
            discard(self._place)

    def _packed(self) -> Iterator[bytes]:
        root = os.open(self._place / "diff", _DIRECTORY)
        try:
            yield from pack_directory(root, layer=True)
        finally:
            os.close(root)
