"""Logs as conmon writes them, under load, rotated and followed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from engine.containers.logs.reader import LogReader
from engine.containers.logs.rotation import LogRotator, rotate_if_due
from engine.containers.model import LogQuery
from engine.containers.options import LogOptions
from engine.containers.runtime.exits import ExitWatcher
from engine.containers.runtime.monitor import Monitor
from engine.containers.streams.attach import connection_to, multiplex
from tests.fixtures.bundle import Bundles, bundles
from tests.fixtures.processes import wait_until

LINES = 200_000


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Bundles]:
    with bundles(tmp_path) as made:
        yield made


@pytest.fixture
def watcher() -> Iterator[ExitWatcher]:
    with ExitWatcher() as watcher:
        yield watcher


def exited(watcher: ExitWatcher, monitor: Monitor) -> Future[int | None]:
    future: Future[int | None] = Future()
    watcher.watch(monitor, lambda end: future.set_result(end.code))
    return future


def counted(payload: bytes) -> bool:
    return payload == b"".join(b"%d\n" % number for number in range(1, LINES + 1))


async def test_no_line_is_lost_by_rotation(
    made: Bundles, watcher: ExitWatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.containers.logs.logfile.FILES", 1000)
    # Bursts, some of which a rotation meets in the middle, and pauses, so that even a loaded host gets to rotate.
    script = "for n in 0 1 2 3 4; do seq $((n * 40000 + 1)) $((n * 40000 + 40000)); sleep 0.1; done"
    monitor = made.create("sh", "-c", script)
    ended = exited(watcher, monitor)
    path = made.log_path(monitor.id)
    options = LogOptions(max_size=50_000, max_files=1000)
    reader = LogReader(path, exited=ended)

    async def follow() -> bytes:
        return b"".join([entry[2] async for batch in reader.follow(LogQuery(follow=True)) for entry in batch])

    followers = [asyncio.create_task(follow()) for _ in range(2)]
    with LogRotator(monitors=made.monitors, running=lambda: [(monitor.id, path, options)], pause=0.002):
        await asyncio.to_thread(made.start, monitor)
        outputs = await asyncio.gather(*followers)
    files = len(list(path.parent.glob("log*")))
    assert files > 2, "it was not rotated while it was written"
    assert all(counted(output) for output in outputs)
    assert counted(b"".join(entry[2] for batch in LogReader(path).batches(LogQuery()) for entry in batch))
    tail = [entry[2] for batch in LogReader(path).batches(LogQuery(tail=20_000)) for entry in batch]
    assert (len(tail), tail[0]) == (20_000, b"%d\n" % (LINES - 19_999))


def test_oldest_files_go(made: Bundles) -> None:
    script = "i=0; while read line; do i=$((i+1)); echo $i; done"
    monitor = made.run("sh", "-c", script, stdin=True)
    path = made.log_path(monitor.id)
    with connection_to(monitor.directory, name="c") as connection:
        for number in range(1, 8):
            connection.send(b"\n")
            wait_until(lambda number=number: path.exists() and b"F %d\n" % number in path.read_bytes())
            assert rotate_if_due(path, monitor=lambda: monitor, size=1, files=5)
    wait_until(lambda: path.exists())
    assert not rotate_if_due(path, monitor=lambda: monitor, size=1, files=5)
    assert sorted(file.name for file in path.parent.glob("log*")) == ["log", "log.1", "log.2", "log.3", "log.4"]
    left = [entry[2] for batch in LogReader(path).batches(LogQuery()) for entry in batch]
    assert left == [b"4\n", b"5\n", b"6\n", b"7\n"]


def test_a_single_file_begins_anew(made: Bundles) -> None:
    monitor = made.run("sh", "-c", "i=0; while read line; do i=$((i+1)); echo $i; done", stdin=True)
    path = made.log_path(monitor.id)
    with connection_to(monitor.directory, name="c") as connection:
        for number in range(1, 4):
            connection.send(b"\n")
            wait_until(lambda number=number: path.exists() and b"F %d\n" % number in path.read_bytes())
            assert rotate_if_due(path, monitor=lambda: monitor, size=1, files=1)
            assert [file.name for file in path.parent.glob("log*")] == ["log"]


def test_a_long_line_comes_in_parts(made: Bundles) -> None:
    monitor = made.run("sh", "-c", "head -c 30000 /dev/zero | tr '\\0' x; echo; echo -n end")
    wait_until(lambda: not monitor.monitor.alive)
    entries = [entry for batch in LogReader(made.log_path(monitor.id)).batches(LogQuery()) for entry in batch]
    assert b"".join(entry[2] for entry in entries) == b"x" * 30_000 + b"\nend"
    assert sum(entry[2].endswith(b"\n") for entry in entries) == 1


def test_speed(made: Bundles) -> None:
    monitor = made.run("seq", "1", str(LINES))
    wait_until(lambda: not monitor.monitor.alive, seconds=20)
    reader = LogReader(made.log_path(monitor.id))
    started = time.perf_counter()
    count = sum(len(batch) for batch in reader.batches(LogQuery()))
    parsed = time.perf_counter() - started
    started = time.perf_counter()
    size = sum(len(multiplex([entry[1:] for entry in batch])) for batch in reader.batches(LogQuery()))
    framed = time.perf_counter() - started
    started = time.perf_counter()
    tail = sum(len(batch) for batch in reader.batches(LogQuery(tail=100)))
    print(
        f"{LINES} lines parsed in {parsed:.2f} s, framed in {framed:.2f} s, tail {time.perf_counter() - started:.4f} s"
    )
    assert (count, tail) == (LINES, 100)
    assert size > 8 * LINES
