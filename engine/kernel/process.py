"""Processes that outlive the daemon: a pid alone may be somebody else's by now, a pid with its start time is not."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """One process, for ever: `started` is the kernel's start time in clock ticks since boot (proc(5), stat, 22)."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Process:
        """The process that has *pid* now; `ProcessLookupError` when there is none."""
        return cls(pid, start_time(pid))

    @property
    def alive(self) -> bool:
        """Whether it still runs; one that has ended but that nobody has reaped does not."""
        try:
            state, started = _stat(self.pid)
        except ProcessLookupError:
            return False
        return started == self.started and state not in "ZX"

    def open(self) -> int | None:
        """A pidfd of it, readable once it ends (the caller closes it); `None` when it is gone."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        # The pid cannot pass to another process between the two steps unnoticed: its start time would differ.
        if not self.alive:
            os.close(descriptor)
            return None
        return descriptor

    def send(self, number: int) -> bool:
        """Send it the signal *number*; false when it has ended already."""
        descriptor = self.open()
        if descriptor is None:
            return False
        try:
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)
        return True


def start_time(pid: int) -> int:
    """When *pid* started, in clock ticks since boot; `ProcessLookupError` when there is no such process."""
    return _stat(pid)[1]


def _stat(pid: int) -> tuple[str, int]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError) as error:
        raise ProcessLookupError(f"no process has the pid {pid}") from error
    # The second field is the program's name in parentheses and may itself hold spaces and parentheses.
    fields = text[text.rindex(")") + 2 :].split()
    return fields[0], int(fields[19])
