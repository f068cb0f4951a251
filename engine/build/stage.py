"""One stage, from its FROM to its last instruction: each step is taken from the cache, or done."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import ExitStack, contextmanager

from engine.build import commands, configuring, copying, remote, runmounts, words
from engine.build.cache import Inputs
from engine.build.cachefrom import CacheSources
from engine.build.dockerfile.errors import DockerfileError, Mistake
from engine.build.dockerfile.model import Add, Arg, Cmd, Copy, Env, Instruction, Run, Transfer, Workdir
from engine.build.dockerfile.mounts import MountKind, RunMount
from engine.build.dockerfile.parser import parse_line
from engine.build.dockerfile.scope import PROXIES, GlobalScope, StageScope
from engine.build.errors import CommandFailed
from engine.build.graph import SCRATCH, PlannedStage, origins, stage_of
from engine.build.guard import DiskGuard
from engine.build.ignoring import exclusion
from engine.build.placing import Manner, Placer
from engine.build.progress import Cached, Done, Failed, Missed, Note, Output, Removed, Running, Started, Stream
from engine.build.running import Command
from engine.build.tips import Sealed, Tip
from engine.build.trees import Missing, Tree
from engine.build.workplace import Mounted, Workplace
from engine.errors import Cancelled, EngineError, EngineFault, InvalidParameter, NotFound, StorageFull
from engine.kernel import paths
from engine.kernel.trees import remove_tree
from engine.snapshots.adoption import AdoptedLayer
from engine.snapshots.helper import FULL
from engine.types import Digest, Platform, new_id


class StageRun:
    """Runs one stage on a thread of its own."""

    def __init__(
        self,
        planned: PlannedStage,
        work: Workplace,
        *,
        scope: GlobalScope,
        tips: Mapping[int, Future[tuple[Tip, StageScope]]],
        last: tuple[Instruction, ...],
        platform: Platform,
        cache: CacheSources,
    ) -> None:
        """*tips* are the other stages' ends; *last* are instructions after those of the file."""
        self._planned = planned
        self._work = work
        self._global = scope
        self._tips = tips
        self._last = last
        self._platform = platform
        self._cache = cache
        self._command_set = False
        self._number = planned.number

    def run(self) -> tuple[Tip, StageScope]:
        """The stage's end. Any error has been told of."""
        instructions = (*self._planned.stage.instructions, *self._last)
        self._wait_for(() if self._planned.base is None else (self._planned.base,))
        with self._step(self._number):
            tip, scope = self._begin()
        self._finished(self._number, tip, last=not instructions)
        for instruction in instructions:
            self._number += 1
            self._wait_for(self._needed(instruction))
            with self._step(self._number):
                try:
                    tip = self._dispatch(tip, scope, instruction)
                except Mistake as mistake:
                    raise DockerfileError.of(mistake, instruction.span, self._work.lines) from mistake
            self._finished(self._number, tip, last=self._number == self._planned.number + len(instructions))
        return tip, scope

    def _needed(self, instruction: Instruction) -> Iterator[int]:
        """The stages that *instruction* takes files from."""
        for name in origins((instruction,)):
            index = stage_of(self._work.stages, name, below=self._planned.stage.index)
            if index is not None:
                yield index

    def _wait_for(self, stages: Iterable[int]) -> None:
        """Wait until *stages* have ended: a step that waits has not begun."""
        wait([self._tips[index] for index in stages if index in self._tips])

    def _begin(self) -> tuple[Tip, StageScope]:
        planned = self._planned
        if planned.base is not None:
            tip, above = self._end_of(planned.base)
            scope = above.child()
        else:
            if planned.image == SCRATCH:
                tip = Tip.of_scratch(self._platform)
            else:
                image = self._work.bases.get(planned.image, platform=planned.platform, step=self._number)
                tip = self._tip_of(image.id)
            scope = StageScope(self._global, tip.env)
        triggers = [str(text) for text in tip.config.get("OnBuild") or ()]
        if triggers:
            tip = tip.configured({"OnBuild": None})
            noun = "trigger" if len(triggers) == 1 else "triggers"
            self._work.tell(Note(step=self._number, text=f"# Executing {len(triggers)} build {noun}"))
            for text in triggers:
                try:
                    tip = self._dispatch(tip, scope, parse_line(text))
                except Mistake as mistake:
                    raise InvalidParameter(f"ONBUILD {text[:200]}: {mistake}") from mistake
        return tip, scope

    def _tip_of(self, image: Digest, *, key: str = "") -> Tip:
        return Tip.of_image(image, self._work.machinery.document(image), key=key)

    def _dispatch(self, tip: Tip, scope: StageScope, instruction: Instruction) -> Tip:
        """The tip after *instruction*; `Mistake` for words in it that cannot be read."""
        self._work.stop.check()
        asked = scope.substitution()
        given = asked.instruction(instruction)
        if isinstance(given, Env):
            scope.set_environment(given)
        elif isinstance(given, Arg):
            scope.declare(given)
        if isinstance(given, Run):
            return self._run(tip, scope, given, asked.mounts(given))
        if isinstance(given, Transfer):
            return self._transfer(tip, given)
        changed, history = configuring.configured(tip, given, keeps_command=self._command_set)
        self._command_set = self._command_set or isinstance(given, Cmd)
        if isinstance(given, Workdir):
            return self._working_dir(tip, changed, given)
        inputs = Inputs(instruction=given.source, parts=(given.name, history))
        return self._taken(tip, changed, inputs, history) or self._sealed(tip, changed, inputs, history)

    # --- the cache

    def _taken(self, tip: Tip, changed: Tip, inputs: Inputs, history: str) -> Tip | None:
        """The tip that is there already for a step with *inputs*, which makes *changed* of *tip*'s config."""
        work, stores = self._work, self._work.machinery.stores
        if work.options.no_cache:
            work.tell(Missed(step=self._number, reason="the cache is switched off"))
            return None
        if self._cache.asked:
            return self._taken_from(tip, changed, inputs, history)
        key = inputs.key(tip.key)
        image = stores.cache.find(key)
        if image is None or not self._kept(image):
            miss = stores.cache.explain(tip.key, inputs)
            work.tell(Missed(step=self._number, reason=miss.reason, changed=miss.changed))
            return None
        work.hits.append(key)
        work.tell(Cached(step=self._number))
        return self._tip_of(image, key=key)

    def _kept(self, image: Digest) -> bool:
        """Hold an image of the cache; false when it has gone in between."""
        try:
            document = self._work.machinery.document(image)
        except NotFound:
            return False
        return self._work.bases.keep(image, document)

    def _taken_from(self, tip: Tip, changed: Tip, inputs: Inputs, history: str) -> Tip | None:
        """The same, from the images that the build may take steps from."""
        told = [str(line.get("created_by", "")) for line in tip.history]
        found = self._cache.find(told, tip.sealed.result().layers, history)
        if found is None:
            self._work.tell(Missed(step=self._number, reason="no image to take steps from has it"))
            return None
        self._work.tell(Cached(step=self._number))
        return self._work.sealer.seal(
            tip, changed, layer=found.layer, inputs=inputs, created_by=history, created=found.created
        )

    def _sealed(self, tip: Tip, changed: Tip, inputs: Inputs, history: str, layer: AdoptedLayer | None = None) -> Tip:
        return self._work.sealer.seal(tip, changed, layer=layer, inputs=inputs, created_by=history)

    # --- instructions that change files

    def _working_dir(self, tip: Tip, changed: Tip, given: Workdir) -> Tip:
        path = configuring.working_dir(tip, given)
        history = words.files_comment(tip.shell, f"WORKDIR {path}")
        inputs = Inputs(instruction=given.source, parts=(given.name, path))
        taken = self._taken(tip, changed, inputs, history)
        if taken is not None:
            return taken

        def write(mounted: Mounted) -> None:
            with paths.opened_root(mounted.merged) as root:
                os.close(Placer(root, Manner(owner=_owner(root, tip.user))).make_directory(path))

        return self._sealed(tip, changed, inputs, history, self._work.written(tip, write))

    def _transfer(self, tip: Tip, given: Transfer) -> Tip:
        work = self._work
        outside = isinstance(given, Copy) and bool(given.from_)
        excluded = exclusion(given.exclude)
        tree = self._origin(given.from_ if isinstance(given, Copy) else "")
        here = [source for source in given.sources if not isinstance(given, Add) or not remote.is_remote(source)]
        loads = [
            *copying.from_tree(given, tree, here, outside=outside),
            *self._fetched(given),
            *self._documents(given),
        ]
        cargo = copying.cargo(
            given, loads, keep_owners=outside and not given.chown, excluded=excluded, check=work.stop.check
        )
        history = words.files_comment(tip.shell, cargo.label)
        inputs = Inputs(
            instruction=given.source,
            parts=(given.name, given.destination, given.chown, given.chmod, str(given.link), *given.exclude),
            files=cargo.files,
            content=cargo.digest,
        )
        taken = self._taken(tip, tip, inputs, history)
        if taken is not None:
            return taken

        def write(mounted: Mounted) -> None:
            with ExitStack() as stack:
                names = stack.enter_context(paths.opened_root(mounted.merged))
                if given.link and given.chown:
                    names = work.tree_of(tip).descriptor
                copying.unload(
                    cargo,
                    rootfs=mounted.merged,
                    working_dir=tip.working_dir,
                    limits=work.machinery.limits,
                    names=names,
                    check=work.stop.check,
                )

        return self._sealed(tip, tip, inputs, history, work.written(None if given.link else tip, write))

    def _fetched(self, given: Transfer) -> Iterator[copying.Load]:
        """What ADD takes from elsewhere."""
        work = self._work
        if not isinstance(given, Add):
            return
        for source in filter(remote.is_remote, given.sources):
            yield remote.fetched(given, source, tree_in=work.directory_tree, means=work.means)

    def _documents(self, given: Transfer) -> list[copying.Load]:
        """The files whose content stands in the Dockerfile."""
        if not given.contents:
            return []
        directory = self._work.scratch.directory("documents")
        for number, document in enumerate(given.contents):
            place = directory / str(number)
            place.write_text(document.text, encoding="utf-8", errors="surrogateescape")
            place.chmod(0o644)
        tree = self._work.directory_tree(directory)
        return [
            copying.renamed(load, posixpath.basename(document.name))
            for load, document in zip(
                copying.literal(tree, map(str, range(len(given.contents)))), given.contents, strict=True
            )
        ]

    def _origin(self, name: str) -> Tree:
        """The tree that `from` names; the context for an empty name."""
        work = self._work
        if not name:
            return work.context
        index = stage_of(work.stages, name, below=self._planned.stage.index)
        if index is None:
            return work.tree_of(self._tip_of(work.bases.get(name, platform="", step=self._number).id))
        if index not in self._tips:
            raise InvalidParameter(f"invalid from flag value {name}: a trigger cannot name a stage of the Dockerfile")
        tip, _ = self._end_of(index)
        return work.tree_of(tip)

    def _end_of(self, index: int) -> tuple[Tip, StageScope]:
        """The end of another stage; `Cancelled` where that has failed, which is told of there."""
        try:
            return self._tips[index].result()
        except Exception as error:
            raise Cancelled("a stage that this one needs has failed") from error

    # --- RUN

    def _run(self, tip: Tip, scope: StageScope, given: Run, mounts: tuple[RunMount, ...]) -> Tip:
        if given.network == "host" and self._work.options.network != "host":
            # A Dockerfile is a stranger's; whoever asks for the build is not (BuildKit: the entitlement network.host).
            raise InvalidParameter(
                "RUN --network=host is not allowed: give the whole build the host's network (--network=host), or leave "
                "it out"
            )
        arguments = {name: value for name, value in scope.arguments.items() if name not in scope.environment}
        told = {name: value for name, value in arguments.items() if name not in PROXIES or name in scope.declared}
        command = commands.of_run(given, tip.shell)
        history = words.command(command.told, told)
        network = given.network if given.network != "default" else self._work.options.network
        parts = (given.name, *command.told, command.script, network, *map(repr, mounts))
        origins = {mount.target: digest for mount in mounts if (digest := self._mount_digest(mount)) is not None}
        inputs = Inputs(
            instruction=given.source,
            parts=parts,
            arguments=told,
            files=origins,
            content=" ".join(f"{target}={digest}" for target, digest in sorted(origins.items())),
        )
        taken = self._taken(tip, tip, inputs, history)
        if taken is not None:
            return taken
        step = new_id()
        proxies = {name: value for name, value in self._global.proxies.items() if name not in scope.environment}
        env = [*tip.env, *(f"{name}={value}" for name, value in {**proxies, **arguments}.items())]

        def write(mounted: Mounted) -> None:
            code = self._execute(tip, command, mounts, env=env, network=network, step=step, mounted=mounted)
            if code:
                raise CommandFailed(
                    f"The command '{' '.join(command.told)}' returned a non-zero code: {code}", code=code
                )

        self._work.tell(Running(step=self._number, container=step))
        try:
            layer = self._work.written(tip, write, bare=False)
        finally:
            self._work.tell(Removed(step=self._number, container=step))
        return self._sealed(tip, tip, inputs, history, layer)

    def _execute(
        self,
        tip: Tip,
        command: commands.RunCommand,
        mounts: tuple[RunMount, ...],
        *,
        env: list[str],
        network: str,
        step: str,
        mounted: Mounted,
    ) -> int:
        work = self._work
        guard = DiskGuard(mounted.upper, work.machinery.disk)

        def check() -> None:
            work.stop.check()
            guard.check()

        bundle = work.scratch.bundles / step
        bundle.mkdir(mode=0o700)
        with ExitStack() as stack:
            stack.callback(remove_tree, bundle)
            sandbox = stack.enter_context(work.sandboxes.lent(network))
            ready = stack.enter_context(
                runmounts.prepared(
                    mounts,
                    volumes=tip.config.get("Volumes") or (),
                    rootfs=mounted.merged,
                    working_dir=tip.working_dir,
                    origins=self._origin,
                    caches=work.machinery.caches,
                    secrets=work.options.secrets,
                    keys=work.options.keys,
                    scratch=work.scratch,
                    bundle=bundle,
                    note=lambda text: work.tell(Note(step=self._number, text=text)),
                    check=work.stop.check,
                )
            )
            code = work.machinery.runner.run(
                Command(
                    words=command.words,
                    env=_with(env, ready.env),
                    user=tip.user,
                    working_dir=tip.working_dir,
                    hostname="" if work.epoch is None else "build",
                    network=network,
                    tmpfs=ready.tmpfs,
                    mounts=(*ready.mounts, *command.script_mounts(bundle)),
                ),
                step=step,
                rootfs=mounted.merged,
                bundle=bundle,
                host=work.options.host,
                sandbox=sandbox,
                output=self._output,
                check=check,
            )
        guard.measure()
        return code

    def _mount_digest(self, mount: RunMount) -> str | None:
        """What a bind mount shows, for the cache."""
        if mount.kind is not MountKind.BIND:
            return None
        tree = self._origin(mount.from_)
        try:
            [found] = tree.find(mount.source or "/")
        except (Missing, ValueError):
            return ""
        return tree.summary(found, owners=True, excluded=None, check=self._work.stop.check).digest

    def _output(self, stream: Stream, data: bytes) -> None:
        self._work.tell(Output(step=self._number, stream=stream, data=data))

    # --- telling

    @contextmanager
    def _step(self, number: int) -> Iterator[None]:
        self._work.tell(Started(step=number))
        try:
            with _told_as_ours():
                yield
        except EngineError as error:
            if not isinstance(error, Cancelled):
                self._work.tell(Failed(step=number, error=error, code=getattr(error, "code", 0)))
            raise

    def _finished(self, number: int, tip: Tip, *, last: bool) -> None:
        """Tell of the step's image as soon as it has a name."""

        def tell(sealed: Future[Sealed]) -> None:
            if sealed.exception() is None:
                made = sealed.result()
                self._work.tell(Done(step=number, image=made.image, size=made.size, ends_stage=last))

        tip.sealed.add_done_callback(tell)


def _owner(root: int, user: str) -> tuple[int, int]:
    """Whose a working directory becomes: the user's, as in BuildKit; root's where the image has no such user (yet)."""
    if not user:
        return 0, 0
    try:
        return copying.owner_of(root, user)
    except InvalidParameter:
        return 0, 0


def _with(env: list[str], secrets: Mapping[str, str]) -> tuple[str, ...]:
    """*env* (`NAME=value`) with *secrets*, which take the place of what has their name."""
    others = (text for text in env if text.partition("=")[0] not in secrets)
    return (*others, *(f"{name}={value}" for name, value in secrets.items()))


@contextmanager
def _told_as_ours() -> Iterator[None]:
    """Turn what the kernel says of files into errors of the engine."""
    try:
        yield
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
        if error.errno in FULL:
            raise StorageFull(f"no room on the engine's disk: {reason}; free some space and try again") from error
        raise EngineFault(reason) from error
