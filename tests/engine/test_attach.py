"""Attachments to real containers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.containers.runtime.monitor import Monitor
from engine.containers.streams.attach import Attachment, Attachments, multiplex
from engine.errors import NotRunning
from tests.fixtures.bundle import Bundles, bundles
from tests.fixtures.processes import wait_until


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Bundles]:
    with bundles(tmp_path / ("long-" + "x" * 60)) as made:
        yield made


@pytest.fixture
def attachments() -> Iterator[Attachments]:
    made = Attachments()
    yield made
    made.close()


def attach(
    attachments: Attachments,
    monitor: Monitor | None,
    *,
    container_id: str = "",
    stdin: bool | None = None,
    **wanted: bool,
) -> Attachment:
    return attachments.open(
        container_id=container_id or (monitor.id if monitor else ""),
        monitor=monitor,
        tty=monitor.tty if monitor else False,
        stdin=(monitor.stdin if monitor else False) if stdin is None else stdin,
        stdout=wanted.get("stdout", True),
        stderr=wanted.get("stderr", True),
        stdin_once=monitor.stdin_once if monitor else False,
    )


async def collect(attachment: Attachment) -> dict[int, bytes]:
    parts: dict[int, list[bytes]] = {1: [], 2: []}
    async for frames in attachment.frames():
        for stream, payload in frames:
            parts[stream].append(payload)
    attachment.close()
    return {stream: b"".join(payloads) for stream, payloads in parts.items()}


async def test_nothing_between_creation_and_start_is_lost(made: Bundles, attachments: Attachments) -> None:
    early = attach(attachments, None, container_id="later")
    task = asyncio.create_task(collect(early))
    await asyncio.sleep(0.01)
    monitor = made.create("sh", "-c", "echo out; echo err >&2")
    # What the container service does, under the id that the client attached to.
    waiting = attach(attachments, None, container_id=monitor.id)
    other = asyncio.create_task(collect(waiting))
    await asyncio.sleep(0)
    attachments.connect(monitor)
    made.start(monitor)
    assert await other == {1: b"out\n", 2: b"err\n"}
    attachments.ended("later")
    assert await task == {1: b"", 2: b""}


async def test_attached_between_connection_and_start(made: Bundles, attachments: Attachments) -> None:
    monitor = made.create("echo", "out")
    attachments.connect(monitor)
    late = attach(attachments, None, container_id=monitor.id)
    made.start(monitor)
    assert (await collect(late))[1] == b"out\n"
    attachments.ended(monitor.id)
    waiting = attach(attachments, None, container_id=monitor.id)
    assert waiting.connection is None
    waiting.close()


async def test_streams_that_are_not_wanted(made: Bundles, attachments: Attachments) -> None:
    monitor = made.create("sh", "-c", "echo out; echo err >&2")
    only_err = attach(attachments, monitor, stdout=False)
    made.start(monitor)
    assert await collect(only_err) == {1: b"", 2: b"err\n"}


async def test_stdin_half_closes(made: Bundles, attachments: Attachments) -> None:
    monitor = made.create("cat", stdin=True, stdin_once=True)
    attachment = attach(attachments, monitor)
    made.start(monitor)
    data = bytes(range(256)) * 8192
    task = asyncio.create_task(collect(attachment))
    assert await attachment.send(data)
    await attachment.close_stdin()
    assert (await task)[1] == data
    assert not await attachment.send(b"late")


async def test_input_waits_for_room(made: Bundles, attachments: Attachments) -> None:
    script = "while test ! -e /tmp/go; do sleep 0.01; done; cat | wc -c"
    monitor = made.create("sh", "-c", script, stdin=True, stdin_once=True)
    attachment = attach(attachments, monitor)
    made.start(monitor)
    sending = asyncio.create_task(attachment.send(b"x" * 4_000_000))
    await asyncio.sleep(0.1)
    assert not sending.done()
    (made.rootfs / "tmp/go").touch()
    assert await sending
    await attachment.close_stdin()
    assert (await collect(attachment))[1] == b"4000000\n"


async def test_several_attachments(made: Bundles, attachments: Attachments) -> None:
    monitor = made.create("cat", stdin=True, stdin_once=True)
    first, second, third = (attach(attachments, monitor, stdin=number == 0) for number in range(3))
    made.start(monitor)
    tasks = [asyncio.create_task(collect(each)) for each in (first, second)]
    await first.send(b"one\n")
    third.close()  # only listened: its leaving must not end the container's stdin
    await asyncio.sleep(0.05)
    await first.send(b"two\n")
    await first.close_stdin()
    assert [result[1] for result in await asyncio.gather(*tasks)] == [b"one\ntwo\n"] * 2
    attachments.ended(monitor.id)


async def test_vanished_writer_ends_stdin(made: Bundles, attachments: Attachments) -> None:
    monitor = made.create("cat", stdin=True, stdin_once=True)
    attachment = attach(attachments, monitor)
    made.start(monitor)
    attachment.close()
    wait_until(lambda: not monitor.monitor.alive)
    assert monitor.exit_code == 0


async def test_stdin_that_stays_open(made: Bundles, attachments: Attachments) -> None:
    monitor = made.create("cat", stdin=True)
    attachment = attach(attachments, monitor)
    made.start(monitor)
    await attachment.send(b"one\n")
    await attachment.close_stdin()
    assert await collect(attachment) in ({1: b"", 2: b""}, {1: b"one\n", 2: b""})
    assert monitor.process.alive
    second = attach(attachments, monitor)
    await second.send(b"two\n")
    async for frames in second.frames():
        if frames[-1][1].endswith(b"two\n"):
            break
    second.close()
    assert monitor.process.alive


async def test_terminal(made: Bundles, attachments: Attachments) -> None:
    monitor = made.create("sh", "-c", "read line; echo got $line; stty size", tty=True, stdin=True)
    attachment = attach(attachments, monitor)
    monitor.resize(rows=24, columns=80)
    made.start(monitor)
    await attachment.send(b"hello\r")
    output = (await collect(attachment))[1]
    assert b"got hello\r\n" in output
    assert b"24 80\r\n" in output


async def test_closed_while_it_waits(made: Bundles, attachments: Attachments) -> None:
    waiting = attach(attachments, None, container_id="never")
    task = asyncio.create_task(collect(waiting))
    monitor = made.run("sleep", "1000")
    running = attach(attachments, monitor)
    reading = asyncio.create_task(collect(running))
    await asyncio.sleep(0.02)
    waiting.close()
    running.close()
    assert await task == await reading == {1: b"", 2: b""}


async def test_not_running(made: Bundles, attachments: Attachments) -> None:
    monitor = made.run("true")
    wait_until(lambda: not monitor.monitor.alive)
    with pytest.raises(NotRunning):
        attach(attachments, monitor)


async def test_parked_attachments_are_let_go(made: Bundles, attachments: Attachments) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    monitor = made.create("cat", stdin=True, stdin_once=True)
    listeners = [attach(attachments, monitor, stdin=False) for _ in range(2)]
    made.start(monitor)
    listeners[0].close()
    assert monitor.process.alive
    monitor.process.send(9)
    wait_until(lambda: not monitor.monitor.alive)
    attachments.ended(monitor.id)
    listeners[1].close()
    assert descriptors() == before


async def test_200_mib(made: Bundles, attachments: Attachments) -> None:
    monitor = made.create("dd", "if=/dev/zero", "bs=64k", "count=3200")
    attachment = attach(attachments, monitor, stderr=False)
    made.start(monitor)
    started = time.perf_counter()
    total = 0
    async for frames in attachment.frames():
        total += len(multiplex(frames)) - 8 * len(frames)
    print(f"200 MiB in {time.perf_counter() - started:.2f} s")
    attachment.close()
    assert total == 200 * 1024 * 1024


def test_multiplex() -> None:
    assert multiplex([(1, b"ab"), (2, b"c")]) == b"\1\0\0\0\0\0\0\2ab\2\0\0\0\0\0\0\1c"
