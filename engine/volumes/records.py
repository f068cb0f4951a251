"""Volumes as rows, and who uses them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from engine.database import Database
from engine.volumes.model import Volume


class VolumeRecords:
    """*root* is the directory that has a directory for each volume."""

    def __init__(self, database: Database, root: Path) -> None:
        self._database = database
        self._root = root

    def all(self) -> list[Volume]:
        return [self._volume(row) for row in self._database.query("SELECT * FROM volumes ORDER BY name")]

    def get(self, name: str) -> Volume | None:
        row = self._database.one("SELECT * FROM volumes WHERE name = ?", (name,))
        return self._volume(row) if row else None

    def insert(self, volume: Volume) -> None:
        document = {"labels": dict(volume.labels), "options": dict(volume.options), "anonymous": volume.anonymous}
        with self._database.transaction() as transaction:
            transaction.execute(
                "INSERT INTO volumes (name, created, document) VALUES (?, ?, ?)",
                (volume.name, volume.created, json.dumps(document)),
            )

    def delete(self, name: str) -> None:
        with self._database.transaction() as transaction:
            transaction.execute("DELETE FROM volumes WHERE name = ?", (name,))

    def use(self, name: str, container_id: str) -> None:
        with self._database.transaction() as transaction:
            transaction.execute("INSERT OR IGNORE INTO volume_users VALUES (?, ?)", (name, container_id))

    def leave(self, name: str, container_id: str) -> bool:
        """Note that the container uses it no longer; whether nobody does now, and this one did."""
        with self._database.transaction() as transaction:
            done = transaction.execute(
                "DELETE FROM volume_users WHERE volume = ? AND container = ?", (name, container_id)
            ).rowcount
        return bool(done) and not self.users().get(name)

    def users(self) -> Mapping[str, set[str]]:
        """The containers that have each volume mounted."""
        users: dict[str, set[str]] = {}
        for row in self._database.query("SELECT volume, container FROM volume_users"):
            users.setdefault(row["volume"], set()).add(row["container"])
        return users

    def _volume(self, row: sqlite3.Row) -> Volume:
        return Volume(
            name=row["name"],
            created=row["created"],
            mountpoint=self._root / row["name"] / "_data",
            **json.loads(row["document"]),
        )
