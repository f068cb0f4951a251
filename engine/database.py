"""The engine's state: one SQLite file, one writer, one transaction an operation.

Threads share one connection under a re-entrant lock: statements take microseconds, and a single writer is the
invariant that makes recovery simple. The file is in WAL mode with `synchronous=FULL`, so a commit survives a power cut.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from engine.errors import EngineFault


class Database:
    """Opens the file at *path*, brings its schema up to date and serves transactions. It is a context manager."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        self._connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._migrate(path)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: committed when the block ends, rolled back when it raises.

        A transaction inside another is a part of it: only the outermost commits.
        """
        with self._lock:
            if self._depth == 0:
                self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield self._connection
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._connection.execute("ROLLBACK")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._connection.execute("COMMIT")

    def query(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> list[sqlite3.Row]:
        """The rows of a SELECT, read at once."""
        with self._lock:
            return self._connection.execute(sql, parameters).fetchall()

    def one(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> sqlite3.Row | None:
        """The first row of a SELECT, or `None`."""
        with self._lock:
            row: sqlite3.Row | None = self._connection.execute(sql, parameters).fetchone()
            return row

    def _migrate(self, path: Path) -> None:
        """Run the files of `engine/schema` that this database has not seen, in the order of their names."""
        migrations = sorted(
            (entry for entry in resources.files("engine").joinpath("schema").iterdir() if entry.name.endswith(".sql")),
            key=lambda entry: entry.name,
        )
        with self._lock:
            done: int = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if done > len(migrations):
                raise EngineFault(
                    f"{path} was written by a newer Havre (schema {done}, this one knows {len(migrations)}): upgrade"
                )
            for number, migration in enumerate(migrations[done:], start=done + 1):
                script = migration.read_text(encoding="utf-8")
                self._connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
