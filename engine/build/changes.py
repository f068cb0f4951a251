"""`docker commit --change`, `docker import --change`: instructions that change only an image's config."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from engine.build.configuring import configured
from engine.build.dockerfile.errors import DockerfileError, Mistake
from engine.build.dockerfile.expansion import Budget
from engine.build.dockerfile.model import Cmd, Instruction
from engine.build.dockerfile.parser import parse_line
from engine.build.dockerfile.substitution import Substitution
from engine.build.tips import Sealed, Tip, done
from engine.errors import InvalidParameter
from engine.images.model import ConfigChange

_ALLOWED: Final = (
    "CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
)  # fmt: skip
_SINGLE: Final = ("STOPSIGNAL", "USER", "WORKDIR")


def change_of(lines: Iterable[str]) -> ConfigChange:
    """What *lines* do to a config, as in an image's JSON; `InvalidParameter` names a line that is none.

    Variables in them are those of the config's environment.
    """
    instructions = tuple(_parse(line) for line in lines if line.strip())

    def change(config: Mapping[str, Any]) -> dict[str, Any]:
        tip = Tip(key="", sealed=done(Sealed(None, ())), config=config)
        command_set = False
        budget = Budget()
        for instruction in instructions:
            command_set = command_set or isinstance(instruction, Cmd)
            variables = dict(variable.split("=", 1) for variable in tip.env if "=" in variable)
            try:
                given = Substitution(variables, budget=budget).instruction(instruction)
                tip, _ = configured(tip, given, keeps_command=command_set)
            except (Mistake, InvalidParameter) as error:
                raise InvalidParameter(f"{instruction.source[:200]!r}: {error}") from error
        return dict(tip.config)

    return change


def _parse(line: str) -> Instruction:
    word, *rest = line.split(maxsplit=1)
    if word.upper() not in _ALLOWED:
        raise InvalidParameter(f"{word[:40]} is not a valid change command: use one of {', '.join(_ALLOWED)}")
    if not rest:
        many = "exactly" if word.upper() in _SINGLE else "at least"
        raise InvalidParameter(f"{word.upper()} requires {many} one argument: {line[:100]!r}")
    try:
        return parse_line(line)
    except DockerfileError as error:
        raise InvalidParameter(f"{line[:200]!r}: {error.reason}") from error
