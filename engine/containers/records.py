"""Containers as rows: one table, the values as JSON in it."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from engine.containers.model import (
    Bind,
    Container,
    ContainerConfig,
    HostConfig,
    RestartPolicy,
    RestartPolicyName,
    State,
    Status,
    Ulimit,
)
from engine.database import Database
from engine.errors import Conflict
from engine.networks.model import PublishedPort
from engine.types import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A container and what only the service knows of it."""

    container: Container
    stopped_by_hand: bool = False
    """Somebody stopped it: `unless-stopped` then leaves it so when the daemon starts."""
    failures: int = field(default=0)
    """Ends in a row, for the restart policy."""


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
    container = replace(record.container, sandbox=None)
    return json.dumps({**asdict(record), "container": asdict(container)}, separators=(",", ":"))


def _record(row: sqlite3.Row) -> Record:
    document: dict[str, Any] = json.loads(row["document"])
    values: dict[str, Any] = document.pop("container")
    host, config, state = values.pop("host"), values.pop("config"), values.pop("state")
    for key, value in config.items():
        config[key] = tuple(value) if isinstance(value, list) else value
    for key, value in host.items():
        host[key] = tuple(value) if isinstance(value, list) else value
    host["binds"] = tuple(Bind(**bind) for bind in host["binds"])
    host["ports"] = tuple(PublishedPort(**port) for port in host["ports"])
    host["ulimits"] = tuple(Ulimit(**limit) for limit in host["ulimits"])
    host["restart"] = RestartPolicy(
        name=RestartPolicyName(host["restart"]["name"]), maximum_retries=host["restart"]["maximum_retries"]
    )
    values |= {
        "image": Digest(values["image"]),
        "args": tuple(values["args"]),
        "config": ContainerConfig(**config),
        "host": HostConfig(**host),
        "state": State(**{**state, "status": Status(state["status"])}),
    }
    return Record(container=Container(**values), **document)
