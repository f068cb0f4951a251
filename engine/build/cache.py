"""The build cache: which image a step made, by what it was made of; and why a step is not there.

A step's key is the digest of the key of the step before, of the instruction with its variables' values, and of its
inputs: content and metadata of files, arguments in use. So a file that gets its old content back hits again, and a time
alone changes nothing. An entry goes with its image.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from engine.build.trees import MOST_FILES
from engine.database import Database
from engine.types import Digest, now

_VERSION: Final = 1
"""Changes when the same key would stand for something else."""
_MOST_TOLD: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What a step is made of, besides the step before it."""

    instruction: str
    """For people: as it was written."""
    parts: tuple[str, ...]
    """All that changes the result, with its variables' values."""
    arguments: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """Digests by path."""
    content: str = ""
    """One digest for all files."""

    def key(self, parent: str) -> str:
        """The step's key, where *parent* is the key of the step before."""
        told = [_VERSION, parent, self.parts, sorted(self.arguments.items()), self.content]
        return hashlib.sha256(json.dumps(told).encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A step in the cache."""

    key: str
    parent: str
    image: Digest
    instruction: str
    size: int
    created: int
    used: int
    uses: int
    result: bool
    """Whether its image was what a build was for."""


@dataclass(frozen=True, slots=True)
class Miss:
    """Why there is no entry."""

    reason: str
    changed: tuple[str, ...] = ()


class BuildCache:
    """The rows. Writing methods join the transaction that is open, if one is."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, key: str) -> Digest | None:
        """The image of that key."""
        row = self._database.one(
            "SELECT image_id FROM build_cache JOIN images ON images.id = image_id WHERE key = ? AND removed = 0",
            (key,),
        )
        return Digest(row["image_id"]) if row else None

    def touch(self, keys: Sequence[str]) -> None:
        """Note that entries have been used now."""
        if keys:
            with self._database.transaction() as connection:
                connection.executemany(
                    "UPDATE build_cache SET used = ?, uses = uses + 1 WHERE key = ?", [(now(), key) for key in keys]
                )

    def note_result(self, image: Digest) -> None:
        """Note that *image* was what a build was for."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE build_cache SET result = 1 WHERE image_id = ?", (image,))

    def add(self, key: str, parent: str, image: Digest, inputs: Inputs, *, size: int) -> None:
        instant = now()
        kept: dict[str, Any] = {"arguments": _hidden(inputs.arguments), "content": inputs.content}
        if len(inputs.files) <= MOST_FILES:
            kept["files"] = dict(inputs.files)
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO build_cache (key, parent, image_id, instruction, inputs, size, created, used) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET image_id = excluded.image_id, "
                "size = excluded.size, created = excluded.created, used = excluded.used",
                (key, parent, image, inputs.instruction, _text(kept), size, instant, instant),
            )

    def all(self) -> list[Entry]:
        """Every entry, the last used first."""
        rows = self._database.query("SELECT * FROM build_cache ORDER BY used DESC, key")
        return [
            Entry(
                key=row["key"],
                parent=row["parent"],
                image=Digest(row["image_id"]),
                instruction=row["instruction"],
                size=row["size"],
                created=row["created"],
                used=row["used"],
                uses=row["uses"],
                result=bool(row["result"]),
            )
            for row in rows
        ]

    def remove(self, keys: Sequence[str]) -> None:
        with self._database.transaction() as connection:
            connection.executemany("DELETE FROM build_cache WHERE key = ?", [(key,) for key in keys])

    def explain(self, parent: str, inputs: Inputs) -> Miss:
        """Why a step on *parent* with *inputs* is not there, by the entry that is most like it."""
        rows = self._database.query(
            "SELECT parent, inputs FROM build_cache WHERE instruction = ? ORDER BY parent = ? DESC, used DESC LIMIT 1",
            (inputs.instruction, parent),
        )
        if not rows:
            followers = self._database.query("SELECT 1 FROM build_cache WHERE parent = ? LIMIT 1", (parent,))
            return Miss("the instruction is new or has changed" if followers else "it has not been built here yet")
        if rows[0]["parent"] != parent:
            return Miss("a step before it has changed")
        return _compared(json.loads(rows[0]["inputs"]), inputs)


def _compared(before: Mapping[str, Any], inputs: Inputs) -> Miss:
    arguments = _differing(before["arguments"], _hidden(inputs.arguments))
    if arguments:
        return Miss(f"{_noun('argument', arguments)} changed", arguments[:_MOST_TOLD])
    if before.get("content") != inputs.content:
        files = _differing(before["files"], inputs.files) if "files" in before else ()
        if not files:
            return Miss("files changed")
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        return Miss(f"{files[0]}{more} changed", files[:_MOST_TOLD])
    return Miss("the values of its variables changed")


def _hidden(arguments: Mapping[str, str]) -> dict[str, str]:
    """Digests of the values, which may be secrets, to tell later whether they are still the same."""
    return {name: Digest.of(value.encode("utf-8", "surrogateescape")) for name, value in arguments.items()}


def _noun(noun: str, names: Sequence[str]) -> str:
    return f"{noun} {names[0]}" if len(names) == 1 else f"{noun}s {', '.join(names[:_MOST_TOLD])}"


def _differing(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sorted(name for name in {*before, *after} if before.get(name) != after.get(name)))


def _text(document: object) -> str:
    return json.dumps(document, ensure_ascii=True)
