"""Checks of how a Dockerfile is written: cases of letters, names of stages, comments, empty lines."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from engine.build.dockerfile.model import Arg, Dockerfile, From, Instruction, Maintainer, Span
from engine.build.lint import fixes, rules
from engine.build.lint.notes import Notes

_RESERVED = ("context", "scratch")


def check(dockerfile: Dockerfile, notes: Notes) -> None:
    _empty_lines(dockerfile, notes)
    for given in _all(dockerfile):
        match given:
            case Maintainer():
                message = "Maintainer instruction is deprecated in favor of using label"
                fix = fixes.author_label(dockerfile.lines, given)
                notes.add(rules.MAINTAINER_DEPRECATED, given, message, token=given.keyword, fix=fix)
            case From():
                _base(given, notes)
                _description(given, (given.stage,) if given.stage else (), notes)
            case Arg():
                _description(given, tuple(argument.name for argument in given.arguments), notes)
    _stage_names(dockerfile, notes)
    _casing(dockerfile, notes)


def _all(dockerfile: Dockerfile) -> Iterator[Instruction]:
    return chain(dockerfile.arguments, *((stage.base, *stage.instructions) for stage in dockerfile.stages))


def _empty_lines(dockerfile: Dockerfile, notes: Notes) -> None:
    for span in dockerfile.empty_continuations:
        empty = [number for number in range(span.start, span.end + 1) if not dockerfile.lines[number - 1].strip()]
        fix = fixes.removed([Span(number, number) for number in empty], title="Remove the empty lines")
        notes.add_line(rules.NO_EMPTY_CONTINUATION, empty[0], "Empty continuation line", fix=fix)


def _base(given: From, notes: Notes) -> None:
    name = given.written_stage
    if name != name.lower():
        notes.add(
            rules.STAGE_NAME_CASING, given, f"Stage name '{name}' should be lowercase", token=name,
            fix=fixes.replaced(notes.lines, given.span, name, name.lower()),
        )  # fmt: skip
    # A FROM of mixed letters is told of by another check.
    wanted = given.as_keyword
    if given.keyword == given.keyword.lower():
        wanted = given.as_keyword.lower()
    elif given.keyword == given.keyword.upper():
        wanted = given.as_keyword.upper()
    if given.as_keyword != wanted:
        message = f"'{given.as_keyword}' and '{given.keyword}' keywords' casing do not match"
        fix = fixes.replaced(notes.lines, given.span, given.as_keyword, wanted)
        notes.add(rules.FROM_AS_CASING, given, message, token=f" {given.as_keyword} ", fix=fix)


def _description(given: Instruction, names: tuple[str, ...], notes: Notes) -> None:
    if not names or not given.comments or given.comments[-1].split(" ")[0] in names:
        return
    shown = names[0] if len(names) == 1 else "<arg_key>"
    message = f"Comment for {given.name} should follow the format: `# {shown} <description>`"
    notes.add(rules.INVALID_DEFINITION_DESCRIPTION, given, message, fix=fixes.line_before(given.span))


def _stage_names(dockerfile: Dockerfile, notes: Notes) -> None:
    seen: set[str] = set()
    for stage in dockerfile.stages:
        name, base = stage.name, stage.base
        if name in _RESERVED:
            message = f'Stage name should not use the same name as reserved stage "{name}"'
            notes.add(rules.RESERVED_STAGE_NAME, base, message, token=base.written_stage)
        if name and name in seen:
            message = f'Duplicate stage name "{name}", stage names should be unique'
            notes.add(rules.DUPLICATE_STAGE_NAME, base, message, token=base.written_stage)
        seen.add(name)


def _casing(dockerfile: Dockerfile, notes: Notes) -> None:
    """All as most are; capitals where there are as many of both."""
    given = [each for stage in dockerfile.stages for each in (stage.base, *stage.instructions)]
    lower = sum(each.keyword == each.keyword.lower() for each in given)
    upper = sum(each.keyword == each.keyword.upper() for each in given)
    for each in given:
        wanted = each.keyword.lower() if lower > upper else each.keyword.upper()
        if each.keyword != wanted:
            casing = "lowercase" if lower > upper else "uppercase"
            message = f"Command '{each.keyword}' should match the case of the command majority ({casing})"
            fix = fixes.keyword(notes.lines, each, wanted)
            notes.add(rules.CONSISTENT_INSTRUCTION_CASING, each, message, token=each.keyword, fix=fix)
