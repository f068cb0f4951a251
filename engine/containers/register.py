"""The containers that an engine knows: found, locked one by one, and saved.

A picture of each is kept in memory and in its row; both change together.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from engine.containers import names
from engine.containers.model import Container
from engine.containers.records import ContainerRecords, Record, name_taken
from engine.database import Database
from engine.errors import AmbiguousId, ContainerNotFound, InvalidParameter
from engine.images.model import ContainerUse
from engine.types import Digest, is_id


class ContainerRegister:
    """All containers' records. Any thread may call it."""

    def __init__(self, database: Database) -> None:
        self._records = ContainerRecords(database)
        self._writing = threading.RLock()
        """For rows and picture to change in the same order."""
        self._lock = threading.RLock()
        """Of the picture alone, never held while the disk writes: the event loop itself looks here."""
        self._known: dict[str, Record] = {}
        self._locks: dict[str, threading.RLock] = {}

    def load(self) -> None:
        """Read what the database knows. Before anything else."""
        with self._lock:
            for record in self._records.all():
                self._known[record.container.id] = record

    def all(self) -> Sequence[Record]:
        with self._lock:
            return tuple(self._known.values())

    def containers(self) -> Sequence[Container]:
        with self._lock:
            return [record.container for record in self._known.values()]

    def uses(self, image: Digest) -> Sequence[ContainerUse]:
        """The containers that were made from *image*."""
        made = [container for container in self.containers() if container.image == image]
        return [ContainerUse(id=container.id, running=container.state.running) for container in made]

    def by_id(self, container_id: str) -> Record | None:
        """The newest record of exactly this container."""
        with self._lock:
            return self._known.get(container_id)

    def find(self, text: str, *, missing: Container | None = None) -> Record:
        """By id, by name, by the beginning of an id, in this order; *missing* stands for one that has gone.

        `ContainerNotFound`, `AmbiguousId`; `InvalidParameter` for no text at all.
        """
        bare = text.removeprefix("/")
        if not bare:
            raise InvalidParameter(f'invalid name or ID supplied: "{text}"')
        with self._lock:
            if bare in self._known:
                return self._known[bare]
            found = [record for record in self._known.values() if record.container.name == bare]
            if not found and not is_id(bare):
                found = [record for identifier, record in self._known.items() if identifier.startswith(bare)]
        if len(found) > 1:
            raise AmbiguousId(bare)
        if not found:
            if missing is not None:
                return Record(container=missing)
            raise ContainerNotFound(text)
        return found[0]

    @contextmanager
    def locked(self, container_id: str) -> Iterator[Record]:
        """The container's lock, and its newest record; `ContainerNotFound` when it is gone meanwhile."""
        with self._lock:
            if container_id not in self._known:
                raise ContainerNotFound(container_id)
            lock = self._locks.setdefault(container_id, threading.RLock())
        with lock:
            record = self.by_id(container_id)
            if record is None:
                raise ContainerNotFound(container_id)
            yield record

    def free_name(self, wanted: str | None) -> str:
        """*wanted* where nobody has it, or a generated one; `Conflict` in Docker's words when it is taken."""
        with self._lock:
            taken = {record.container.name: identifier for identifier, record in self._known.items()}
        if wanted is None:
            return names.generated(taken.keys())
        if wanted in taken:
            raise name_taken(wanted, taken[wanted])
        return wanted

    def insert(self, record: Record) -> None:
        """Add a container; `Conflict` when its name has been taken meanwhile."""
        with self._writing:
            self._records.insert(record)
            self._remember(record)

    def save(self, record: Record) -> None:
        """Change a container; `Conflict` when a name of its own choice is taken."""
        with self._writing:
            self._records.update(record)
            self._remember(record)

    def delete(self, container_id: str) -> None:
        with self._writing:
            self._records.delete(container_id)
            with self._lock:
                self._known.pop(container_id, None)
                self._locks.pop(container_id, None)

    def _remember(self, record: Record) -> None:
        with self._lock:
            self._known[record.container.id] = record
