"""What is kept of the end of each life of a container: why it died, what it had used, its last words.

A row stays when the container itself is removed, as with `--rm`: that is when people ask what happened. The last ten of
a container are kept, and the last thousand of all.
"""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import cattrs

from engine.containers.logs import logfile
from engine.containers.logs.reader import LogReader
from engine.containers.model import Container, Health, LogQuery
from engine.database import Database
from engine.kernel import cgroup_stats
from engine.types import now

_LINES: Final = 20
_LINE: Final = 400
"""Bytes of each of the last lines that are kept."""
_OF_EACH: Final = 10
_OF_ALL: Final = 1000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LastLine:
    at: int
    stream: int
    """1 stdout, 2 stderr."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """The end of one life. Instants are nanoseconds since the epoch."""

    container_id: str
    name: str
    image: str
    command: tuple[str, ...]
    started_at: int | None
    finished_at: int | None
    exit_code: int
    signal: str = ""
    """The signal that ended it, such as `SIGKILL`, where the code says that one did."""
    error: str = ""
    asked: str = ""
    """What somebody had asked of the engine just before, such as `kill with SIGTERM`; "" for nothing."""
    oom_killed: bool = False
    oom_kills: int = 0
    """How many of its processes the kernel killed for want of memory."""
    memory_peak: int | None = None
    """Bytes; `None` where this kernel does not tell."""
    memory_limit: int = 0
    cpu_time: int | None = None
    """Nanoseconds of all its processes."""
    restart_count: int = 0
    health: Health | None = None
    last_lines: tuple[LastLine, ...] = field(default=())

    @property
    def verdict(self) -> str:
        """The likely reason, in a sentence for people."""
        if self.error:
            return self.error
        if self.oom_killed or (self.oom_kills and self.exit_code == _KILLED):
            limit = f" of {self.memory_limit >> 20} MiB" if self.memory_limit else ""
            return f"The kernel killed it because it needed more memory than its limit{limit}."
        if self.asked:
            return f"Somebody asked for it ({self.asked}); it ended with {self.exit_code}."
        if self.signal:
            return f"It was killed by {self.signal}, which this engine did not send."
        if self.exit_code == 0:
            return "It had done its work and ended by itself."
        return f"Its program ended by itself with {self.exit_code}{_MEANING.get(self.exit_code, '')}."


_KILLED: Final = 137
_MEANING: Final = {126: ": a command could not be executed", 127: ": a command was not found"}


class Autopsy:
    """Examines containers that have ended, while their groups and logs are still there."""

    def __init__(self, *, database: Database, cgroup_parent: str) -> None:
        self._database = database
        self._cgroup_parent = cgroup_parent

    def out_of_memory(self, container: Container) -> bool:
        """Whether the kernel has killed a process of *container*, whose group is still there, for want of memory."""
        return cgroup_stats.usage(container.control_group(self._cgroup_parent)).oom_kills > 0

    def examine(self, container: Container, *, asked: str) -> None:
        """Write down the end of *container*, whose state tells of it already. What cannot be learnt is left out."""
        state = container.state
        used = cgroup_stats.usage(container.control_group(self._cgroup_parent))
        death = Death(
            container_id=container.id,
            name=container.name,
            image=container.config.image,
            command=(container.path, *container.args),
            started_at=state.started_at,
            finished_at=state.finished_at,
            exit_code=state.exit_code,
            signal=_signal(state.exit_code),
            error=state.error,
            asked=asked,
            oom_killed=state.oom_killed,
            oom_kills=used.oom_kills,
            memory_peak=used.memory_peak or None,
            memory_limit=container.host.memory,
            cpu_time=used.cpu_total or None,
            restart_count=state.restart_count,
            health=state.health,
            last_lines=_last_lines(container),
        )
        with self._database.transaction() as transaction:
            row = transaction.execute(
                "INSERT INTO deaths (container, name, at, document) VALUES (?, ?, ?, ?)",
                (
                    container.id,
                    container.name,
                    state.finished_at or now(),
                    json.dumps(cattrs.unstructure(death), separators=(",", ":")),
                ),
            ).lastrowid
            transaction.execute("DELETE FROM deaths WHERE id <= ?", ((row or 0) - _OF_ALL,))
            transaction.execute(
                "DELETE FROM deaths WHERE container = ? AND id NOT IN "
                "(SELECT id FROM deaths WHERE container = ? ORDER BY id DESC LIMIT ?)",
                (container.id, container.id, _OF_EACH),
            )

    def deaths(self, text: str = "", *, limit: int = _OF_ALL) -> Sequence[Death]:
        """The last ends, newest first: of the containers with that name or beginning of an id, or of all."""
        bare = text.removeprefix("/")
        rows = self._database.query(
            "SELECT document FROM deaths WHERE ? = '' OR name = ? OR substr(container, 1, length(?)) = ? "
            "ORDER BY id DESC LIMIT ?",
            (bare, bare, bare, bare, limit),
        )
        return [cattrs.structure(json.loads(row["document"]), Death) for row in rows]


def _signal(code: int) -> str:
    with suppress(ValueError):
        return signal.Signals(code - 128).name if code > 128 else ""
    return ""


def _last_lines(container: Container) -> tuple[LastLine, ...]:
    if container.host.log.driver == "none":
        return ()
    entries: list[logfile.LogEntry] = []
    try:
        for batch in LogReader(Path(container.log_path)).batches(LogQuery(tail=_LINES)):
            entries = [*entries, *batch][-_LINES:]
    except OSError:
        _log.exception("could not read the last lines of container %s", container.name)
    return tuple(
        LastLine(at=at, stream=stream, text=text[:_LINE].decode(errors="replace").rstrip("\r\n"))
        for at, stream, text in entries
    )
