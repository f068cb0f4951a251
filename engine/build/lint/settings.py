"""Which checks are made: `# check=skip=A,B;error=true` at the top, or in a comment above one instruction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from engine.build.dockerfile.errors import Mistake
from engine.build.lint.rules import Rule
from engine.types import parse_bool

ARGUMENT: Final = "BUILDKIT_DOCKERFILE_CHECK"
"""The build argument that asks for checks in place of the file's own directive."""
_ALL: Final = "all"
_OPTIONS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Names of checks, `all` for all of them."""

    skip: frozenset[str] = frozenset()
    experimental: frozenset[str] = frozenset()
    error: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """The settings that *text* asks for; `Mistake` names the option that is none."""
        skip: frozenset[str] = frozenset()
        experimental: frozenset[str] = frozenset()
        error = False
        for option in text.strip().split(";", _OPTIONS - 1) if text.strip() else ():
            name, equals, value = option.partition("=")
            match name.strip() if equals else "":
                case "skip":
                    skip = _names(value)
                case "experimental":
                    experimental = _names(value)
                case "error" if (said := parse_bool(value.strip())) is not None:
                    error = said
                case _:
                    raise Mistake(
                        f'failed to parse check options: invalid check option "{option[:60]}": '
                        "write skip=Name,Name;error=true",
                        token=option[:60],
                    )
        return cls(skip=skip, experimental=experimental, error=error)

    def with_comments(self, comments: Iterable[str]) -> Settings:
        """These, and what a comment `check=…` among *comments* adds; one that can not be read adds nothing."""
        for comment in comments:
            name, equals, value = comment.partition("=")
            if equals and name.strip().lower() == "check":
                try:
                    other = Settings.parse(value.strip().partition(" ")[0])
                except Mistake:
                    return self
                return Settings(
                    skip=self.skip | other.skip,
                    experimental=self.experimental | other.experimental,
                    error=self.error,
                )
        return self

    def wants(self, rule: Rule) -> bool:
        if rule.experimental:
            return not self.experimental.isdisjoint((_ALL, rule.name))
        return self.skip.isdisjoint((_ALL, rule.name))


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(","))
