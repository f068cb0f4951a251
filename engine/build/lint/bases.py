"""Checks of FROM: its arguments, its platform, its image."""

from __future__ import annotations

from collections.abc import Mapping

from engine.build.dockerfile.errors import Mistake
from engine.build.dockerfile.model import Dockerfile, From
from engine.build.dockerfile.scope import GlobalScope
from engine.build.dockerfile.substitution import Substitution
from engine.build.lint import fixes, rules
from engine.build.lint.model import BaseImage
from engine.build.lint.notes import Notes
from engine.errors import InvalidParameter
from engine.registry.platforms import normalised, parse_platform
from engine.registry.reference import Reference
from engine.types import Platform


def check(base: From, scope: GlobalScope, notes: Notes) -> None:
    """Checks that need nothing but the file; `Mistake` for a substitution that can not be read."""
    image = scope.substitution()
    image.word(base.image)
    _undeclared(base, image, scope, notes)
    if base.platform:
        platform = scope.substitution()
        value = platform.word(base.platform)
        _undeclared(base, platform, scope, notes)
        _redundant(base, platform, value, scope, notes)
        _constant(base, platform, value, notes)


def check_defaults(dockerfile: Dockerfile, platform: Mapping[str, str], notes: Notes) -> None:
    """Whether the file names base images without any build argument."""
    try:
        scope = GlobalScope.of(dockerfile, platform=platform, given={})
        names = [scope.substitution().word(stage.base.image) for stage in dockerfile.stages]
    except Mistake:
        return  # An argument that has to be given: nothing is wrong where it is.
    for stage, name in zip(dockerfile.stages, names, strict=True):
        try:
            Reference.parse(name)
        except InvalidParameter:
            message = f"Default value for ARG {stage.base.image} results in empty or invalid base image name"
            notes.add(rules.INVALID_DEFAULT_ARG_IN_FROM, stage.base, message, token=stage.base.image)


def check_platform(base: From, name: str, image: BaseImage, wanted: Platform, notes: Notes) -> None:
    """Whether the base image that is here is for the platform that is built for."""
    if image.platform is None:
        return
    wanted, found = normalised(wanted), normalised(image.platform)
    if (wanted.os, wanted.architecture) != (found.os, found.architecture):
        message = f'Base image {name} was pulled with platform "{found}", expected "{wanted}" for current build'
        notes.add(rules.INVALID_BASE_IMAGE_PLATFORM, base, message, token=base.image)


def _undeclared(base: From, asked: Substitution, scope: GlobalScope, notes: Notes) -> None:
    for name in asked.unmatched:
        if name in scope.declared:
            continue
        meant = notes.suggestion(name, sorted(scope.declared))
        message = f"FROM argument '{name}' is not declared" + (f" (did you mean {meant}?)" if meant else "")
        fix = fixes.replaced(notes.lines, base.span, name, meant) if meant else None
        notes.add(rules.UNDEFINED_ARG_IN_FROM, base, message, token=f"${name}", fix=fix)


def _redundant(base: From, asked: Substitution, value: str, scope: GlobalScope, notes: Notes) -> None:
    if asked.matched == {"TARGETPLATFORM"} and not asked.unmatched and value == scope.values["TARGETPLATFORM"]:
        message = f"Setting platform to predefined {base.platform} in FROM is redundant as this is the default behavior"
        flag = f"--platform={base.platform}"
        fix = fixes.replaced(notes.lines, base.span, f"{flag} ", "", title=f"Remove {flag}")
        notes.add(rules.REDUNDANT_TARGET_PLATFORM, base, message, token=flag, fix=fix)


def _constant(base: From, asked: Substitution, value: str, notes: Notes) -> None:
    if asked.matched or asked.unmatched:
        return
    try:
        platform = parse_platform(value)
    except InvalidParameter:
        return
    if platform is None or platform.os in base.stage or platform.architecture in base.stage:
        return
    message = f'FROM --platform flag should not use constant value "{value}"'
    notes.add(rules.FROM_PLATFORM_FLAG_CONST_DISALLOWED, base, message, token=f"--platform={base.platform}")
