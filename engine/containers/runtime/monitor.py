"""Monitors: one conmon for each container, which holds its stdio, writes its log and its exit code.

A monitor is started with `runc create` below it and outlives the daemon. Its directory, `<run>/monitors/<id>`, holds

    config.json        a link to the bundle's: conmon puts its sockets into the directory that it gives runc as bundle
    attach             SEQPACKET socket for standard streams (`engine.containers.streams.attach`)
    ctl, winsz         fifos: `1 ROWS COLUMNS` resizes the terminal, `2 0 0` opens the log anew
    pid, monitor.pid   the container's first process, and conmon
    monitor.json       the same with start times, written last: a directory without it was never finished
    <id>               the exit code, there once the container has ended and its output is in the log
    oom                there when the kernel killed for want of memory
    exec-<id>/         the same for each exec session (`engine.containers.streams.exec`)

How conmon starts is in `engine.containers.runtime.conmon`.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from engine.containers.runtime.conmon import arguments_of, end_unrecorded, launched, process
from engine.containers.runtime.oci import Runtime
from engine.errors import RuntimeFailed
from engine.kernel import cgroup
from engine.kernel.process import Process, parent_of

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """A running (or ended) monitor and what it watches: a container, or one exec session in it."""

    id: str
    """The container's, or the exec session's."""
    container_id: str
    directory: Path
    process: Process
    """The first process of the container, or the one of the exec session."""
    monitor: Process
    tty: bool
    stdin: bool
    """Whether it has a stdin that can be written."""
    stdin_once: bool
    """Whether the first attached client that ends its stdin ends the container's too."""

    @property
    def exit_path(self) -> Path:
        return self.directory / self.container_id

    @property
    def exit_code(self) -> int | None:
        """The exit code that the monitor has written (128 + signal for a killed process), `None` when it has not."""
        try:
            return int(self.exit_path.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return None

    @property
    def oom_killed(self) -> bool:
        """Whether the kernel killed a process of the container for want of memory."""
        return (self.directory / "oom").exists()

    def resize(self, *, rows: int, columns: int) -> None:
        """Set the size of the terminal; without a terminal it does nothing. `RuntimeFailed` when conmon is gone."""
        if self.tty:
            self._control(f"1 {rows} {columns}\n")

    def reopen_log(self) -> None:
        """Have conmon open its log by name again, after the file has been renamed."""
        self._control("2 0 0\n")

    def save(self) -> None:
        """Record the monitor in its directory, so that a later daemon finds it."""
        record = {
            "id": self.id,
            "container": self.container_id,
            "process": [self.process.pid, self.process.started],
            "monitor": [self.monitor.pid, self.monitor.started],
            "tty": self.tty,
            "stdin": self.stdin,
            "stdin_once": self.stdin_once,
        }
        temporary = self.directory / "monitor.json.new"
        temporary.write_text(json.dumps(record), encoding="ascii")
        temporary.replace(self.directory / "monitor.json")

    @classmethod
    def load(cls, directory: Path) -> Monitor | None:
        """The monitor recorded in *directory*, `None` when there is none or its start was never finished."""
        try:
            record = json.loads((directory / "monitor.json").read_text(encoding="ascii"))
            return cls(
                id=record["id"],
                container_id=record["container"],
                directory=directory,
                process=Process(*record["process"]),
                monitor=Process(*record["monitor"]),
                tty=record["tty"],
                stdin=record["stdin"],
                stdin_once=record["stdin_once"],
            )
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            return None

    @classmethod
    def recover(cls, directory: Path, *, id: str, container_id: str) -> Monitor | None:  # noqa: A002 - the field's name
        """The monitor that works in *directory* and whose record there is damaged, as conmon's own files and arguments
        tell; `None` where these are not whole either."""
        try:
            pid, conmon = (int((directory / name).read_text(encoding="ascii")) for name in ("pid", "monitor.pid"))
        except (OSError, ValueError):
            return None
        if min(pid, conmon) < 1:
            return None
        arguments = arguments_of(conmon, directory)
        # Pids are given again: that of the container's process is still its own while conmon is its parent.
        watched = bool(arguments) and _parent(pid) == conmon
        return cls(
            id=id,
            container_id=container_id,
            directory=directory,
            process=process(pid) if watched else Process(pid, 0),
            monitor=process(conmon) if arguments else Process(conmon, 0),
            tty="--terminal" in arguments,
            stdin=not {"--terminal", "--stdin"}.isdisjoint(arguments),
            stdin_once="--stdin" in arguments and "--leave-stdin-open" not in arguments,
        )

    def _control(self, line: str) -> None:
        # Without O_NONBLOCK the open would wait for a reader for ever once conmon has gone.
        try:
            descriptor = os.open(self.directory / "ctl", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise RuntimeFailed(f"the monitor of {self.id} does not answer: {error.strerror}") from error
        try:
            os.write(descriptor, line.encode("ascii"))
        except OSError as error:
            raise RuntimeFailed(f"the monitor of {self.id} takes no orders: {error.strerror}") from error
        finally:
            os.close(descriptor)


class Monitors:
    """Starts monitors under *root* (`<run>/monitors`), with *conmon* over the OCI *runtime*."""

    def __init__(self, *, root: Path, conmon: Path, runtime: Runtime) -> None:
        self._root = root
        self._conmon = conmon
        self._runtime = runtime

    def directory(self, container_id: str) -> Path:
        return self._root / container_id

    def exec_directory(self, container_id: str, exec_id: str) -> Path:
        return self._root / container_id / f"exec-{exec_id}"

    def launch(
        self, *, container_id: str, bundle: Path, log_path: Path | None, tty: bool, stdin: bool, stdin_once: bool
    ) -> Monitor:
        """Create (not start) the container whose `config.json` lies in *bundle*, under a new monitor.

        What it prints goes to *log_path* in the format of Kubernetes' log files, nowhere where that is `None`. The
        last record in it must be whole. Takes about 30 ms.

        Raises `CommandUnusable` when the runtime cannot execute the container's command, `RuntimeFailed` with the
        runtime's words for anything else. Nothing is left of the monitor then; the runtime may have kept state, which
        `runc delete --force` removes.
        """
        directory = self.directory(container_id)
        with self._new(directory):
            (directory / "config.json").symlink_to(bundle / "config.json")
            arguments = [
                f"--bundle={directory}",
                f"--log-path={f'k8s-file:{log_path}' if log_path is not None else 'off'}",
                *_streams(tty=tty, stdin=stdin, stdin_once=stdin_once),
            ]
            cgroup.expect_join()
            with (
                self._command(container_id, container_id, directory) as (command, ready),
                launched(
                    [*command, *arguments], container_id=container_id, directory=directory, verb="create", ready=ready
                ) as conmon,
            ):
                pid = conmon.watched_pid()
            monitor = Monitor(
                id=container_id,
                container_id=container_id,
                directory=directory,
                process=process(pid),
                monitor=conmon.process,
                tty=tty,
                stdin=stdin,
                stdin_once=stdin_once,
            )
            monitor.save()
        return monitor

    def launch_exec(
        self,
        *,
        exec_id: str,
        container_id: str,
        spec: Mapping[str, Any],
        stdin: bool,
        note: Mapping[str, Any],
        connect: Callable[[Path], socket.socket] | None,
    ) -> tuple[Monitor, socket.socket | None]:
        """Run the process *spec* (OCI runtime-spec, config.md, "Process") in a running container.

        With *connect*, the session is attached: *connect* is called with its directory once the attach socket listens,
        and the process starts only afterwards, so that not a byte of its output is missed. *note* is kept with the
        monitor for a later daemon (`execs`). Returns the monitor and the connection. Raises as `launch` does.
        """
        directory = self.exec_directory(container_id, exec_id)
        tty = bool(spec.get("terminal", False))
        connection: socket.socket | None = None
        try:
            with self._new(directory):
                process_path = directory / "process.json"
                process_path.write_text(json.dumps(spec), encoding="utf-8")
                (directory / "exec.json").write_text(json.dumps(note), encoding="utf-8")
                arguments = [
                    "--exec",
                    f"--exec-process-spec={process_path}",
                    f"--bundle={directory}",
                    "--log-path=off",
                    *(["--exec-attach"] if connect else []),
                    *_streams(tty=tty, stdin=stdin, stdin_once=True),
                ]
                with (
                    self._command(exec_id, container_id, directory) as (command, ready),
                    launched(
                        [*command, *arguments],
                        container_id=container_id,
                        directory=directory,
                        verb="exec",
                        ready=ready,
                        attached=connect is not None,
                    ) as conmon,
                ):
                    if connect:
                        conmon.wait_until_attachable()
                        connection = connect(directory)
                        conmon.proceed()
                    pid = conmon.watched_pid()
                monitor = Monitor(
                    id=exec_id,
                    container_id=container_id,
                    directory=directory,
                    process=process(pid),
                    monitor=conmon.process,
                    tty=tty,
                    stdin=stdin,
                    stdin_once=True,
                )
                monitor.save()
        except BaseException:
            if connection is not None:
                connection.close()
            raise
        return monitor, connection

    def find(self, container_id: str) -> Monitor | None:
        """The monitor that this or an earlier daemon started for the container, running or not."""
        return _found(self.directory(container_id), id=container_id, container_id=container_id)

    def remove(self, container_id: str) -> None:
        """Forget a container's monitor and those of its exec sessions. One that still runs is killed first."""
        _discard(self.directory(container_id))

    def execs(self, container_id: str) -> list[tuple[Monitor, Mapping[str, Any]]]:
        """The monitors of a container's exec sessions with their notes.

        What was never finished is removed, and what has lost its note: nobody could ask for it.
        """
        found: list[tuple[Monitor, Mapping[str, Any]]] = []
        for directory in self.directory(container_id).glob("exec-*"):
            monitor = _found(directory, id=directory.name.removeprefix("exec-"), container_id=container_id)
            note = _note(directory)
            if monitor is None or note is None:
                _discard(directory)
            else:
                found.append((monitor, note))
        return found

    def remove_exec(self, container_id: str, exec_id: str) -> None:
        """Forget an exec session's monitor. One that still runs is killed first."""
        _discard(self.exec_directory(container_id, exec_id))

    def ids(self) -> set[str]:
        """The containers that have a directory here, finished or not."""
        return {entry.name for entry in self._root.iterdir()} if self._root.is_dir() else set()

    @contextmanager
    def _command(
        self, monitor_id: str, container_id: str, directory: Path
    ) -> Iterator[tuple[list[str], Callable[[], None]]]:
        """conmon over the runtime, which it may run after a call of the function that comes along, in the block."""
        log = directory / "runtime.log"
        # A session joins a container that is there; only one that is to be made needs what the host has mounted.
        creates = monitor_id == container_id
        with self._runtime.coming_command(log=log, directory=directory, sees_host=creates) as (
            (program, *arguments),
            ready,
        ):
            command = [
                str(self._conmon),
                "--api-version",
                "--full-attach",
                "--no-sync-log",
                "--log-level=error",
                f"--cid={container_id}",
                f"--cuuid={monitor_id}",
                f"--runtime={program}",
                *(f"--runtime-arg={argument}" for argument in arguments),
                f"--exit-dir={directory}",
                f"--container-pidfile={directory / 'pid'}",
                f"--conmon-pidfile={directory / 'monitor.pid'}",
            ]
            yield command, ready

    @contextmanager
    def _new(self, directory: Path) -> Iterator[None]:
        """A new, empty *directory*, discarded again when the block raises."""
        _discard(directory)
        self._root.mkdir(parents=True, exist_ok=True)
        directory.mkdir(mode=0o700)  # that of an exec session in its container's, which may be gone by now
        try:
            yield
        except BaseException:
            _discard(directory)
            raise


def _streams(*, tty: bool, stdin: bool, stdin_once: bool) -> list[str]:
    """conmon's options for the standard streams. A terminal's stdin stays open: it is the terminal."""
    if tty:
        return ["--terminal"]
    if not stdin:
        return []
    return ["--stdin"] if stdin_once else ["--stdin", "--leave-stdin-open"]


def _found(directory: Path, *, id: str, container_id: str) -> Monitor | None:  # noqa: A002 - the field's name
    """The monitor recorded in *directory*, also where the record has been damaged since it was written."""
    if not (directory / "monitor.json").exists():
        return None
    monitor = Monitor.load(directory)
    if monitor is None:
        monitor = Monitor.recover(directory, id=id, container_id=container_id)
        if monitor is not None:
            _LOG.warning("%s is damaged: written anew as the processes tell", directory / "monitor.json")
            monitor.save()
    return monitor


def _note(directory: Path) -> Mapping[str, Any] | None:
    """What is kept with an exec session's monitor; `None` where it is damaged."""
    try:
        note = json.loads((directory / "exec.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return note if isinstance(note, dict) else None


def _parent(pid: int) -> int:
    try:
        return parent_of(pid)
    except ProcessLookupError:
        return 0


_TRIES: Final = 20


def _discard(directory: Path) -> None:
    """Remove a monitor's directory, and the monitors recorded there if they still run."""
    if not directory.is_dir():
        return
    for recorded in (directory, *directory.glob("exec-*")):
        monitor = Monitor.load(recorded)
        if monitor is not None:
            monitor.monitor.send(signal.SIGKILL)
        else:
            end_unrecorded(recorded)
    for _ in range(_TRIES):
        try:
            shutil.rmtree(directory)
            return
        except FileNotFoundError:
            if not directory.exists():
                return
        except OSError as error:
            # A monitor on its way out, or another thread with the end of an exec session, is in there as well.
            if error.errno != errno.ENOTEMPTY:
                raise
    raise RuntimeFailed(f"cannot remove {directory}: something keeps writing to it")
