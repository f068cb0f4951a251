"""Containers as rows: one table, the values as JSON in it."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Final

import cattrs
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from engine.containers.model import Container
from engine.database import Database
from engine.errors import Conflict
from engine.networks.documents import know_addresses
from engine.types import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A container and what only the service knows of it."""

    container: Container
    stopped_by_hand: bool = False
    """Somebody stopped it: `unless-stopped` then leaves it so when the daemon starts."""
    failures: int = 0
    """Ends in a row, for the restart policy."""
    asked: str = ""
    """What somebody did to end it, such as `stop` or `kill SIGTERM`; for the post-mortem."""
    asked_at: int = 0
    """Nanoseconds since the epoch."""
    paused_briefly: bool = False
    """Whether the engine itself has paused it, for as long as something is made of its files."""
    remove_volumes: bool = False
    """Whether a removal that is under way takes the container's own volumes with it."""


class ContainerRecords:
    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Record]:
        return [_record(row) for row in self._database.query("SELECT * FROM containers ORDER BY created")]

    def insert(self, record: Record) -> None:
        """Add a container; `Conflict` in Docker's words when its name is taken."""
        container = record.container
        try:
            with self._database.transaction() as transaction:
                transaction.execute(
                    "INSERT INTO containers (id, name, image, created, status, document) VALUES (?, ?, ?, ?, ?, ?)",
                    (
                        container.id,
                        container.name,
                        container.image,
                        container.created,
                        container.state.status,
                        _document(record),
                    ),
                )
        except sqlite3.IntegrityError as error:
            raise name_taken(container.name, self._holder(container.name)) from error

    def update(self, record: Record) -> None:
        container = record.container
        try:
            with self._database.transaction() as transaction:
                transaction.execute(
                    "UPDATE containers SET name = ?, status = ?, document = ? WHERE id = ?",
                    (container.name, container.state.status, _document(record), container.id),
                )
        except sqlite3.IntegrityError as error:
            raise name_taken(container.name, self._holder(container.name)) from error

    def delete(self, container_id: str) -> None:
        with self._database.transaction() as transaction:
            transaction.execute("DELETE FROM containers WHERE id = ?", (container_id,))

    def _holder(self, name: str) -> str:
        row = self._database.one("SELECT id FROM containers WHERE name = ?", (name,))
        return row["id"] if row else ""


def name_taken(name: str, holder: str) -> Conflict:
    return Conflict(
        f'Conflict. The container name "/{name}" is already in use by container "{holder}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )


def _document(record: Record) -> str:
    return json.dumps(_CONVERTER.unstructure(record), separators=(",", ":"))


def _record(row: sqlite3.Row) -> Record:
    return _CONVERTER.structure(json.loads(row["document"]), Record)


def _converter() -> cattrs.Converter:
    """Fields that a row of an earlier version lacks take their defaults; those that are no more are passed over."""
    converter = cattrs.Converter()
    know_addresses(converter)
    converter.register_structure_hook(Digest, lambda value, _: Digest(value))
    # A sandbox is the network's to remember.
    converter.register_unstructure_hook(
        Container, make_dict_unstructure_fn(Container, converter, sandbox=override(omit=True))
    )
    converter.register_structure_hook(
        Container, make_dict_structure_fn(Container, converter, sandbox=override(omit=True))
    )
    return converter


_CONVERTER: Final = _converter()
