"""What the checks find."""

from __future__ import annotations

from dataclasses import dataclass

from engine.build.dockerfile.errors import DockerfileError, Place
from engine.build.dockerfile.model import Span
from engine.build.lint.rules import Rule
from engine.types import Platform


@dataclass(frozen=True, slots=True)
class Edit:
    """Text that takes the place of other text. Lines and columns from 1; the end is behind the last character."""

    line: int
    column: int
    end_line: int
    end_column: int
    text: str


@dataclass(frozen=True, slots=True)
class Fix:
    """What to do about a finding, where that takes no thought."""

    title: str
    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One place where a check has something to say."""

    rule: Rule
    message: str
    span: Span
    """The lines of the instruction."""
    place: Place
    """What is meant in it."""
    excerpt: str = ""
    fix: Fix | None = None

    def __str__(self) -> str:
        """As `docker build` prints it."""
        return f"{self.rule.name}: {self.message} (line {self.span.start})"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseImage:
    """What the checks want to know of a base image."""

    environment: tuple[str, ...] = ()
    """`NAME=value`."""
    shell: tuple[str, ...] = ()
    platform: Platform | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that was found in a Dockerfile."""

    findings: tuple[Finding, ...] = ()
    """By line."""
    error: DockerfileError | None = None
    """Why it can not be built; the checks that were made until then have found what they have found."""
    findings_fail: bool = False
    """Whether the file says that findings are errors (`# check=error=true`)."""

    @property
    def violation(self) -> str:
        """Why the build must not begin though it could, in BuildKit's words; empty when it may."""
        if not self.findings_fail or not self.findings:
            return ""
        names = sorted({finding.rule.name for finding in self.findings})
        return f"lint violation found for rules: {', '.join(names)}"
