"""Where builds work: a directory each below the engine's root, on the file system of the layers, and gone at their end.

<root>/builds/<id>/…          contexts and what has been fetched
<root>/repositories/<id>/…    git repositories, fetched by a process that is nobody
<run>/builds/<id>/<step>/…    OCI bundles of steps that run
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.kernel import mounts
from engine.snapshots.trash import discard


class Scratch:
    """The directories of one build."""

    def __init__(self, *, files: Path, bundles: Path, repositories: Path) -> None:
        self.files = files
        self.bundles = bundles
        self._repositories = repositories

    def directory(self, noun: str) -> Path:
        """A new, empty directory for files."""
        place = self.files / f"{noun}-{secrets.token_hex(6)}"
        place.mkdir(mode=0o755)
        return place

    def repository(self) -> Path:
        """A new, empty directory that another user may be given."""
        place = self._repositories / secrets.token_hex(6)
        place.mkdir(mode=0o700)
        return place


class Scratches:
    """The directories of all builds below *files*, *bundles* and *repositories*."""

    def __init__(self, *, files: Path, bundles: Path, repositories: Path) -> None:
        self._files = files
        self._bundles = bundles
        self._repositories = repositories
        for top in (files, bundles):
            top.mkdir(parents=True, exist_ok=True, mode=0o700)
        repositories.mkdir(parents=True, exist_ok=True, mode=0o711)

    @contextmanager
    def opened(self) -> Iterator[Scratch]:
        """Directories for one build, removed when the block ends."""
        name = secrets.token_hex(8)
        files, bundles, repositories = (top / name for top in (self._files, self._bundles, self._repositories))
        try:
            files.mkdir(mode=0o700)
            bundles.mkdir(mode=0o700)
            repositories.mkdir(mode=0o711)
            yield Scratch(files=files, bundles=bundles, repositories=repositories)
        finally:
            _unmount_below(files)
            for place in (bundles, files, repositories):
                discard(place)

    def sweep(self) -> None:
        """Remove what builds of a daemon that was killed have left. Only before anything else runs."""
        for top in (self._files, self._bundles, self._repositories):
            _unmount_below(top)
            for place in list(top.iterdir()):
                discard(place)


def _unmount_below(place: Path) -> None:
    """What is mounted there is somebody else's, and must not be deleted along."""
    for target in mounts.mounts_below(place):
        mounts.unmount(Path(target))
