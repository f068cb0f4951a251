"""Checks of a Dockerfile, for an editor. Only Havre's engine makes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from engine.client.connection import Connection
from engine.client.errors import NotFound, NotSupported


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A place in the file. Lines and columns are counted from 1; *length* is in characters."""

    line: int
    column: int
    length: int
    excerpt: str
    """The line with carets below, for those who show it as text."""

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        return cls(line=row["Line"], column=row["Column"], length=row["Length"], excerpt=row["Excerpt"])


@dataclass(frozen=True, slots=True, kw_only=True)
class TextEdit:
    """*text* in place of what is from the beginning up to the end, which is behind the last character."""

    line: int
    column: int
    end_line: int
    end_column: int
    text: str

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        return cls(
            line=row["Line"],
            column=row["Column"],
            end_line=row["EndLine"],
            end_column=row["EndColumn"],
            text=row["Text"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LintWarning:
    """Something that a build check has to say."""

    rule: str
    message: str
    description: str
    explanation: str
    url: str
    line: int
    end_line: int
    at: Spot
    fix_title: str = ""
    fix: tuple[TextEdit, ...] = ()
    """What to do about it, empty where that takes thought."""

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        fix = row.get("Fix") or {}
        return cls(
            rule=row["Rule"],
            message=row["Message"],
            description=row["Description"],
            explanation=row["Explanation"],
            url=row["URL"],
            line=row["Line"],
            end_line=row["EndLine"],
            at=Spot.from_row(row["At"]),
            fix_title=fix.get("Title", ""),
            fix=tuple(TextEdit.from_row(edit) for edit in fix.get("Edits", ())),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LintError:
    """Why a Dockerfile can not be built. *message* has the line in it, *reason* has not."""

    message: str
    reason: str
    at: Spot


@dataclass(frozen=True, slots=True, kw_only=True)
class LintReport:
    """All that the checks have to say."""

    warnings: tuple[LintWarning, ...] = ()
    error: LintError | None = None
    violation: str = ""
    """Not empty where the Dockerfile asks for warnings to be errors, and has some."""


class LintCalls(Connection):
    def lint(
        self,
        dockerfile: str,
        *,
        dockerignore: str = "",
        arguments: Mapping[str, str] | None = None,
        platform: str = "",
    ) -> LintReport:
        """What the checks find in the text *dockerfile*; `NotSupported` by an endpoint that is not Havre's.

        Nothing is built and nothing pulled: it may be asked for at every key.
        """
        body = {
            "Dockerfile": dockerfile,
            "Dockerignore": dockerignore,
            "BuildArgs": dict(arguments or {}),
            "Platform": platform,
        }
        try:
            answer = self._json("POST", "/havre/v1/build/lint", body=body)
        except NotFound as error:
            raise NotSupported("this endpoint has no checks of Dockerfiles: Havre's engine makes them") from error
        wrong = answer.get("Error")
        return LintReport(
            warnings=tuple(LintWarning.from_row(row) for row in answer.get("Warnings") or ()),
            error=None
            if wrong is None
            else LintError(message=wrong["Message"], reason=wrong["Reason"], at=Spot.from_row(wrong["At"])),
            violation=answer.get("Violation", ""),
        )
