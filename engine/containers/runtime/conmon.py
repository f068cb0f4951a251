"""The start of one conmon process, up to the moment when it tells the pid of what it watches.

The protocol is that of conmon's `src/conmon.c` and `src/parent_pipe_fd.c`, versions 2.0.25 to 2.1.13. Each pipe's
descriptor is told by an environment variable:

    _OCI_SYNCPIPE     from conmon, one JSON line: `{"data": PID}`, or `{"data": -1, "message": TEXT}` on failure
    _OCI_STARTPIPE    to conmon: it reads once before it forks, and an attached exec once more before `runc exec`;
                      nothing is run before the first
    _OCI_ATTACHPIPE   from conmon, one JSON line once its attach socket listens (attached exec only)
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from engine.containers.runtime.failures import runtime_failure
from engine.errors import RuntimeFailed
from engine.kernel.process import Process

START_TIMEOUT: Final = 120.0
"""Seconds that the runtime may take to create a process: cold page caches and a loaded host included."""

_LOOK: Final = 1.0
_LOOKS: Final = 3
"""How often in turn, and after how many seconds each, conmon must be seen to wait in vain."""
_LAST_WORDS: Final = 5.0
"""Seconds in which a process that was killed has ended."""
_ENVIRONMENT: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    # conmon stamps log lines in local time: in UTC they sort as they came, and no daylight saving repeats an hour.
    "TZ": "UTC0",
    # conmon binds the console socket below TMPDIR. Relative to its own directory the path is private and short
    # enough for a socket's address (108 bytes), however long that of the run directory.
    "TMPDIR": ".",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conmon:
    """A conmon under way. `process` is conmon itself."""

    process: Process
    container_id: str
    verb: str
    directory: Path
    deadline: float
    sync: int
    start: int
    attach: int

    def wait_until_attachable(self) -> None:
        """Wait until the attach socket of an attached exec listens; nothing runs yet."""
        if not self._line(self.attach):
            self._fail("")

    def proceed(self) -> None:
        """Let an attached exec run its command."""
        os.write(self.start, b"1")

    def watched_pid(self) -> int:
        """Wait until the runtime has made the process, and return its pid as the host sees it.

        Raises `CommandUnusable` or `RuntimeFailed` with the runtime's words when it could not.
        """
        line = self._line(self.sync)
        try:
            answer = json.loads(line)
            pid = int(answer["data"])
        except (ValueError, KeyError, TypeError):
            self._fail(line.decode(errors="replace"))
        if pid <= 0:
            self._fail(str(answer.get("message", "")))
        return pid

    def _line(self, descriptor: int) -> bytes:
        """The first line from *descriptor*, or what there was before its end.

        A second may follow at once: the exit code of a quick exec, which the exit file tells as well.
        """
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        line = b""
        in_vain = 0
        while b"\n" not in line:
            if not poll.poll(min(_LOOK, max(0.0, self.deadline - time.monotonic())) * 1000):
                left = self._left_alone()
                in_vain = in_vain + 1 if left else 0
                if in_vain < _LOOKS and time.monotonic() < self.deadline:
                    continue
                # The runtime dies with conmon (it asks for that by PR_SET_PDEATHSIG), what it has made does not.
                for each in (*left, self.process):
                    each.send(signal.SIGKILL)
                how = "was killed at work" if left else f"did not {self.verb} the process within {START_TIMEOUT:.0f} s"
                raise RuntimeFailed(f"the OCI runtime {how}")
            chunk = os.read(descriptor, 65536)
            if not chunk:
                break
            line += chunk
        return line.partition(b"\n")[0]

    def _left_alone(self) -> list[Process]:
        """What the runtime has made, where the runtime is gone and conmon waits in vain.

        It reads the runtime's last words from a pipe that these processes have as well, and which so never ends.
        """
        pid = self.process.pid
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
            found = [Process.of(int(child)) for child in children]
            groups = [Path(f"/proc/{child}/cgroup").read_text(encoding="utf-8") for child in children]
        except OSError:
            return []
        in_vain = self.process.sleeps and all(f"/{self.container_id}" in group for group in groups)
        return found if in_vain else []

    def _fail(self, said: str) -> NoReturn:
        log, program = self.directory / "runtime.log", _program(self.directory)
        raise runtime_failure(verb=self.verb, said=said, log=log, program=program)


def arguments_of(pid: int, directory: Path) -> Sequence[str]:
    """The arguments of the process *pid*, if it is a conmon that works in *directory*; else none."""
    try:
        arguments = os.fsdecode(Path("/proc", str(pid), "cmdline").read_bytes()).split("\0")
    except OSError:
        return ()  # it has ended
    return arguments if f"--exit-dir={directory}" in arguments else ()


def end_unrecorded(directory: Path) -> None:
    """Kill the conmon that works in *directory* and has not been written down: its daemon ended while it began.

    Left alone, it would have the runtime make a container that nobody knows. Returns when it has ended.
    """
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or not arguments_of(int(entry.name), directory):
            continue
        try:
            found = Process.of(int(entry.name))
        except ProcessLookupError:
            continue  # it has ended meanwhile
        found.send(signal.SIGKILL)
        deadline = time.monotonic() + _LAST_WORDS
        while found.alive and time.monotonic() < deadline:
            time.sleep(0.005)


@contextmanager
def launched(
    arguments: Sequence[str],
    *,
    container_id: str,
    directory: Path,
    verb: str,
    ready: Callable[[], None],
    attached: bool = False,
) -> Iterator[Conmon]:
    """Run conmon with *arguments* in *directory*, where it writes `monitor.pid`.

    *verb* is what the runtime shall do, `create` or `exec`. It is not run before *ready* has returned, which is called
    while conmon loads. With *attached*, conmon waits for `proceed` as well. The pipes close with the block; conmon goes
    on. Raises `RuntimeFailed` when conmon itself does not start.
    """
    with ExitStack() as stack:

        def pipe() -> tuple[int, int]:
            ends = os.pipe()
            for end in ends:
                stack.callback(_close, end, closed)
            return ends

        closed: set[int] = set()
        sync, sync_end = pipe()
        start_end, start = pipe()
        environment = _ENVIRONMENT | {"_OCI_SYNCPIPE": str(sync_end), "_OCI_STARTPIPE": str(start_end)}
        passed = [sync_end, start_end]
        attach = -1
        if attached:
            attach, attach_end = pipe()
            passed.append(attach_end)
            environment["_OCI_ATTACHPIPE"] = str(attach_end)
        try:
            first = subprocess.Popen(
                arguments,
                cwd=directory,
                env=environment,
                pass_fds=passed,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            raise RuntimeFailed(f"cannot run the container monitor {arguments[0]}: {error.strerror}") from error
        for end in passed:
            _close(end, closed)
        # The first process forks the monitor, notes its pid and leaves; the monitor lets go of stderr.
        with first:
            try:
                ready()
            except BaseException:
                first.kill()  # it has not begun
                raise
            with suppress(BrokenPipeError):  # it has ended: its status says why
                os.write(start, b"0")
            status = first.wait()
            if status != 0 and first.stderr is not None:
                said = first.stderr.read().decode(errors="replace").strip()
                raise RuntimeFailed(f"the container monitor {arguments[0]} failed (status {status}): {said}")
        yield Conmon(
            process=process(int((directory / "monitor.pid").read_text(encoding="ascii"))),
            container_id=container_id,
            verb=verb,
            directory=directory,
            deadline=time.monotonic() + START_TIMEOUT,
            sync=sync,
            start=start,
            attach=attach,
        )


def process(pid: int) -> Process:
    """The process *pid*; one that has ended already comes with the start time 0, and so never counts as alive."""
    try:
        return Process.of(pid)
    except ProcessLookupError:
        return Process(pid, 0)


def _program(directory: Path) -> str:
    """What the runtime was to execute, as the specification in a monitor's *directory* has it, if it does."""
    process, config = directory / "process.json", directory / "config.json"
    try:
        document = json.loads((process if process.exists() else config).read_text(encoding="utf-8"))
        return str(document.get("process", document)["args"][0])
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def _close(descriptor: int, closed: set[int]) -> None:
    """Close once: its number may belong to another thread's file afterwards."""
    if descriptor not in closed:
        closed.add(descriptor)
        os.close(descriptor)
