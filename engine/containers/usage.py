"""What running containers use: resources and processes."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from engine.containers.model import Container
from engine.containers.service import ContainerService
from engine.containers.state import require_running
from engine.errors import EngineFault, InvalidParameter
from engine.kernel import cgroup, cgroup_stats
from engine.kernel.cgroup_stats import Usage
from engine.types import now

_ARGUMENT: Final = re.compile(r"[A-Za-z0-9_,=:+%./@-]{1,200}")
_ENVIRONMENT: Final = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
_PATIENCE: Final = 10
_ASKED: Final = 10_000
"""Processes that ps is asked for by their ids: one argument has 128 KiB at most (MAX_ARG_STRLEN)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A running container's use of resources at one moment."""

    read: int
    """Nanoseconds since the epoch."""
    usage: Usage
    system_cpu_time: int
    """Nanoseconds of all the host's CPUs together, idle or not."""
    online_cpus: int
    interfaces: Mapping[str, Sequence[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessTable:
    """What ps(1) tells of a container's processes."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class ContainerUsage:
    """Looks at the containers of *containers*; *cgroup_parent* is the engine's own group."""

    def __init__(self, *, containers: ContainerService, cgroup_parent: str) -> None:
        self._containers = containers
        self._cgroup_parent = cgroup_parent
        self.memory_of_host = cgroup_stats.memory_of_host()

    def sample(self, container: Container) -> Sample:
        """What *container* uses now; zeros when it does not run. Takes about half a millisecond."""
        group = container.control_group(self._cgroup_parent)
        own_network = container.host.network_mode != "host"
        return Sample(
            read=now(),
            usage=cgroup_stats.usage(group),
            system_cpu_time=cgroup_stats.system_cpu_time(),
            online_cpus=cgroup.online_cpus(),
            interfaces=cgroup_stats.interfaces(container.state.pid) if own_network and container.state.pid else {},
        )

    def processes(self, text: str, *, arguments: str = "-ef") -> ProcessTable:
        """The processes of a running container, as the host's ps(1) tells them with *arguments*.

        `NotRunning`, `InvalidParameter` for arguments that ps does not take or that leave the pid out.
        """
        container = self._containers.get(text)
        require_running(container)
        self._containers.tell(container, "top")
        words = arguments.split() or ["-ef"]
        for word in words:
            if not _ARGUMENT.fullmatch(word):
                raise InvalidParameter(f"ps_args: {word[:60]!r} is no argument of ps")
        pids = set(cgroup_stats.pids(container.control_group(self._cgroup_parent)))
        lines = self._ps(words, pids).splitlines()
        titles = lines[0].split() if lines else []
        if "PID" not in titles:
            raise InvalidParameter("ps_args: the output of ps must have a column PID: add pid to the columns")
        column, last = titles.index("PID"), len(titles) - 1
        rows = [tuple(line.split(None, last)) for line in lines[1:]]
        return ProcessTable(
            titles=tuple(titles),
            rows=tuple(
                row for row in rows if len(row) > column and row[column].isdecimal() and int(row[column]) in pids
            ),
        )

    def _ps(self, words: Sequence[str], pids: Collection[int]) -> str:
        """What ps says of those processes, and of others where it cannot leave them out."""
        quick = [*words, "-q", ",".join(map(str, sorted(pids)))] if 0 < len(pids) < _ASKED else words
        try:
            done = self._run_ps(quick)
            if done.returncode != 0 and quick is not words:  # sorted or as a tree, ps takes no -q
                done = self._run_ps(words)
        except FileNotFoundError as error:
            raise EngineFault("this host has no ps: install the package procps") from error
        except subprocess.TimeoutExpired as error:
            raise EngineFault(f"ps did not end within {_PATIENCE} s") from error
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise InvalidParameter(f"error running ps: {said[0] if said else f'it ended with {done.returncode}'}")
        return done.stdout.decode(errors="replace")

    def _run_ps(self, words: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["ps", *words],
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
