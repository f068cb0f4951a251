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
            state, started, _ = _stat(self.pid)
        except ProcessLookupError:
            return False
        return started == self.started and state not in "ZX"

    @property
    def sleeps(self) -> bool:
        """Whether it waits for something; one that has ended, or that may run, does not."""
        try:
            state, started, _ = _stat(self.pid)
        except ProcessLookupError:
            return False
        return started == self.started and state == "S"

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


def parent_of(pid: int) -> int:
    """The pid of the parent of *pid*; `ProcessLookupError` when there is no such process."""
    return _stat(pid)[2]


def _stat(pid: int) -> tuple[str, int, int]:
    """The state, the start time and the parent of a process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError) as error:
        raise ProcessLookupError(f"no process has the pid {pid}") from error
    # The second field is the program's name in parentheses and may itself hold spaces and parentheses.
    fields = text[text.rindex(")") + 2 :].split()
    return fields[0], int(fields[19]), int(fields[1])


def held_capabilities() -> frozenset[str]:
    """The capabilities in this process's bounding set, by name: what it can give to a container."""
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("CapBnd:"):
            bits = int(line.split()[1], 16)
            return frozenset(name for number, name in enumerate(CAPABILITIES) if bits >> number & 1)
    return frozenset()


CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)
"""By number (include/uapi/linux/capability.h)."""
