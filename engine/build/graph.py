"""The stages of a Dockerfile as a graph: which of them a build needs, and who waits for whom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from engine.build.dockerfile.errors import DockerfileError, Mistake
from engine.build.dockerfile.model import Copy, Dockerfile, Instruction, Run, Stage
from engine.build.dockerfile.mounts import mount_origin
from engine.build.dockerfile.scope import GlobalScope
from engine.build.dockerfile.words import did_you_mean
from engine.build.progress import Step
from engine.errors import InvalidParameter

SCRATCH = "scratch"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStage:
    """A stage that is needed."""

    stage: Stage
    image: str = ""
    """What it begins with: an image's name or `scratch`; empty where that is another stage."""
    base: int | None = None
    """The stage that it begins with."""
    platform: str = ""
    needs: frozenset[int] = frozenset()
    """Stages that must be done before it ends: its base, and those that it takes files from."""
    number: int = 0
    """Of its first step, its FROM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What will be done."""

    stages: tuple[PlannedStage, ...]
    """Those that are needed, in the order of the file."""
    target: int
    steps: tuple[Step, ...] = field(default=())


def plan(dockerfile: Dockerfile, scope: GlobalScope, *, target: str, last: Sequence[Instruction] = ()) -> Plan:
    """What *target* (a stage's name or number, "" for the last one) needs; *last* are further steps at its end.

    `InvalidParameter` for a target that is not there, `DockerfileError` for stages that need themselves.
    """
    stages = dockerfile.stages
    wanted = _target(stages, target)
    needs: dict[int, frozenset[int]] = {}
    bases: dict[int, tuple[str, int | None, str]] = {}
    waiting = [wanted]
    while waiting:
        index = waiting.pop()
        if index in needs:
            continue
        bases[index] = _base(dockerfile, stages[index], scope)
        found = {bases[index][1]} - {None}
        for instruction in stages[index].instructions:
            found |= _origins(dockerfile, instruction, below=index)
        needs[index] = frozenset(each for each in found if each is not None)
        waiting += needs[index]
    planned = []
    number = len(dockerfile.arguments) + 1
    for index in sorted(needs):
        image, base, platform = bases[index]
        planned.append(
            PlannedStage(
                stage=stages[index], image=image, base=base, platform=platform, needs=needs[index], number=number
            )
        )
        number += 1 + len(stages[index].instructions) + (len(last) if index == wanted else 0)
    return Plan(stages=tuple(planned), target=wanted, steps=tuple(_steps(dockerfile, planned, wanted, last)))


def stage_of(stages: Sequence[Stage], name: str, *, below: int) -> int | None:
    """The stage that *name* means in the stage of number *below*; `None` when it is an image.

    `InvalidParameter` for the stage itself and for later ones: there is no way out of such a circle.
    """
    if name.isdecimal() and int(name) < len(stages):
        found: int | None = int(name)
    else:
        found = next((stage.index for stage in reversed(stages[:below]) if stage.name == name.lower()), None)
        if found is None:
            found = next((stage.index for stage in stages[below:] if stage.name == name.lower()), None)
    if found is not None and found >= below:
        reason = "itself" if found == below else "a stage that comes later"
        raise InvalidParameter(
            f"invalid from flag value {name}: circular dependency: stage {stages[below].title} takes files from "
            f"{reason}; only stages above it can be used"
        )
    return found


def _target(stages: Sequence[Stage], target: str) -> int:
    if not target:
        return len(stages) - 1
    for stage in stages:
        if stage.name == target.lower():
            return stage.index
    if target.isdecimal() and int(target) < len(stages):
        return int(target)
    names = [stage.name for stage in stages if stage.name]
    raise InvalidParameter(did_you_mean(f"failed to reach build target {target[:100]} in Dockerfile", target, names))


def _base(dockerfile: Dockerfile, stage: Stage, scope: GlobalScope) -> tuple[str, int | None, str]:
    """The image, the stage and the platform that a FROM names."""
    try:
        name, platform = scope.image(stage.base), scope.platform(stage.base)
    except Mistake as mistake:
        raise DockerfileError.of(mistake, stage.base.span, dockerfile.lines) from mistake
    for other in reversed(dockerfile.stages[: stage.index]):
        if other.name and other.name == name.lower():
            return "", other.index, platform
    return name, None, platform


def _origins(dockerfile: Dockerfile, instruction: Instruction, *, below: int) -> set[int | None]:
    """The stages that *instruction*, in the stage of number *below*, takes files from; `None` among them for images."""
    found = set()
    for name in origins((instruction,)):
        try:
            found.add(stage_of(dockerfile.stages, name, below=below))
        except InvalidParameter as error:
            mistake = Mistake(str(error), token=f"from={name}")
            raise DockerfileError.of(mistake, instruction.span, dockerfile.lines) from error
    return found


def origins(instructions: Iterable[Instruction]) -> Iterable[str]:
    """The names of stages and images that *instructions* take files from."""
    for instruction in instructions:
        if isinstance(instruction, Copy) and instruction.from_:
            yield instruction.from_
        elif isinstance(instruction, Run):
            yield from filter(None, map(mount_origin, instruction.mounts))


def _steps(
    dockerfile: Dockerfile, planned: Sequence[PlannedStage], target: int, last: Sequence[Instruction]
) -> Iterable[Step]:
    """Every step with those that it waits for."""
    for number, argument in enumerate(dockerfile.arguments, 1):
        yield _step(number, argument)
    ends: dict[int, int] = {}
    for each in planned:
        stage = each.stage
        needs = () if each.base is None else (ends[each.base],)
        number = each.number
        yield _step(number, stage.base, stage, needs)
        for instruction in (*stage.instructions, *(last if stage.index == target else ())):
            number += 1
            others = {
                ends[other]
                for name in origins([instruction])
                if (other := stage_of(dockerfile.stages, name, below=stage.index)) is not None
            }
            yield _step(number, instruction, stage, (number - 1, *sorted(others)))
        ends[stage.index] = number


def _step(number: int, instruction: Instruction, stage: Stage | None = None, needs: tuple[int, ...] = ()) -> Step:
    return Step(
        number=number,
        stage=-1 if stage is None else stage.index,
        title="" if stage is None else stage.title,
        text=instruction.source,
        instruction=instruction.name,
        line=instruction.span.start,
        end_line=instruction.span.end,
        needs=needs,
    )
