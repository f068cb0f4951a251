"""What Havre takes of the host: memory when idle, and how the cost of a start grows with the containers that run."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.bench.crowd import crowd
from tests.bench.works import AT_ONCE, run_once
from tests.fixtures.daemons import Daemon, HavreDaemon
from tests.fixtures.stack import WebStack

MONITORED: Final = 10
MANY: Final = 500
STARTS: Final = 11
_SETTLE: Final = 5.0
"""Seconds in which processes that have just started come to rest."""
_MONITORS: Final = ("conmon", "containerd-shim")


def footprint(havre: HavreDaemon, dockerd: Daemon) -> Iterator[str]:
    """The lines of a table: what, how much, and the goal."""
    yield "| footprint | measured | goal |"
    yield "|---|--:|--:|"
    ours, theirs = (monitor_memory(daemon) / 1024 for daemon in (havre, dockerd))
    yield f"| monitor of an idle container, PSS (dockerd's: {theirs:.1f} MiB) | {ours:.2f} MiB | 0.50 MiB |"
    yield f"| engine, web, worker and Redis, idle, PSS | {idle_memory(havre) / 1024:.0f} MiB | 300 MiB |"
    yield f"| a start with {MANY} running containers, against none | {growth(havre):.2f} | 1.30 |"
    yield from crowd(havre)


def monitor_memory(daemon: Daemon) -> float:
    """KiB of the median monitor of idle containers."""
    run = [daemon.docker("run", "-d", "busybox", "sleep", "1000").stdout.strip() for _ in range(MONITORED)]
    time.sleep(1)
    found = [
        _memory(pid) for pid, words in _processes() if words[0] in _MONITORS and any(each in run for each in words)
    ]
    daemon.docker("rm", "-f", *run)
    return statistics.median(found)


def idle_memory(havre: HavreDaemon) -> float:
    """KiB of everything that `up` runs: the engine, and the web side that is started here for it."""
    with WebStack(havre) as stack:
        time.sleep(_SETTLE)
        return sum(_memory(pid) for pid in (havre.process.pid, *stack.pids))


def growth(havre: HavreDaemon) -> float:
    """How much longer `run --rm busybox true` takes when many containers run."""
    start = run_once()
    none = _median(lambda: start(havre))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for made in [pool.submit(havre.docker, "run", "-d", "busybox", "sleep", "10000") for _ in range(MANY)]:
            made.result()
    many = _median(lambda: start(havre))
    havre.remove_everything()
    return many / none


def _median(measure: Callable[[], float]) -> float:
    return statistics.median(measure() for _ in range(STARTS))


def _processes() -> Iterator[tuple[int, list[str]]]:
    """Every process with its program's name and the words that follow, cut at `=` and `/`."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_text(errors="replace").split("\0")
        except OSError:
            continue
        name = os.path.basename(words[0]).removesuffix("-runc-v2")  # noqa: PTH119
        yield int(entry.name), [name, *(part for word in words[1:] for part in word.replace("=", "/").split("/"))]


def _memory(pid: int) -> int:
    """KiB of a process: its own pages, and its share of those that it shares (PSS)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise AssertionError(f"the kernel does not tell the memory of {pid}")
