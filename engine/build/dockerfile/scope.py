"""Which variables an instruction sees: the predefined ones, ARG before the first stage, ARG and ENV within one.

Docker's reference of Dockerfiles, "ARG". A name that is both an argument and an environment variable means the latter,
whichever came last.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from engine.build.dockerfile.errors import Mistake
from engine.build.dockerfile.expansion import Budget
from engine.build.dockerfile.model import Arg, Dockerfile, Env, From
from engine.build.dockerfile.substitution import Substitution
from engine.types import Platform

PROXIES: Final = frozenset(
    name
    for word in ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
    for name in (word, word.upper())
)
"""Arguments that every RUN has in its environment when they are given, declared or not. They change no cache key."""


def predefined(
    *, build: Platform, target: Platform, stage: str = "default", given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The arguments about platforms: FROM may use them, a stage after an ARG without a value; *given* replaces them."""
    values = {
        "BUILDPLATFORM": str(build),
        "BUILDOS": build.os,
        "BUILDOSVERSION": "",
        "BUILDARCH": build.architecture,
        "BUILDVARIANT": build.variant,
        "TARGETPLATFORM": str(target),
        "TARGETOS": target.os,
        "TARGETOSVERSION": "",
        "TARGETARCH": target.architecture,
        "TARGETVARIANT": target.variant,
        "TARGETSTAGE": stage,
    }
    return {name: (given or {}).get(name, value) for name, value in values.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalScope:
    """What is known before the first stage."""

    values: Mapping[str, str]
    """What FROM may use."""
    declared: frozenset[str]
    """All names, those without a value too."""
    given: Mapping[str, str] = field(default_factory=dict)
    """The build's arguments, as its caller gave them."""
    escape: str = "\\"
    budget: Budget = field(default_factory=Budget)
    """Of all that is substituted in this build."""

    @classmethod
    def of(cls, dockerfile: Dockerfile, *, platform: Mapping[str, str], given: Mapping[str, str]) -> Self:
        """The scope above the stages of *dockerfile*; `Mistake` for a default that cannot be read."""
        values = dict(platform)
        declared = set(platform)
        escape, budget = dockerfile.directives.escape, Budget()
        for instruction in dockerfile.arguments:
            for argument in instruction.arguments:
                declared.add(argument.name)
                if argument.name in given:
                    values[argument.name] = given[argument.name]
                elif argument.default is not None:
                    values[argument.name] = Substitution(values, escape, budget).word(argument.default)
        return cls(values=values, declared=frozenset(declared), given=given, escape=escape, budget=budget)

    def substitution(self) -> Substitution:
        return Substitution(self.values, self.escape, self.budget)

    def image(self, base: From) -> str:
        """What *base* is based on: an image or an earlier stage; `Mistake` when nothing is left of its name."""
        name = self.substitution().word(base.image)
        if not name:
            raise Mistake(f"base name ({base.image}) should not be blank", token=base.image)
        return name

    def platform(self, base: From) -> str:
        """The platform that *base* asks for, empty where it asks for none."""
        name = self.substitution().word(base.platform)
        if base.platform and not name:
            raise Mistake(f"empty platform value from expression {base.platform}", token=base.platform)
        return name

    @property
    def proxies(self) -> dict[str, str]:
        """What RUN has in its environment for the host's proxies."""
        return {name: value for name, value in self.given.items() if name in PROXIES}


class StageScope:
    """The variables within a stage, as they are after each of its instructions."""

    def __init__(self, above: GlobalScope, environment: Iterable[str] = ()) -> None:
        """*environment* is the base image's, `NAME=value`."""
        self._above = above
        self.environment: dict[str, str] = dict(_variable(text) for text in environment)
        """What the image has."""
        self.arguments: dict[str, str] = {}
        """The arguments that have a value."""
        self.declared: dict[str, None] = {}
        """All arguments, in their order."""
        self.variables: Mapping[str, str] = ChainMap(self.environment, self.arguments)
        """What words may use, and what RUN has in its environment."""

    def child(self) -> StageScope:
        """The scope of a stage that is based on this one: it has what this one has, and changes it for itself."""
        scope = StageScope(self._above)
        scope.environment |= self.environment
        scope.arguments |= self.arguments
        scope.declared |= self.declared
        return scope

    def substitution(self) -> Substitution:
        """For one instruction: what it asks for is remembered in it."""
        return Substitution(self.variables, self._above.escape, self._above.budget)

    def set_environment(self, instruction: Env) -> None:
        """Set what *instruction* sets, its words expanded already."""
        for pair in instruction.pairs:
            self.environment[pair.key] = pair.value

    def declare(self, instruction: Arg) -> Substitution:
        """Declare the arguments of *instruction*: their value is the one given, the default, or the one of above.

        `Mistake` for a default that cannot be read. The answer knows which variables the defaults asked for.
        """
        asked = self.substitution()
        for argument in instruction.arguments:
            self.declared[argument.name] = None
            value = self._above.given.get(argument.name)
            if value is None and argument.default is not None:
                value = asked.word(argument.default)
            elif value is None:
                value = self._above.values.get(argument.name)
            if value is not None:
                self.arguments[argument.name] = value
        return asked


def _variable(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value
