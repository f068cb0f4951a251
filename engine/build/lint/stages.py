"""Checks that follow a stage's instructions one after the other, with what they set."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from itertools import chain
from typing import Final

from engine.build.dockerfile import ports
from engine.build.dockerfile.ignore import IgnoreMatcher
from engine.build.dockerfile.model import (
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    Pair,
    Run,
    Shell,
    Transfer,
    Workdir,
)
from engine.build.dockerfile.scope import StageScope
from engine.build.dockerfile.substitution import Substitution
from engine.build.lint import fixes, rules
from engine.build.lint.notes import Notes

_SECRET: Final = re.compile(
    r"(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)", re.IGNORECASE
)
_HARMLESS: Final = re.compile(r"(?:_|^)(?:public|file|version)(?:_|$)", re.IGNORECASE)
_EVERYTHING: Final = frozenset({"*", "**", "**/*"})
_PATH: Final = "PATH"
"""Every image has it: where the base image has none, Docker sets one."""


class StageCheck:
    """The checks of one stage, and what the stages that are based on it begin with."""

    def __init__(
        self,
        scope: StageScope,
        notes: Notes,
        *,
        ignore: IgnoreMatcher | None,
        escape: str,
        known: bool,
        shell: bool = False,
        workdir: bool = False,
    ) -> None:
        self.scope = scope
        self.known = known
        """Whether it is known which variables the base image has."""
        self.shell = shell
        """Whether somebody has chosen a shell."""
        self.workdir = workdir
        """Whether a working directory has been set in this file."""
        self._notes = notes
        self._ignore = ignore
        self._escape = escape
        self._last: dict[str, Instruction] = {}

    def child(self) -> StageCheck:
        """For a stage that is based on this one."""
        return StageCheck(
            self.scope.child(),
            self._notes,
            ignore=self._ignore,
            escape=self._escape,
            known=self.known,
            shell=self.shell,
            workdir=self.workdir,
        )

    def check(self, given: Instruction) -> None:
        """Check *given*, and take in what it sets. `Mistake` for a substitution that can not be read."""
        if isinstance(given, Arg):
            self._arguments(given)
            return
        asked = self.scope.substitution()
        expanded = asked.instruction(given)
        if isinstance(given, Run):
            asked.mounts(given)
        self._undefined(given, asked)
        self._once(given)
        match expanded:
            case Env():
                self._pairs(given, expanded.pairs)
                self._secrets(given, (pair.key for pair in expanded.pairs))
                self.scope.set_environment(expanded)
            case Label():
                self._pairs(given, expanded.pairs)
            case Shell():
                self.shell = True
            case Cmd() | Entrypoint():
                self._command(expanded)
            case Workdir():
                self._workdir(expanded)
            case Expose():
                self._ports(expanded)
            case Transfer():
                self._sources(expanded)

    def _arguments(self, given: Arg) -> None:
        names = frozenset(argument.name for argument in given.arguments)
        self._secrets(given, sorted(names))
        self._undefined(given, self.scope.declare(given), new=names)

    def _undefined(self, given: Instruction, asked: Substitution, *, new: frozenset[str] = frozenset()) -> None:
        """Variables that nothing has set. Where the base image is not here, only those that look like a slip.

        *new* are names that *given* itself sets.
        """
        for name in asked.unmatched:
            if name in self.scope.declared or name == _PATH:
                continue
            known = (each for each in chain((_PATH,), self.scope.variables) if each not in new)
            meant = self._notes.suggestion(name, known)
            if not (self.known or meant):
                continue
            message = f"Usage of undefined variable '${name}'" + (f" (did you mean ${meant}?)" if meant else "")
            fix = fixes.replaced(self._notes.lines, given.span, name, meant) if meant else None
            self._notes.add(rules.UNDEFINED_VAR, given, message, token=name, fix=fix)

    def _once(self, given: Instruction) -> None:
        """Of several only the last counts; the finding is about those before it."""
        if not isinstance(given, Cmd | Entrypoint | Healthcheck):
            return
        before = self._last.get(given.name)
        self._last[given.name] = given
        if before is not None:
            message = (
                f"Multiple {given.keyword} instructions should not be used in the same stage because only the last one "
                "will be used"
            )
            fix = fixes.removed([before.span], title=f"Remove this {before.keyword}")
            self._notes.add(rules.MULTIPLE_INSTRUCTIONS_DISALLOWED, before, message, fix=fix)

    def _pairs(self, given: Instruction, pairs: Iterable[Pair]) -> None:
        for pair in pairs:
            if pair.legacy:
                word = given.keyword
                message = f'"{word} key=value" should be used instead of legacy "{word} key value" format'
                written = given.pairs[0] if isinstance(given, Env | Label) else pair
                fix = fixes.with_equals(self._notes.lines, given, written, escape=self._escape)
                self._notes.add(rules.LEGACY_KEY_VALUE_FORMAT, given, message, fix=fix)

    def _secrets(self, given: Instruction, names: Iterable[str]) -> None:
        for name in names:
            if _SECRET.search(name) and not _HARMLESS.search(name):
                message = f'Do not use ARG or ENV instructions for sensitive data ({given.name} "{name}")'
                self._notes.add(rules.SECRETS_USED_IN_ARG_OR_ENV, given, message, token=name)

    def _command(self, given: Cmd | Entrypoint) -> None:
        if given.command.shell_form and not self.shell:
            message = (
                f"JSON arguments recommended for {given.keyword} to prevent unintended behavior related to OS signals"
            )
            fix = fixes.exec_form(self._notes.lines, given, given.command)
            self._notes.add(rules.JSON_ARGS_RECOMMENDED, given, message, fix=fix)

    def _workdir(self, given: Workdir) -> None:
        if not self.workdir and not given.path.startswith("/"):
            message = f'Relative workdir "{given.path}" can have unexpected results if the base image changes'
            self._notes.add(rules.WORKDIR_RELATIVE_PATH, given, message, token=given.path)
        self.workdir = True

    def _ports(self, given: Expose) -> None:
        for word, port in zip(given.ports, ports.exposed(given.ports), strict=True):
            if port.protocol != port.protocol.lower():
                message = f"Defined protocol '{word}' in EXPOSE instruction should be lowercase"
                fix = fixes.replaced(self._notes.lines, given.span, word, word.lower())
                self._notes.add(rules.EXPOSE_PROTO_CASING, given, message, token=word, fix=fix)
            if port.mapped:
                message = f"EXPOSE instruction should not define an IP address or host-port mapping, found '{word}'"
                fix = fixes.replaced(self._notes.lines, given.span, word, word.rpartition(":")[2])
                self._notes.add(rules.EXPOSE_INVALID_FORMAT, given, message, token=word, fix=fix)

    def _sources(self, given: Transfer) -> None:
        """Files that are not in the context. With exceptions in .dockerignore it can not be told without the files."""
        if self._ignore is None or self._ignore.has_exceptions or (isinstance(given, Copy) and given.from_):
            return
        for source in given.sources:
            if isinstance(given, Add) and ("://" in source or source.startswith("git@")):
                continue
            path = posixpath.normpath(source).strip("/") or "."
            if self._ignore.ignores(path) or (path == "." and not _EVERYTHING.isdisjoint(self._ignore.texts)):
                verb = given.name.capitalize()
                message = f'Attempting to {verb} file "{path}" that is excluded by .dockerignore'
                self._notes.add(rules.COPY_IGNORED_FILE, given, message, token=source)
