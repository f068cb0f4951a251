"""Runs the processes: in order, with prefixed logs, started again when they die, stopped in the reverse order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bringup.console import Failure, say

PATIENCE = 60.0
"""Seconds that a process may take until it is ready."""
LONGEST_PAUSE = 30.0
STEADY = 60.0
"""Seconds after which a process counts as steady, and its next failure as the first."""


@dataclass(frozen=True)
class Service:
    """One process and what is to be known of it."""

    name: str
    command: Sequence[object]
    cwd: Path
    environ: Mapping[str, str]
    ready: Callable[[int], bool]
    """Asked with the process's pid again and again, on a thread, until it is true."""
    prepare: Callable[[], None] | None = None
    """Runs in the child before the program, as root."""
    stop_patience: float = 10.0
    """Seconds between SIGTERM and SIGKILL."""
    waits: bool = True
    """Whether what stands before it must be ready when it starts."""
    hides: Callable[[str], bool] = lambda line: False  # noqa: ARG005 - the field's name for callers
    """Lines for which it is true are not shown, unless it fails to start."""


class Running:
    """A service under care: one task keeps it running until it is told to stop."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.process: asyncio.subprocess.Process | None = None
        self.was_ready = False
        self.stopping = False
        self.failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """How it ended, where that was before it was ready."""
        self._wake = asyncio.Event()
        self._recent: deque[str] = deque(maxlen=15)
        self._task = asyncio.ensure_future(self._keep())

    async def wait_ready(self) -> None:
        """Return when it answers; `Failure` when it ended or stayed silent."""
        deadline = time.monotonic() + PATIENCE
        loop = asyncio.get_running_loop()
        while not (self.process and await loop.run_in_executor(None, self.service.ready, self.process.pid)):
            if self.failed.done():
                shown = "\n".join(f"    {line}" for line in self._recent if line.strip())
                told = f"Its last lines:\n{shown}" if shown else "It said nothing."
                raise Failure(f"{self.service.name} {self.failed.result()} before it was ready. {told}")
            if time.monotonic() > deadline:
                raise Failure(f"{self.service.name} did not answer within {PATIENCE:.0f} s; see its lines above")
            await asyncio.sleep(0.05)
        self.was_ready = True

    async def stop(self) -> None:
        """SIGTERM, patience, SIGKILL; returns when it has ended."""
        self.stopping = True
        self._wake.set()
        self.send(signal.SIGTERM)
        done, _ = await asyncio.wait({self._task}, timeout=self.service.stop_patience)
        if not done:
            say(f"{self.service.name} still runs after {self.service.stop_patience:.0f} s: killing it")
            self.kill()
            await asyncio.wait({self._task})

    def send(self, number: int) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """The whole process group, children too."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    async def _keep(self) -> None:
        pause = 0.5
        while not self.stopping:
            began = time.monotonic()
            code = await self._run_once()
            if self.stopping:
                return
            if not self.was_ready:
                self.failed.set_result(_ending(code))
                return
            if time.monotonic() - began > STEADY:
                pause = 0.5
            pause = min(2 * pause, LONGEST_PAUSE)
            say(
                f"{self.service.name} {_ending(code)}; starting it again in {pause:.0f} s. Containers are not affected."
            )
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause)

    async def _run_once(self) -> int:
        service = self.service
        try:
            self.process = await asyncio.create_subprocess_exec(
                *(str(word) for word in service.command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                cwd=service.cwd,
                env=dict(service.environ),
                preexec_fn=service.prepare,
                start_new_session=True,  # Ctrl-C goes to the supervisor alone, which stops things in order
                limit=1 << 20,
            )
        except (OSError, asyncio.SubprocessError) as error:
            self._tell(f"cannot run {shlex.join(str(word) for word in service.command)}: {error}")
            return 127
        output = self.process.stdout
        while output is not None:
            try:
                line = await output.readline()
            except ValueError:
                continue  # a line of more than a mebibyte
            if not line:
                break
            self._tell(line.decode(errors="replace").rstrip())
        return await self.process.wait()

    def _tell(self, line: str) -> None:
        self._recent.append(line)
        if line.strip() and not self.service.hides(line):
            say(line, source=self.service.name)


def _ending(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


async def supervise(stages: Sequence[Sequence[Service]], *, prepare: Mapping[int, Callable[[], None]]) -> int:
    """Start the *stages* one after the other, keep all of them running until SIGINT or SIGTERM, stop them in reverse.

    A stage starts when those before it are ready, if one of its services `waits` for that, else with them. *prepare*
    holds what is to be done (in a thread) before a stage, by its number. A second signal kills what has not
    ended by then. Returns the exit code of the whole.
    """
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    started: list[list[Running]] = []
    signals = 0

    def on_signal() -> None:
        nonlocal signals
        signals += 1
        asked.set()
        if signals > 1:
            say("killing what still runs")
            for running in (each for stage in started for each in stage):
                running.kill()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, on_signal)

    async def all_ready() -> None:
        await asyncio.gather(*(each.wait_ready() for stage in started for each in stage if not each.was_ready))

    async def start() -> None:
        for number, stage in enumerate(stages):
            if any(service.waits for service in stage):
                await all_ready()
            if number in prepare:
                await loop.run_in_executor(None, prepare[number])
            started.append([Running(service) for service in stage])
        await all_ready()

    code = 0
    starting = asyncio.ensure_future(start())
    asking = asyncio.ensure_future(asked.wait())
    try:
        await asyncio.wait({starting, asking}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            await asking
        say("stopping; containers go on running")
    except Failure as failure:
        say(str(failure))
        code = 1
    finally:
        for task in (starting, asking):
            task.cancel()
        for stage in reversed(started):
            await asyncio.gather(*(running.stop() for running in stage))
    return code
