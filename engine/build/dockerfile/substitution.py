"""Which words of which instruction have their variables expanded (Docker's reference, "Environment replacement")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from engine.build.dockerfile.expansion import Budget, Dialect, Expansion, expand
from engine.build.dockerfile.model import (
    Add,
    Env,
    Expose,
    Heredoc,
    Instruction,
    Label,
    Pair,
    Run,
    StopSignal,
    Transfer,
    User,
    Volume,
    Workdir,
)
from engine.build.dockerfile.mounts import RunMount, parse_mount

_IN_DOCUMENTS: Final = Dialect(quotes=False)

_Given = TypeVar("_Given", bound=Instruction)


@dataclass(slots=True)
class Substitution:
    """Puts the values of *variables* into words, and remembers which were asked for."""

    variables: Mapping[str, str]
    escape: str = "\\"
    budget: Budget = field(default_factory=Budget)
    matched: set[str] = field(default_factory=set)
    unmatched: dict[str, None] = field(default_factory=dict)
    """The names that have no value, in their order."""

    def word(self, text: str) -> str:
        """*text* with its variables' values, without its quotes and escapes; `Mistake` for what cannot be read."""
        return self._expand(text, Dialect(escape=self.escape)).text

    def words(self, text: str) -> tuple[str, ...]:
        """The same, split at white space that is not quoted."""
        return self._expand(text, Dialect(escape=self.escape)).words

    def document(self, heredoc: Heredoc) -> Heredoc:
        """A file's content with its variables' values, unless its name was quoted. Quotes in it are letters."""
        if not heredoc.expand:
            return heredoc
        return replace(heredoc, content=self._expand(heredoc.content, _IN_DOCUMENTS).text)

    def instruction(self, given: _Given) -> _Given:
        """*given* with all of its variables' values but those of ARG and FROM, which have scopes of their own.

        Commands stay as they are: their variables are the shell's. EXPOSE may come back with more ports, since a
        variable may hold several.
        """
        return replace(given, **self._changes(given))

    def mounts(self, run: Run) -> tuple[RunMount, ...]:
        """The mounts of *run*."""
        return tuple(parse_mount(text, self.word) for text in run.mounts)

    def _changes(self, given: Instruction) -> dict[str, Any]:
        match given:
            case Env() | Label():
                return {"pairs": tuple(self._pair(pair) for pair in given.pairs)}
            case Transfer():
                changes: dict[str, Any] = {
                    "sources": tuple(map(self.word, given.sources)),
                    "contents": tuple(map(self.document, given.contents)),
                    "destination": self.word(given.destination),
                    "chown": self.word(given.chown),
                    "chmod": self.word(given.chmod),
                }
                return changes | ({"checksum": self.word(given.checksum)} if isinstance(given, Add) else {})
            case Expose():
                return {"ports": tuple(sorted(word for port in given.ports for word in self.words(port)))}
            case User():
                return {"user": self.word(given.user)}
            case Workdir():
                return {"path": self.word(given.path)}
            case Volume():
                return {"paths": tuple(map(self.word, given.paths))}
            case StopSignal():
                return {"signal": self.word(given.signal)}
        return {}

    def _pair(self, pair: Pair) -> Pair:
        return replace(pair, key=self.word(pair.key), value=self.word(pair.value))

    def _expand(self, text: str, dialect: Dialect) -> Expansion:
        expansion = expand(text, self.variables, dialect, self.budget)
        self.matched |= expansion.matched
        self.unmatched |= dict.fromkeys(expansion.unmatched)
        return expansion
