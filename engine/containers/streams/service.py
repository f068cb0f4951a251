"""What flows in and out of containers: attachments, exec sessions, logs. A part of `ContainerService`."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

from engine.containers.logs.reader import LogReader
from engine.containers.logs.rotation import LogRotator
from engine.containers.model import Container, Exec, ExecConfig, Status
from engine.containers.options import LogOptions
from engine.containers.runtime.exits import ExitWatcher
from engine.containers.runtime.monitor import Monitor, Monitors
from engine.containers.state import require_running
from engine.containers.streams.attach import Attachment, Attachments
from engine.containers.streams.exec import ExecSessions
from engine.containers.waiting import Waiters
from engine.errors import Conflict, ContainerNotFound, NotImplementedHere


class ContainerStreams:
    """Makes streams of the containers that a subclass knows."""

    def __init__(self, *, monitors: Monitors, held: Collection[str]) -> None:
        self.monitors = monitors
        self.attachments = Attachments()
        self.exits = ExitWatcher()
        self.execs = ExecSessions(monitors=monitors, watcher=self.exits, held=held, announce=self._announce)
        self._waiters = Waiters()
        self._ends_lock = threading.Lock()
        self._ends: dict[str, Future[int | None]] = {}
        self._rotator = LogRotator(monitors=monitors, running=self._logs)

    def get(self, text: str) -> Container:
        raise NotImplementedError

    def known(self, text: str) -> Container:
        """As `get`, without its network, which takes a query: for what only wants to know what and how it is."""
        raise NotImplementedError

    def _logs(self) -> Iterable[tuple[str, Path, LogOptions]]:
        """The ids of running containers, with their logs and what is to become of these."""
        raise NotImplementedError

    def tell(self, container: Container, action: str, **attributes: str) -> None:
        raise NotImplementedError

    def monitor(self, text: str) -> Monitor:
        """The monitor of a running container; `NotRunning` or `Conflict` when it does not run."""
        container = self.known(text)
        require_running(container)
        monitor = self.monitors.find(container.id)
        if monitor is None:
            raise Conflict(f"Container {container.id} has lost its monitor: restart it")
        return monitor

    def resize(self, text: str, *, rows: int, cols: int) -> None:
        """Set the size of a running container's terminal."""
        self.monitor(text).resize(rows=rows, columns=cols)
        self.tell(self.known(text), "resize", height=str(rows), width=str(cols))

    def attachable(self, text: str) -> Container:
        """The container, to attach to its streams or its log; `Conflict` when it is paused or between two lives."""
        container = self.known(text)
        if container.state.status is Status.PAUSED:
            raise Conflict(f"Container {text} is paused, unpause the container before attach.")
        if container.state.status is Status.RESTARTING:
            raise Conflict(f"Container {text} is restarting, wait until the container is running.")
        return container

    def attach(self, text: str, *, stdin: bool, stdout: bool, stderr: bool) -> Attachment:
        """A stream to a container that runs, or that will be started."""
        container = self.attachable(text)
        config = container.config
        attachment = self.attachments.open(
            container_id=container.id,
            monitor=self.monitors.find(container.id) if container.state.running else None,
            tty=config.tty,
            stdin=stdin and config.open_stdin,
            stdout=stdout,
            stderr=stderr,
            stdin_once=config.stdin_once,
        )
        attachment.exited = self._end_of(container.id)
        self.tell(container, "attach")
        return attachment

    def log_reader(self, text: str) -> LogReader:
        """The container's log, from its first start on; `NotImplementedHere` where it keeps none."""
        container = self.known(text)
        if container.host.log.driver == "none":
            raise NotImplementedHere("configured logging driver does not support reading: this container keeps no log")
        exited = self._end_of(container.id) if container.state.running else None
        if exited is not None and not self.known(container.id).state.running:
            # It has ended in between, perhaps before anybody waited for that.
            exited = None
        return LogReader(Path(container.log_path), exited=exited)

    def exec_create(self, text: str, config: ExecConfig) -> str:
        """A new exec session's id; nothing runs yet. `Conflict` when the container does not run."""
        return self.execs.create(container=self.known(text), config=config)

    def exec_start(self, exec_id: str, *, detach: bool = False, rows: int = 0, cols: int = 0) -> Attachment | None:
        """Run a session's command; its streams, or `None` when *detach*. Errors as `ExecSessions.start`."""
        container = self.known(self.execs.inspect(exec_id).container_id)
        return self.execs.start(exec_id, container=container, detach=detach, rows=rows, columns=cols)

    def exec_check(self, exec_id: str) -> None:
        """Raise what `exec_start` would raise at once."""
        self.execs.check(exec_id, container=self.known(self.execs.inspect(exec_id).container_id))

    def exec_inspect(self, exec_id: str) -> Exec:
        return self.execs.inspect(exec_id)

    def exec_resize(self, exec_id: str, *, rows: int, cols: int) -> None:
        self.execs.resize(exec_id, rows=rows, columns=cols)

    def exec_ids(self, container_id: str) -> tuple[str, ...]:
        """The sessions of a container that have not ended."""
        return self.execs.running(container_id)

    def close_streams(self) -> None:
        self._rotator.close()
        self.exits.close()
        self.attachments.close()

    def _end_streams(self, container_id: str) -> None:
        """The container has ended, could not be started, or is gone."""
        self.attachments.ended(container_id)
        self.execs.forget(container_id)

    def _end_of(self, container_id: str) -> Future[int | None]:
        """Done at the container's next end. One for all who ask: a container may run, and be asked about, for years."""
        with self._ends_lock:
            end = self._ends.get(container_id)
            if end is None or end.done():
                end = self._ends[container_id] = self._waiters.code(container_id)
                end.add_done_callback(lambda done: self._forget_end(container_id, done))
            return end

    def _forget_end(self, container_id: str, end: Future[int | None]) -> None:
        # Not under the lock: a future that is done already calls back at once, on the thread that asks.
        if self._ends.get(container_id) is end:
            self._ends.pop(container_id, None)

    def _announce(self, container_id: str, action: str, attributes: Mapping[str, str]) -> None:
        with suppress(ContainerNotFound):
            self.tell(self.known(container_id), action, **attributes)
