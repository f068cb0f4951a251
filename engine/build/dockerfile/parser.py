"""From the bytes of a Dockerfile to its stages. Errors are in the words of Docker's builder, where it has some."""

from __future__ import annotations

from engine.build.dockerfile import directives
from engine.build.dockerfile.errors import DockerfileError, Mistake, Place, locate
from engine.build.dockerfile.instructions import announced, parse_instruction
from engine.build.dockerfile.model import Arg, Dockerfile, From, Instruction, Span, Stage
from engine.build.dockerfile.source import MAX_INSTRUCTIONS, Reader, decode


def parse(data: bytes) -> Dockerfile:
    """The Dockerfile that *data* holds; `DockerfileError` for the first thing in it that means nothing."""
    dockerfile, error = parse_beginning(data)
    if error is not None:
        raise error
    return dockerfile


def parse_beginning(data: bytes) -> tuple[Dockerfile, DockerfileError | None]:
    """What stands before the first instruction that means nothing, and what is wrong with that.

    `DockerfileError` where no stage has begun before it.
    """
    lines = decode(data)
    if not any(line.strip() for line in lines):
        raise DockerfileError("the Dockerfile cannot be empty", place=Place(line=1, end_line=1))
    found = directives.read(lines)
    reader = Reader(lines, escape=found.escape, skip=found.count)
    instructions: list[Instruction] = []
    empty: list[Span] = []
    wrong: DockerfileError | None = None
    try:
        while (parsed := _next(reader, lines, found.escape)) is not None:
            instruction, with_empty_lines = parsed
            instructions.append(instruction)
            if with_empty_lines is not None:
                empty.append(with_empty_lines)
            if len(instructions) > MAX_INSTRUCTIONS:
                place = locate(lines, instruction.span, "")
                raise DockerfileError(f"more than {MAX_INSTRUCTIONS} instructions", place=place, lines=lines)
    except DockerfileError as error:
        if not any(isinstance(each, From) for each in instructions):
            raise
        wrong = error
    if not instructions:
        raise DockerfileError("file with no instructions", place=Place(line=1, end_line=len(lines)), lines=lines)
    arguments, stages = _stages(instructions, lines)
    dockerfile = Dockerfile(
        directives=found, arguments=arguments, stages=stages, empty_continuations=tuple(empty), lines=lines
    )
    return dockerfile, wrong


def parse_line(text: str) -> Instruction:
    """The one instruction that *text* is: a trigger of ONBUILD, a change of a commit; `DockerfileError` otherwise."""
    lines = decode(text.encode("utf-8", "replace"))
    reader = Reader(lines)
    parsed = _next(reader, lines, "\\")
    if parsed is None:
        raise DockerfileError("file with no instructions", place=Place(line=1, end_line=1), lines=lines)
    if _next(reader, lines, "\\") is not None:
        place = Place(line=reader.line, end_line=reader.line)
        raise DockerfileError("one instruction is expected here, not several", place=place, lines=lines)
    return parsed[0]


def _next(reader: Reader, lines: tuple[str, ...], escape: str) -> tuple[Instruction, Span | None] | None:
    """The next instruction, and its continued lines where there were empty ones among them."""
    joined = reader.instruction()
    if joined is None:
        return None
    span = joined.span
    try:
        documents = tuple(map(reader.heredoc, announced(joined.text, escape=escape)))
        span = Span(joined.span.start, reader.line)
        instruction = parse_instruction(
            joined.text, span=span, escape=escape, comments=joined.comments, documents=documents
        )
    except Mistake as mistake:
        raise DockerfileError.of(mistake, span, lines) from mistake
    return instruction, joined.span if joined.empty_continuation else None


def _stages(instructions: list[Instruction], lines: tuple[str, ...]) -> tuple[tuple[Arg, ...], tuple[Stage, ...]]:
    """The arguments before the first stage, and the stages."""
    arguments: list[Arg] = []
    bases: list[From] = []
    bodies: list[list[Instruction]] = []
    for instruction in instructions:
        if isinstance(instruction, From):
            bases.append(instruction)
            bodies.append([])
        elif bodies:
            bodies[-1].append(instruction)
        elif isinstance(instruction, Arg):
            arguments.append(instruction)
        else:
            place = locate(lines, instruction.span, instruction.keyword)
            raise DockerfileError(
                f"no build stage in current context: {instruction.name} stands before the first FROM",
                place=place,
                lines=lines,
            )
    if not bases:
        raise DockerfileError(
            "dockerfile contains no stages to build: it has no FROM", place=Place(line=1, end_line=1), lines=lines
        )
    stages = (
        Stage(index=index, base=base, instructions=tuple(body))
        for index, (base, body) in enumerate(zip(bases, bodies, strict=True))
    )
    return tuple(arguments), tuple(stages)
