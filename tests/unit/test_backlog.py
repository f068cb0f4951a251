"""What is kept for clients that do not read."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from engine.api.backlog import Backlog


async def taken(backlog: Backlog) -> bytes:
    return b"".join([piece async for piece in backlog.pieces()])


def file_sizes(directory: Path) -> list[int]:
    """The sizes of the files without a name that this process holds open in *directory*."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            if str(descriptor.readlink()).startswith(f"{directory}/"):
                found.append(descriptor.stat().st_size)
        except FileNotFoundError:
            continue  # the descriptor of the listing itself
    return found


async def test_all_of_it_comes_in_order_however_fast_it_is_taken(tmp_path: Path) -> None:
    chance = random.Random(7)
    pieces = [chance.randbytes(chance.randrange(1, 3000)) for _ in range(600)]
    with Backlog(tmp_path, memory=5000, most=20_000) as backlog:

        async def give() -> None:
            for piece in pieces:
                await backlog.put(piece)
                if chance.random() < 0.05:
                    await asyncio.sleep(0.002)
            backlog.end()

        giving = asyncio.create_task(give())
        got = b""
        async for piece in backlog.pieces():
            got += piece
            assert sum(file_sizes(tmp_path)) <= 20_000
            if chance.random() < 0.05:
                await asyncio.sleep(0.01)
        await giving
    assert got == b"".join(pieces)
    assert file_sizes(tmp_path) == []


async def test_it_is_full_at_its_bound(tmp_path: Path) -> None:
    with Backlog(tmp_path, memory=1000, most=3000) as backlog:
        took = 0
        while await backlog.offer(b"x" * 100):
            took += 1
        assert took == 40
        waiting = asyncio.create_task(backlog.put(b"y" * 100))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        backlog_end = asyncio.create_task(taken(backlog))
        await waiting
        backlog.end()
        assert await backlog_end == b"x" * 4000 + b"y" * 100


async def test_what_is_taken_at_once_needs_no_file(tmp_path: Path) -> None:
    with Backlog(tmp_path / "nowhere", memory=1000, most=3000) as backlog:
        taking = asyncio.create_task(taken(backlog))
        for _ in range(50):
            await backlog.put(b"x" * 900)
        backlog.end()
        assert await taking == b"x" * 45_000


async def test_a_disk_that_takes_nothing_is_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Backlog(tmp_path / "nowhere", memory=1000, most=3000) as backlog:
        assert await backlog.offer(b"x" * 1000)
        assert not await backlog.offer(b"y")
        assert not await backlog.offer(b"y")
        taking = asyncio.create_task(taken(backlog))
        await backlog.put(b"z")
        backlog.end()
        assert await taking == b"x" * 1000 + b"z"
    assert len(caplog.records) == 1
