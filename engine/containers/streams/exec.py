"""Exec sessions: further processes in a running container, each under a monitor of its own.

A session is made (`create`), started once (`start`), and forgotten some minutes after its end or with its container.
It is kept in memory; what runs is recorded in the monitor's directory as well, so that a later daemon takes it over.

What becomes of a session whose client vanishes: without a terminal its stdin ends; with one it gets SIGHUP, as from a
terminal that hangs up. A session that nobody can type into runs on to its own end, as with Docker.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field, replace
from typing import Final

from engine.containers.model import Container, Exec, ExecConfig, Status
from engine.containers.runtime.exits import Exit, ExitWatcher
from engine.containers.runtime.monitor import Monitor, Monitors
from engine.containers.state import require_running
from engine.containers.streams.attach import Attachment, connection_to
from engine.containers.streams.exec_process import exec_process
from engine.errors import Conflict, ExecNotFound, InvalidParameter, NotRunning, RuntimeFailed
from engine.kernel import cgroup
from engine.types import new_id

REMEMBERED: Final = 300.0
"""Seconds for which the exit code of an ended session can be asked for."""
WAITING: Final = 500
"""Sessions of one container that may wait for their start; the oldest are forgotten beyond that."""

_AT_ONCE: Final = 0.01
"""Seconds from a session's creation on in which its start finds the `cgroup.expect_join` of that moment still good."""

Announce = Callable[[str, str, Mapping[str, str]], None]
"""Called with the container's id, the event's action and its further attributes."""


@dataclass(slots=True)
class _Session:
    state: Exec
    monitor: Monitor | None = None
    started: bool = False
    made_at: float = field(default_factory=time.monotonic)
    ended_at: float | None = None
    exited: Future[int | None] = field(default_factory=Future)


class ExecSessions:
    """All exec sessions of the engine. Any thread may call.

    *held* are the capabilities that a privileged session gets. *announce* publishes `exec_create: CMD`,
    `exec_start: CMD` and `exec_die`.
    """

    def __init__(self, *, monitors: Monitors, watcher: ExitWatcher, held: Collection[str], announce: Announce) -> None:
        self._monitors = monitors
        self._watcher = watcher
        self._held = held
        self._announce = announce
        self._lock = threading.Lock()
        self._sessions: dict[str, _Session] = {}

    def create(self, *, container: Container, config: ExecConfig) -> str:
        """A new session's id. Nothing runs yet.

        `InvalidParameter` without a command; `Conflict` when *container* does not run or is paused.
        """
        if not config.cmd:
            raise InvalidParameter("No exec command specified")
        _require_usable(container)
        exec_id = new_id()
        cgroup.expect_join()  # most are started the next moment
        with self._lock:
            self._prune()
            self._forget_waiting(container.id)
            self._sessions[exec_id] = _Session(Exec(id=exec_id, container_id=container.id, config=config))
        self._announce(container.id, _event("exec_create", config), {"execID": exec_id})
        return exec_id

    def start(
        self, exec_id: str, *, container: Container, detach: bool = False, rows: int = 0, columns: int = 0
    ) -> Attachment | None:
        """Run the session's command in its *container*; its streams, or `None` when *detach*. Takes about 40 ms.

        *rows* and *columns* are the terminal's first size, where there is one. `Conflict` when the session has been
        started before, or when the container does not run or is paused, and then it can be started later;
        `CommandUnusable` when there is no such command, and then the session's exit code is that of the error;
        `RuntimeFailed` else.
        """
        _require_usable(container)
        session = self._begin(exec_id)
        config = session.state.config
        attachment: Attachment | None = None
        monitor: Monitor | None = None
        try:
            monitor = self._monitors.find(container.id)
            if monitor is None:
                raise _not_running(container)
            spec = exec_process(
                container=container, monitor=monitor, config=config, held=self._held, rows=rows, columns=columns
            )
            if time.monotonic() - session.made_at > _AT_ONCE:
                cgroup.expect_join()
            stdin = config.attach_stdin and not detach
            self._announce(container.id, _event("exec_start", config), {"execID": exec_id})
            launched, connection = self._monitors.launch_exec(
                exec_id=exec_id,
                container_id=container.id,
                spec=spec,
                stdin=stdin,
                connect=None if detach else lambda directory: connection_to(directory, name=container.id),
                note=asdict(config),
            )
        except BaseException as error:
            self._failed(session, 126)  # whatever the reason, as in dockerd
            # Where the container has ended meanwhile, its directory may be gone too.
            ended = monitor is not None and not monitor.process.alive
            if ended and isinstance(error, RuntimeFailed | FileNotFoundError):
                raise _not_running(container) from error
            raise
        if connection is not None:
            attachment = Attachment(
                tty=config.tty,
                stdin=stdin,
                stdout=config.attach_stdout,
                stderr=config.attach_stderr,
                stdin_once=True,
                exited=session.exited,
                on_close=lambda each, detached: self._left(session, each, detached=detached),
            )
            attachment.connect(connection)
        with self._lock:
            session.monitor = launched
            session.state = replace(session.state, running=True, pid=launched.process.pid)
        self._watch(session, launched)
        return attachment

    def check(self, exec_id: str, *, container: Container) -> None:
        """Refuse what `start` would refuse at once, before somebody is told that it has begun."""
        with self._lock:
            self._unstarted(exec_id)
        _require_usable(container)

    def inspect(self, exec_id: str) -> Exec:
        """The session at this moment; `ExecNotFound` when there is none, or none any more."""
        with self._lock:
            self._prune()
            return self._find(exec_id).state

    def resize(self, exec_id: str, *, rows: int, columns: int) -> None:
        """Set the size of a running session's terminal; `Conflict` when it does not run."""
        with self._lock:
            session = self._find(exec_id)
        if session.monitor is None or not session.state.running:
            raise Conflict(f"exec instance {exec_id} is not running")
        session.monitor.resize(rows=rows, columns=columns)

    def signal(self, exec_id: str, number: int) -> None:
        """Send a signal to a session's process; nothing happens when it has ended."""
        with self._lock:
            session = self._find(exec_id)
        if session.monitor is not None:
            session.monitor.process.send(number)

    def running(self, container_id: str) -> tuple[str, ...]:
        """The ids of a container's sessions that have not ended, for inspect."""
        with self._lock:
            return tuple(
                session.state.id
                for session in self._sessions.values()
                if session.state.container_id == container_id and session.ended_at is None
            )

    def adopt(self, container_ids: Collection[str]) -> None:
        """Take over the sessions that an earlier daemon started in these containers, and clear away the ended ones."""
        for container_id in container_ids:
            for monitor, values in self._monitors.execs(container_id):
                # JSON knows no tuples.
                lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
                config = ExecConfig(**dict(values) | lists)
                state = Exec(
                    id=monitor.id, container_id=container_id, config=config, running=True, pid=monitor.process.pid
                )
                session = _Session(state, monitor=monitor, started=True)
                with self._lock:
                    self._sessions[monitor.id] = session
                self._watch(session, monitor)

    def forget(self, container_id: str) -> None:
        """The container has ended or is gone: so are the sessions that wait for a start, and the ended ones."""
        with self._lock:
            for exec_id, session in tuple(self._sessions.items()):
                if session.state.container_id == container_id and not session.state.running:
                    del self._sessions[exec_id]

    def _begin(self, exec_id: str) -> _Session:
        with self._lock:
            session = self._unstarted(exec_id)
            session.started = True
            return session

    def _unstarted(self, exec_id: str) -> _Session:
        session = self._find(exec_id)
        if session.ended_at is not None:
            raise Conflict(f"Error: Exec command {exec_id} has already run")
        if session.started:
            raise Conflict(f"Error: Exec command {exec_id} is already running")
        return session

    def _watch(self, session: _Session, monitor: Monitor) -> None:
        self._watcher.watch(monitor, lambda end: self._ended(session, end))

    def _failed(self, session: _Session, code: int) -> None:
        with self._lock:
            session.ended_at = time.monotonic()
            session.state = replace(session.state, exit_code=code)
        session.exited.set_result(code)

    def _ended(self, session: _Session, end: Exit) -> None:
        code = end.code
        if code is None:
            # The monitor was killed: nobody reads what the process prints. Or both have gone with their container.
            end.monitor.process.send(signal.SIGKILL)
            code = 137
        with self._lock:
            session.ended_at = time.monotonic()
            session.state = replace(session.state, running=False, exit_code=code, pid=0)
        try:
            self._announce(session.state.container_id, "exec_die", {"execID": session.state.id, "exitCode": str(code)})
        finally:
            session.exited.set_result(code)
            # Nobody waits for this: a later daemon finds it and does it.
            self._monitors.remove_exec(session.state.container_id, session.state.id)

    def _left(self, session: _Session, attachment: Attachment, *, detached: bool) -> None:
        """The client of an attached session has gone."""
        connection = attachment.connection
        if connection is not None:
            connection.close()
        if detached:
            self._announce(session.state.container_id, "exec_detach", {"execID": session.state.id})
        monitor = session.monitor
        if monitor is not None and monitor.tty and attachment.stdin and not detached and session.state.running:
            monitor.process.send(signal.SIGHUP)

    def _find(self, exec_id: str) -> _Session:
        session = self._sessions.get(exec_id)
        if session is None:
            raise ExecNotFound(exec_id)
        return session

    def _forget_waiting(self, container_id: str) -> None:
        waiting = [
            exec_id
            for exec_id, session in self._sessions.items()
            if session.state.container_id == container_id and not session.started
        ]
        for exec_id in waiting[: max(0, len(waiting) - WAITING + 1)]:
            del self._sessions[exec_id]

    def _prune(self) -> None:
        oldest = time.monotonic() - REMEMBERED
        for exec_id, session in tuple(self._sessions.items()):
            if session.ended_at is not None and session.ended_at < oldest:
                del self._sessions[exec_id]


def _event(action: str, config: ExecConfig) -> str:
    """The action of an event with the command in it, as dockerd writes it: program, space, arguments."""
    return f"{action}: {config.cmd[0]} {' '.join(config.cmd[1:])}"


def _not_running(container: Container) -> NotRunning:
    return NotRunning(f"Container {container.id} is not running")


def _require_usable(container: Container) -> None:
    require_running(container)
    if container.state.status is Status.PAUSED:
        raise Conflict(f"Container {container.name} is paused, unpause the container before exec")
