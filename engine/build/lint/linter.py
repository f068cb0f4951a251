"""All checks of a Dockerfile, made without building it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from engine.build.dockerfile.errors import DockerfileError, Mistake
from engine.build.dockerfile.ignore import IgnoreMatcher
from engine.build.dockerfile.model import Dockerfile, Instruction, Span, Stage
from engine.build.dockerfile.parser import parse_beginning
from engine.build.dockerfile.scope import GlobalScope, StageScope, predefined
from engine.build.graph import origins, stage_of
from engine.build.lint import bases, layout
from engine.build.lint.model import BaseImage, Report
from engine.build.lint.notes import Notes
from engine.build.lint.settings import ARGUMENT, Settings
from engine.build.lint.stages import StageCheck
from engine.errors import InvalidParameter
from engine.registry.platforms import native_platform, parse_platform
from engine.types import Platform

_SCRATCH = "scratch"


def _nothing(_name: str) -> BaseImage | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a Dockerfile is checked for."""

    ignore: IgnoreMatcher | None = None
    """What .dockerignore leaves out of the context."""
    given: Mapping[str, str] = field(default_factory=dict)
    """Build arguments."""
    platform: Platform = field(default_factory=native_platform)
    """What is built for."""
    image: Callable[[str], BaseImage | None] = _nothing
    """What is known of a base image; `None` for one that is not here. Nothing is pulled for a check."""
    stages: frozenset[int] | None = None
    """The stages whose instructions are followed, with all that they are based on; `None` for all."""


def lint(data: bytes, surroundings: Surroundings | None = None) -> Report:
    """What the checks find in the Dockerfile *data*, and why it can not be built, if it can not.

    Of one that can not be parsed to its end, what stands before the mistake is checked.
    """
    try:
        dockerfile, wrong = parse_beginning(data)
    except DockerfileError as error:
        return Report(error=error)
    report = lint_parsed(dockerfile, surroundings)
    return replace(report, error=wrong) if wrong else report


def lint_parsed(dockerfile: Dockerfile, surroundings: Surroundings | None = None) -> Report:
    """The same for one that is parsed already; `InvalidParameter` for a build argument that asks for no check."""
    surroundings = surroundings or Surroundings()
    try:
        settings = _settings(dockerfile, surroundings)
    except Mistake as mistake:
        line = dockerfile.directives.check_line
        return Report(error=DockerfileError.of(mistake, Span(line, line), dockerfile.lines))
    notes = Notes(dockerfile.lines, settings)
    error = _Check(dockerfile, surroundings, notes).run()
    return Report(findings=notes.sorted(), error=error, findings_fail=settings.error)


def _settings(dockerfile: Dockerfile, surroundings: Surroundings) -> Settings:
    """Which checks are wanted: a build argument takes the place of what the file says, as in BuildKit."""
    asked = surroundings.given.get(ARGUMENT)
    if asked is None:
        return Settings.parse(dockerfile.directives.check)
    try:
        return Settings.parse(asked)
    except Mistake as mistake:
        raise InvalidParameter(f"the build argument {ARGUMENT}: {mistake}") from mistake


class _Check:
    def __init__(self, dockerfile: Dockerfile, surroundings: Surroundings, notes: Notes) -> None:
        self._dockerfile = dockerfile
        self._surroundings = surroundings
        self._notes = notes
        self._checks: dict[str, StageCheck] = {}
        """Of the stages that have a name."""
        self._span = Span(1, 1)
        """What is being looked at, for an error's place."""

    def run(self) -> DockerfileError | None:
        """Make all checks; the error at which they had to stop, if any."""
        layout.check(self._dockerfile, self._notes)
        given = self._surroundings.given
        platform = predefined(build=native_platform(), target=self._surroundings.platform, given=given)
        bases.check_defaults(self._dockerfile, platform, self._notes)
        if arguments := self._dockerfile.arguments:
            self._span = Span(arguments[0].span.start, arguments[-1].span.end)
        try:
            scope = GlobalScope.of(self._dockerfile, platform=platform, given=given)
            for stage in self._dockerfile.stages:
                if self._surroundings.stages is None or stage.index in self._surroundings.stages:
                    self._stage(stage, scope)
        except Mistake as mistake:
            return DockerfileError.of(mistake, self._span, self._dockerfile.lines)
        return None

    def _stage(self, stage: Stage, scope: GlobalScope) -> None:
        self._span = stage.base.span
        bases.check(stage.base, scope, self._notes)
        name = scope.image(stage.base)
        parent = self._checks.get(name.lower())
        check = parent.child() if parent else self._base(stage, name, scope)
        for instruction in stage.instructions:
            self._span = instruction.span
            self._origins(stage, instruction)
            check.check(instruction)
        if stage.name:
            self._checks[stage.name] = check

    def _origins(self, stage: Stage, given: Instruction) -> None:
        """Whether the stages that *given* takes files from come before."""
        for name in origins([given]):
            try:
                stage_of(self._dockerfile.stages, name, below=stage.index)
            except InvalidParameter as error:
                raise Mistake(str(error), token=f"from={name}") from error

    def _base(self, stage: Stage, name: str, scope: GlobalScope) -> StageCheck:
        """The checks of a stage that begins with an image."""
        try:
            platform = parse_platform(scope.platform(stage.base)) or self._surroundings.platform
        except InvalidParameter as error:
            raise Mistake(str(error), token=stage.base.platform) from error
        image = BaseImage() if name == _SCRATCH else self._surroundings.image(name)
        if image is not None:
            bases.check_platform(stage.base, name, image, platform, self._notes)
        return StageCheck(
            StageScope(scope, image.environment if image else ()),
            self._notes,
            ignore=self._surroundings.ignore,
            escape=self._dockerfile.directives.escape,
            known=image is not None,
            shell=bool(image and image.shell),
        )
