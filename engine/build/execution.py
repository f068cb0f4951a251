"""One build: its plan, its stages on threads, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from engine.build.cachefrom import CacheSources
from engine.build.dockerfile.errors import DockerfileError, Mistake
from engine.build.dockerfile.model import Arg, Dockerfile, Instruction, Label, Pair, Span
from engine.build.dockerfile.scope import PROXIES, GlobalScope, StageScope, predefined
from engine.build.graph import Plan, plan
from engine.build.lint import settings
from engine.build.options import BuildOptions
from engine.build.progress import Done, Started, Warned
from engine.build.stage import StageRun
from engine.build.tips import Tip
from engine.build.workplace import Workplace
from engine.errors import InvalidParameter
from engine.registry.platforms import native_platform
from engine.types import Digest

AT_ONCE: Final = 8
"""Stages of one build that run at the same time."""
_OF_THE_BUILD: Final = frozenset({"SOURCE_DATE_EPOCH", settings.ARGUMENT})
"""Arguments that mean something whether or not a Dockerfile declares them."""


def prepared(dockerfile: Dockerfile, options: BuildOptions) -> tuple[Plan, GlobalScope, tuple[Instruction, ...]]:
    """What is to be done; `InvalidParameter` for a Dockerfile that cannot be built whatever its steps give."""
    given = {name: value for name, value in options.arguments.items() if value is not None}
    target = options.platform or native_platform()
    values = predefined(build=native_platform(), target=target, stage=options.target or "default", given=given)
    try:
        scope = GlobalScope.of(dockerfile, platform=values, given=given)
    except Mistake as mistake:
        span = Span(dockerfile.arguments[0].span.start, dockerfile.arguments[-1].span.end)
        raise DockerfileError.of(mistake, span, dockerfile.lines) from mistake
    last = (_labels(options.labels),) if options.labels else ()
    return plan(dockerfile, scope, target=options.target, last=last), scope, last


class Execution:
    """Carries out a *plan* at a workplace."""

    def __init__(
        self,
        dockerfile: Dockerfile,
        work: Workplace,
        *,
        plan: Plan,
        scope: GlobalScope,
        last: tuple[Instruction, ...],
        cache: CacheSources,
    ) -> None:
        self._dockerfile = dockerfile
        self._work = work
        self._plan = plan
        self._scope = scope
        self._last = last
        self._cache = cache

    def run(self) -> Digest:
        """The image of the target. The first error of any stage ends all others, and is raised."""
        work = self._work
        for number in range(1, len(self._dockerfile.arguments) + 1):
            work.tell(Started(step=number))
            work.tell(Done(step=number, image=None))
        tips: dict[int, Future[tuple[Tip, StageScope]]] = {}
        with ThreadPoolExecutor(min(AT_ONCE, len(self._plan.stages)), thread_name_prefix="build") as pool:
            # In the order of the file: a stage waits only for such as have a thread already.
            for planned in self._plan.stages:
                tips[planned.stage.index] = pool.submit(self._stage, planned.stage.index, tips)
        if work.stop.failure is not None:
            raise work.stop.failure
        tip, _ = tips[self._plan.target].result()
        image = tip.sealed.result().image
        if image is None:
            raise InvalidParameter("No image was generated. Is your Dockerfile empty?")
        self._warn_of_unused()
        return image

    def _stage(self, index: int, tips: Mapping[int, Future[tuple[Tip, StageScope]]]) -> tuple[Tip, StageScope]:
        planned = next(each for each in self._plan.stages if each.stage.index == index)
        try:
            return StageRun(
                planned,
                self._work,
                scope=self._scope,
                tips=tips,
                last=self._last if index == self._plan.target else (),
                platform=self._work.options.platform or native_platform(),
                cache=self._cache,
            ).run()
        except BaseException as error:
            self._work.stop.failed(error)
            raise

    def _warn_of_unused(self) -> None:
        known = {argument.name for arg in self._dockerfile.arguments for argument in arg.arguments} | PROXIES
        for stage in self._dockerfile.stages:
            for instruction in stage.instructions:
                if isinstance(instruction, Arg):
                    known |= {argument.name for argument in instruction.arguments}
        unused = sorted(set(self._work.options.arguments) - known - _OF_THE_BUILD)
        if unused:
            self._work.tell(Warned(text=f"[Warning] One or more build-args [{' '.join(unused)}] were not consumed"))


def _labels(labels: Mapping[str, str]) -> Label:
    """The step that sets *labels*. Nothing in them is a variable or a quote: single quotes say so."""
    pairs = tuple(Pair(_quoted(name), _quoted(value)) for name, value in sorted(labels.items()))
    told = " ".join(f"{name}={value}" for name, value in sorted(labels.items()))
    return Label(span=Span(0, 0), keyword="LABEL", source=f"LABEL {told}", pairs=pairs)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\"'\"'") + "'"
