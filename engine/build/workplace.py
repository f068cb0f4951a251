"""What the stages of one build share: its options, its directories, its trees, its networks, and whether to go on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.build.bases import Bases
from engine.build.cachemounts import CacheMounts
from engine.build.context import Context
from engine.build.dockerfile.model import Dockerfile
from engine.build.guard import DiskLimits
from engine.build.means import Means
from engine.build.options import BuildOptions
from engine.build.progress import Tell
from engine.build.running import Sandboxes, StepRunner
from engine.build.sealing import Sealer, Stores
from engine.build.tips import Tip
from engine.build.trees import Tree
from engine.errors import Cancelled
from engine.snapshots.adoption import AdoptedLayer
from engine.snapshots.helper import UnpackLimits
from engine.snapshots.store import SnapshotStore
from engine.types import Digest, new_id


class Stop:
    """Says whether a build goes on. Any thread may ask, and any may end it."""

    def __init__(self, cancel: threading.Event) -> None:
        self._cancel = cancel
        self._failure: BaseException | None = None
        self._lock = threading.Lock()

    def check_cancelled(self) -> None:
        """Raise where somebody has cancelled the build."""
        if self._cancel.is_set():
            raise Cancelled("the build was cancelled")

    def check(self) -> None:
        """Raise where the build is not to go on."""
        self.check_cancelled()
        if self._failure is not None:
            raise Cancelled("another stage of the build has failed")

    def failed(self, error: BaseException) -> None:
        """Let everybody else end; the first error is what the build ends with."""
        with self._lock:
            if self._failure is None:
                self._failure = error

    @property
    def failure(self) -> BaseException | None:
        return self._failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Machinery:
    """The parts of the engine that builds use."""

    stores: Stores
    snapshots: SnapshotStore
    runner: StepRunner
    caches: CacheMounts
    limits: UnpackLimits
    disk: DiskLimits
    document: Callable[[Digest], Mapping[str, Any]]
    """The config document of an image, parsed; nobody changes it."""


class Workplace:
    """One build's. A context: at its end everything that it made for itself is gone."""

    def __init__(
        self,
        *,
        machinery: Machinery,
        options: BuildOptions,
        context: Context,
        dockerfile: Dockerfile,
        means: Means,
        sealer: Sealer,
        sandboxes: Sandboxes,
        stop: Stop,
        tell: Tell,
        bases: Bases,
        epoch: int | None,
    ) -> None:
        self.machinery = machinery
        self.options = options
        self.stages = dockerfile.stages
        self.lines = dockerfile.lines
        self.means = means
        self.scratch = means.scratch
        self.sealer = sealer
        self.sandboxes = sandboxes
        self.stop = stop
        self.tell = tell
        self.bases = bases
        self.epoch = epoch
        """The time of everything that is made, in nanoseconds, where the caller wants it to be reproducible."""
        self.hits: list[str] = []
        """The keys of steps that were taken from the cache."""
        self._stack = ExitStack()
        self._lock = threading.Lock()
        self._trees: dict[str, Tree] = {}
        self.context = self._opened(context.root)

    def close(self) -> None:
        self._stack.close()

    def directory_tree(self, root: Path) -> Tree:
        """What is in a directory of the build's own."""
        with self._lock:
            return self._opened(root)

    def tree_of(self, tip: Tip) -> Tree:
        """The files of a stage or an image, mounted until the build ends."""
        with self._lock:
            tree = self._trees.get(tip.key)
            if tree is None:
                rootfs = self._stack.enter_context(self.mounted(tip, bare=True))
                tree = self._trees[tip.key] = self._opened(rootfs.merged)
            return tree

    @contextmanager
    def mounted(self, tip: Tip | None, *, bare: bool) -> Iterator[Mounted]:
        """The tree of *tip* with room to write, or nothing but that room; *bare* for files, else for processes."""
        snapshots = self.machinery.snapshots
        snapshot = new_id()
        layers, above = ((), ()) if tip is None else (tip.layers, tip.links)
        snapshots.prepare(snapshot, layers, above=above, bare=bare)
        try:
            yield Mounted(id=snapshot, merged=snapshots.mount(snapshot), upper=snapshots.upper(snapshot))
        finally:
            snapshots.remove(snapshot)

    def written(self, tip: Tip | None, write: Callable[[Mounted], None], *, bare: bool = True) -> AdoptedLayer | None:
        """What *write* writes into the tree of *tip*, as a layer; `None` when it is nothing."""
        with self.mounted(tip, bare=bare) as mounted:
            write(mounted)
            self.machinery.snapshots.unmount(mounted.id)
            return self.sealer.adopt(mounted.upper)

    def _opened(self, root: Path) -> Tree:
        tree = Tree(root)
        self._stack.callback(tree.close)
        return tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounted:
    """A tree while it is mounted."""

    id: str
    merged: Path
    upper: Path
