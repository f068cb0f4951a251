"""Builds: an image made of a context by its Dockerfile; the cache that they leave, listed and pruned."""

from __future__ import annotations

import functools
import json
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from engine.build.bases import Bases
from engine.build.cache import BuildCache
from engine.build.cachefrom import CacheSources
from engine.build.cachemounts import CacheMounts
from engine.build.checks import surroundings
from engine.build.context import Context, ContextSource
from engine.build.dockerfile.model import Dockerfile
from engine.build.dockerfile.parser import parse
from engine.build.execution import Execution, prepared
from engine.build.graph import Plan
from engine.build.guard import DiskLimits
from engine.build.ignoring import remove_ignored
from engine.build.lint.linter import lint, lint_parsed
from engine.build.lint.model import Report
from engine.build.means import Means
from engine.build.options import BuildOptions
from engine.build.progress import Built, Planned, Tell, Warned
from engine.build.pruning import Filters, Kept, Pruned, Pruning
from engine.build.running import Sandboxes, StepRunner
from engine.build.scratch import Scratches
from engine.build.sealing import Sealer, Stores
from engine.build.workplace import Machinery, Stop, Workplace
from engine.config import EngineConfig
from engine.containers.runtime.oci import Runtime
from engine.database import Database
from engine.errors import InvalidParameter, NotFound
from engine.images.removal import InUse
from engine.images.service import ImageService
from engine.kernel.process import held_capabilities
from engine.networks.service import NetworkService
from engine.registry.reach import PublicReach
from engine.snapshots.helper import UnpackLimits
from engine.snapshots.layers import LayerStore
from engine.snapshots.store import SnapshotStore
from engine.types import SECOND, Digest, Platform, new_id

_LOG: Final = logging.getLogger(__name__)
_DOCUMENTS: Final = 512
"""Images whose parsed config is kept: the steps of a build that is made again and again."""


class BuildService:
    """The builds of one engine. Any thread may call it."""

    def __init__(
        self,
        *,
        database: Database,
        config: EngineConfig,
        images: ImageService,
        layers: LayerStore,
        snapshots: SnapshotStore,
        networks: NetworkService,
        runtime: Runtime,
        in_use: InUse,
        reach: PublicReach,
    ) -> None:
        """*in_use* tells which containers were made from an image; *reach* is for builds held to public addresses."""
        self._images = images
        self._networks = networks
        self._reach = reach
        self._scratches = Scratches(
            files=config.root / "builds", bundles=config.run / "builds", repositories=config.root / "repositories"
        )
        self.cache = BuildCache(database)
        self.mounts = CacheMounts(config.root / "build-mounts", database)
        self._machinery = Machinery(
            stores=Stores(images=images, layers=layers, cache=self.cache),
            snapshots=snapshots,
            runner=StepRunner(runtime=runtime, held=held_capabilities(), cgroup_parent=config.instance),
            caches=self.mounts,
            limits=UnpackLimits(entries=config.build_context_files, bytes=config.build_context_bytes),
            disk=DiskLimits(step=config.build_step_bytes, free=config.build_keep_free),
            document=functools.lru_cache(maxsize=_DOCUMENTS)(self._document),
        )
        self._pruning = Pruning(cache=self.cache, mounts=self.mounts, images=images, layers=layers, in_use=in_use)
        self._lock = threading.Lock()
        self._running: dict[str, threading.Event] = {}

    def sweep(self) -> None:
        """Remove what builds of a daemon that was killed have left. Only before anything else runs."""
        self._scratches.sweep()
        self.mounts.sweep()

    def build(
        self,
        options: BuildOptions,
        *,
        source: ContextSource,
        tell: Tell,
        cancel: threading.Event,
        build_id: str = "",
    ) -> Digest:
        """Build an image and give it its names; its id.

        What cannot be built at all raises before *tell* is called: `InvalidParameter` for a context, a Dockerfile or
        options that mean nothing. Later errors are those of the steps, told of before they are raised. Set *cancel*, or
        call the method of that name with *build_id*, to stop at once: `Cancelled`. Steps that were done stay in the
        cache, nothing else does.
        """
        with ExitStack() as stack:
            stack.enter_context(self._known(build_id, cancel))
            stop = Stop(cancel)
            scratch = stack.enter_context(self._scratches.opened())
            reach = self._reach if options.public_only else None
            means = Means(scratch=scratch, limits=self._machinery.limits, check=stop.check, reach=reach)
            context = source(means, options.dockerfile)
            dockerfile = parse(context.dockerfile)
            plan, scope, last = prepared(dockerfile, options)
            warnings = self._warnings(dockerfile, plan, context, options)
            remove_ignored(context.root, context.ignore)
            epoch = _epoch(options.arguments)
            bases = Bases(self._images, options, reach=reach, tell=tell, cancel=cancel)
            stack.callback(bases.close)
            sandboxes = Sandboxes(self._networks)
            stack.callback(sandboxes.close)
            sealer = stack.enter_context(Sealer(self._machinery.stores, check=stop.check_cancelled, epoch=epoch))
            work = Workplace(
                machinery=self._machinery,
                options=options,
                context=context,
                dockerfile=dockerfile,
                means=means,
                sealer=sealer,
                sandboxes=sandboxes,
                stop=stop,
                tell=tell,
                bases=bases,
                epoch=epoch,
            )
            stack.callback(work.close)
            tell(Planned(steps=plan.steps))
            for warning in warnings:
                tell(warning)
            try:
                image = Execution(
                    dockerfile, work, plan=plan, scope=scope, last=last, cache=self._sources(options, bases)
                ).run()
            finally:
                self.cache.touch(work.hits)
            self.cache.note_result(image)
            for reference in options.references:
                self._images.tag(str(image), reference)
            tell(Built(image=image, names=tuple(reference.familiar for reference in options.references)))
        return image

    def lint(
        self,
        dockerfile: bytes,
        *,
        ignore: bytes = b"",
        arguments: Mapping[str, str | None] | None = None,
        platform: Platform | None = None,
    ) -> Report:
        """What the checks find in *dockerfile*, without building it; nothing is pulled.

        *ignore* is the content of .dockerignore: `InvalidParameter` for patterns in it that are none.
        """
        return lint(dockerfile, surroundings(self._images, ignore=ignore, arguments=arguments, platform=platform))

    def _warnings(
        self, dockerfile: Dockerfile, plan: Plan, context: Context, options: BuildOptions
    ) -> tuple[Warned, ...]:
        """What the checks find in the stages of *plan*; `InvalidParameter` where the file calls that an error."""
        report = lint_parsed(
            dockerfile,
            surroundings(
                self._images,
                ignore=context.ignore,
                arguments=options.arguments,
                platform=options.platform,
                stages=frozenset(each.stage.index for each in plan.stages),
            ),
        )
        if report.violation:
            raise InvalidParameter("; ".join((report.violation, *map(str, report.findings))))
        return tuple(
            Warned(
                text=f"[Warning] {finding}",
                rule=finding.rule.name,
                line=finding.span.start,
                detail=finding.rule.explanation,
                url=finding.rule.url,
            )
            for finding in report.findings
        )

    def cancel(self, build_id: str) -> None:
        """Stop the build that was given that id; `NotFound` when none runs."""
        with self._lock:
            event = self._running.get(build_id)
        if event is None:
            raise NotFound(f"no such build: {build_id[:100]}")
        event.set()

    def kept(self) -> Sequence[Kept]:
        """What builds have left to be used again, the last used first."""
        return self._pruning.kept()

    def prune(self, *, all: bool = False, filters: Filters | None = None, keep: int = 0) -> Pruned:  # noqa: A002
        """Remove what builds have left; see `Pruning.prune`."""
        return self._pruning.prune(every=all, filters=filters or {}, keep=keep)

    def close(self) -> None:
        """Stop every build."""
        with self._lock:
            for event in self._running.values():
                event.set()

    @contextmanager
    def _known(self, build_id: str, cancel: threading.Event) -> Iterator[None]:
        """While the block runs, the build can be cancelled by its id."""
        name = build_id or new_id()
        with self._lock:
            if name in self._running:
                raise InvalidParameter(f"a build with the id {name[:100]} is running: choose another id")
            self._running[name] = cancel
        try:
            yield
        finally:
            with self._lock:
                del self._running[name]

    def _document(self, image: Digest) -> Mapping[str, Any]:
        document: dict[str, Any] = json.loads(self._images.raw_config(image))
        return document

    def _sources(self, options: BuildOptions, bases: Bases) -> CacheSources:
        found = [image for name in options.cache_from if (image := bases.find(name)) is not None]
        return CacheSources(images=found, asked=bool(options.cache_from))


def _epoch(arguments: Mapping[str, str | None]) -> int | None:
    text = arguments.get("SOURCE_DATE_EPOCH")
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 11:
        raise InvalidParameter(f"SOURCE_DATE_EPOCH={text[:40]!r}: expected seconds since 1970")
    return int(text) * SECOND
