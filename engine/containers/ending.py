"""Ending a container's process because somebody asks: the signal, the wait, SIGKILL, and a note of who asked."""

from __future__ import annotations

import signal as signals
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as WaitTimeoutError
from contextlib import suppress
from dataclasses import replace
from typing import Final

from engine.containers.model import Container, Status, Tell
from engine.containers.register import ContainerRegister
from engine.containers.runtime.monitor import Monitors
from engine.containers.runtime.oci import Runtime
from engine.containers.waiting import WaitHandle
from engine.errors import Conflict, ContainerNotFound, EngineError, RuntimeFailed, Unavailable
from engine.types import now

KILL_PATIENCE: Final = 30
"""Seconds that SIGKILL may take: a process in an uninterruptible sleep does not die before it wakes."""
_THAWED: Final = 5
"""Seconds in which a killed process that is not frozen any more has ended."""
_NOTHING: Final = 0
"""The signal that only asks whether there is somebody to send one to."""


class Ender:
    """Ends processes of the containers in *register*; *watch* gives a handle that is done when one does not run."""

    def __init__(
        self,
        *,
        register: ContainerRegister,
        monitors: Monitors,
        runtime: Runtime,
        watch: Callable[[str], WaitHandle],
        unpause: Callable[[str], None],
        tell: Tell,
    ) -> None:
        self._register = register
        self._monitors = monitors
        self._runtime = runtime
        self._watch = watch
        self._unpause = unpause
        self._tell = tell

    def end(self, container: Container, number: int, timeout: float) -> None:
        """Signal, wait, and kill if it comes to that."""
        if container.state.status is Status.PAUSED:
            with suppress(Conflict):  # somebody else has, or has killed it
                self._unpause(container.id)
        with suppress(EngineError):
            self.signal(container, number)
        if timeout < 0:
            self.wait(container.id, threading.TIMEOUT_MAX)
        elif not self.wait(container.id, timeout):
            self.note(container.id, f"stop, and SIGKILL after {timeout:g} s")
            with suppress(EngineError):
                self.signal(container, signals.SIGKILL)
            self.wait(container.id, KILL_PATIENCE)

    def signal(self, container: Container, number: int) -> None:
        """Send a signal, and tell of it before: afterwards the end may be told at any moment."""
        monitor = self._monitors.find(container.id)
        if monitor is None or not monitor.process.send(_NOTHING):
            raise Conflict(f"Container {container.id} is not running")
        self._tell(container, "kill", signal=str(number))
        monitor.process.send(number)
        if number == signals.SIGKILL and container.state.status is Status.PAUSED:
            # A frozen process does not die before it thaws.
            try:
                self._runtime.resume(container.id)
            except RuntimeFailed:
                if not self.wait(container.id, _THAWED):  # else somebody else has let it go on
                    raise

    def wait(self, container_id: str, timeout: float) -> bool:
        """Wait until the container does not run. False when *timeout* seconds were not enough."""
        try:
            handle = self._watch(container_id)
        except ContainerNotFound:
            return True
        try:
            handle.result(timeout=min(timeout, threading.TIMEOUT_MAX))
        except WaitTimeoutError:
            handle.cancel()
            return False
        except CancelledError as error:
            raise Unavailable(f"the engine stops; container {container_id} goes on running") from error
        self.wait_until_taken_down(container_id)
        return True

    def wait_until_taken_down(self, container_id: str) -> None:
        """Wait until what an end leaves behind is gone: whoever stops a container may want its port the next moment.

        The end says that the container does not run as soon as it knows, and keeps the lock until all is taken down.
        """
        with suppress(ContainerNotFound), self._register.locked(container_id):
            return

    def note(self, container_id: str, asked: str) -> None:
        """Remember that somebody wants it stopped, before it ends: no policy then starts it again."""
        with suppress(ContainerNotFound), self._register.locked(container_id) as record:
            by_hand = record.container.host.restart.name != "no"
            if record.container.state.running and (record.asked != asked or by_hand != record.stopped_by_hand):
                self._register.save(replace(record, stopped_by_hand=by_hand, asked=asked, asked_at=now()))
