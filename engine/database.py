"""The engine's state: one SQLite file, one writer, one transaction an operation.

Threads share one connection under a re-entrant lock: statements take microseconds, and a single writer is the
invariant that makes recovery simple. The file is in WAL mode with `synchronous=FULL`, so a commit survives a power cut.

Containers share the file system with it and may fill it. What has to be written down to stop and remove them must fit
all the same, so the database keeps room of its own: free pages in its file, and a log (WAL) that has been that large
before and is written from its beginning again after each checkpoint. SQLite removes the log when it is closed; a file
without meaning holds its place until the next start.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import Any, Final

from engine.errors import EngineFault, StorageFull

_log = logging.getLogger(__name__)

_ROOM: Final = 2 * 1024 * 1024
"""Bytes of free pages, and of the log."""
_CHECKPOINT: Final = 128
"""Pages in the log after which it is taken over into the file: half a MiB."""
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR)
_COMMITS: Final = 64
"""Commits between two looks at how much room is left."""


class Database:
    """Opens the file at *path*, brings its schema up to date and serves transactions. It is a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = path.with_name(f"{path.name}-room")
        self._place.unlink(missing_ok=True)
        self._lock = threading.RLock()
        self._depth = 0
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        self._connection.row_factory = sqlite3.Row
        self._commits = 0
        try:
            self._check()
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                self._connection.execute(f"PRAGMA {pragma}")
            self._connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT}")
            self._migrate(path)
            self._keep_room()
        except BaseException:
            self._connection.close()
            raise

    def _check(self) -> None:
        """`EngineFault` for a file that is no whole database, which is left as it is."""
        try:
            found: str = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF not in _DAMAGED:
                raise
            found = str(error)
        if found != "ok":
            raise EngineFault(
                f"{self._path} is damaged ({found}): bring it back from a backup; without it the engine would take all "
                "containers for strangers and remove them"
            )

    def close(self) -> None:
        with self._lock:
            self._connection.close()
            with suppress(OSError), self._place.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, _ROOM)

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
                self._commit()

    def _commit(self) -> None:
        try:
            self._connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
                raise StorageFull(
                    f"cannot write to {self._path}: {error}: no space left on device? Remove containers or images"
                ) from error
            raise
        self._commits += 1
        if self._commits % _COMMITS == 0:
            self._keep_room()

    def _keep_room(self) -> None:
        """See to it that there are free pages and a long log, as long as the file system has room for them."""
        log = self._path.with_name(f"{self._path.name}-wal")
        page: int = self._connection.execute("PRAGMA page_size").fetchone()[0]
        free: int = self._connection.execute("PRAGMA freelist_count").fetchone()[0]
        if free * page >= _ROOM and log.exists() and log.stat().st_size >= _ROOM:
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("DROP TABLE IF EXISTS room")
            self._connection.execute("CREATE TABLE room (bytes BLOB)")
            self._connection.execute("INSERT INTO room VALUES (zeroblob(?))", (_ROOM,))
            self._connection.execute("COMMIT")
            self._connection.execute("DROP TABLE room")
            self._connection.execute("PRAGMA wal_checkpoint(RESTART)")
        except sqlite3.OperationalError as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            _log.warning("no room to spare for %s: %s", self._path, error)

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
