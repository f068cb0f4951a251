"""Reading logs, from files as conmon writes them."""

# ruff: noqa: ASYNC110, ASYNC240 - files grow here, and are looked at, between two looks of the code under test

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Future
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.containers.logs import changes as log_changes
from engine.containers.logs import logfile
from engine.containers.logs.logfile import LogEntry
from engine.containers.logs.reader import LogReader, timestamp
from engine.containers.model import LogQuery
from engine.types import now, parse_rfc3339

BASE = parse_rfc3339("2026-01-31T12:00:00Z") or 0


def record(second: int, text: str, *, stream: str = "stdout", tag: str = "F") -> bytes:
    return b"%b+00:00 %b %b %b\n" % (timestamp(BASE + second)[:-1], stream.encode(), tag.encode(), text.encode())


def lines(first: int, last: int) -> bytes:
    return b"".join(record(number, f"line {number}") for number in range(first, last))


def texts(reader: LogReader, **query: object) -> list[bytes]:
    return [entry[2] for batch in reader.batches(LogQuery(**query)) for entry in batch]  # type: ignore[arg-type]


def expected(first: int, last: int) -> list[bytes]:
    return [b"line %d\n" % number for number in range(first, last)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


def test_entries(path: Path) -> None:
    path.write_bytes(
        record(1, "out")
        + record(2, "err", stream="stderr")
        + record(3, "first ", tag="P")
        + record(4, "part")
        + record(5, "")
        + record(6, "a\rb stdout F c")
    )
    (batch,) = LogReader(path).batches(LogQuery())
    assert batch == [
        (BASE + 1, 1, b"out\n"),
        (BASE + 2, 2, b"err\n"),
        (BASE + 3, 1, b"first part\n"),
        (BASE + 5, 1, b"\n"),
        (BASE + 6, 1, b"a\rb stdout F c\n"),
    ]


def test_choice(path: Path) -> None:
    path.write_bytes(b"".join(record(n, f"line {n}", stream="stderr" if n % 2 else "stdout") for n in range(10)))
    reader = LogReader(path)
    assert texts(reader, stderr=False) == [b"line %d\n" % n for n in (0, 2, 4, 6, 8)]
    assert texts(reader, stdout=False, since=BASE + 5) == [b"line 5\n", b"line 7\n", b"line 9\n"]
    assert texts(reader, until=BASE + 2) == expected(0, 3)
    assert texts(reader, since=BASE + 3, until=BASE + 4) == expected(3, 5)
    assert texts(reader, tail=4, stdout=False) == [b"line 7\n", b"line 9\n"]


def test_lines_are_joined_within_their_stream(path: Path) -> None:
    path.write_bytes(
        record(1, "out ", tag="P")
        + record(2, "err ", stream="stderr", tag="P")
        + record(3, "more ", tag="P")
        + record(4, "end", stream="stderr")
        + record(5, "end")
        + record(6, "x" * 8192, tag="P")
        + record(7, "x" * 8192, tag="P")
        + record(8, "rest")
        + record(9, "prompt", tag="P")
    )
    assert [entry for batch in LogReader(path, exited=Future()).batches(LogQuery()) for entry in batch] == [
        (BASE + 2, 2, b"err end\n"),
        (BASE + 1, 1, b"out more end\n"),
        (BASE + 6, 1, b"x" * 16384),
        (BASE + 8, 1, b"rest\n"),
        (BASE + 9, 1, b"prompt"),
    ]


def test_no_log(path: Path) -> None:
    assert texts(LogReader(path)) == texts(LogReader(path), tail=3) == []
    assert texts(LogReader(path / "not" / "even" / "a directory")) == []


def test_rotated_files_are_one_log(path: Path) -> None:
    for number, name in enumerate(("log.4", "log.3", "log.2", "log.1", "log")):
        path.with_name(name).write_bytes(lines(number * 1000, number * 1000 + 1000))
    reader = LogReader(path)
    assert texts(reader) == expected(0, 5000)
    for tail in (0, 1, 999, 1000, 1001, 2500, 4999, 5000, 9000):
        assert texts(reader, tail=tail) == expected(max(0, 5000 - tail), 5000), tail


@given(
    records=st.lists(st.tuples(st.integers(0, 200), st.booleans(), st.booleans()), max_size=60),
    tail=st.integers(0, 70),
    cuts=st.lists(st.integers(0, 60), max_size=4),
    block=st.sampled_from([7, 50, 64 * 1024]),
)
def test_tail(
    tmp_path_factory: pytest.TempPathFactory,
    records: list[tuple[int, bool, bool]],
    tail: int,
    cuts: list[int],
    block: int,
) -> None:
    """Against the plain meaning: lines counted from the end by the records that end them."""
    path = tmp_path_factory.mktemp("logs") / "log"
    written = [
        record(number, "x" * length, tag="F" if whole else "P", stream="stdout" if out else "stderr")
        for number, (length, whole, out) in enumerate(records)
    ]
    borders = [0, *sorted(min(cut, len(written)) for cut in cuts), len(written)]
    parts = [b"".join(written[a:b]) for a, b in pairwise(borders)]
    for place, part in zip(logfile.paths(path), reversed(parts), strict=False):
        place.write_bytes(part)
    keep, found = len(records), 0
    while keep and found <= tail:
        ends = records[keep - 1][1] or keep == len(records)
        found += ends
        if found > tail:
            break
        keep -= 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logfile, "_TAIL_BLOCK", block)
        wanted = [written[number].split(b" ", 3)[3][:-1] for number in range(keep, len(written))]
        assert b"".join(texts(LogReader(path), tail=tail)).replace(b"\n", b"") == b"".join(wanted)


def test_cut_record(path: Path) -> None:
    whole = lines(0, 2)
    for cut in range(1, len(record(2, "line 2")) - 1):
        path.write_bytes(whole + record(2, "line 2")[:cut])
        # While the container runs, the rest may be on its way.
        assert texts(LogReader(path, exited=Future())) == expected(0, 2)
        ended = texts(LogReader(path))
        assert ended[:2] == expected(0, 2)
        assert len(ended) == 2 or b"line 2\n".startswith(ended[2][:-1])
        logfile.mend(path)
        path.write_bytes(path.read_bytes() + lines(3, 4))
        assert texts(LogReader(path))[-1:] == expected(3, 4)
        assert texts(LogReader(path))[:2] == expected(0, 2)


def test_cut_record_of_a_rotated_file(path: Path) -> None:
    path.with_name("log.1").write_bytes(lines(0, 2) + record(2, "line 2")[:30])
    path.write_bytes(lines(3, 5))
    assert texts(LogReader(path)) == expected(0, 2) + expected(3, 5)


def test_mend_leaves_whole_logs_alone(path: Path) -> None:
    logfile.mend(path)
    assert not path.exists()
    path.write_bytes(b"")
    logfile.mend(path)
    path.write_bytes(lines(0, 2))
    logfile.mend(path)
    assert path.read_bytes() == lines(0, 2)


def test_garbage_is_left_out(path: Path) -> None:
    path.write_bytes(lines(0, 5) + b"\n\0\0\0\nnonsense\n" + b"x" * 100 + b"\n" + lines(5, 2000))
    assert texts(LogReader(path)) == expected(0, 2000)


def test_reading_ends_though_the_log_grows(path: Path) -> None:
    path.write_bytes(lines(0, 20_000))
    seen: list[bytes] = []
    with path.open("ab") as file:
        for batch in LogReader(path, exited=Future()).batches(LogQuery()):
            seen += [entry[2] for entry in batch]
            file.write(lines(20_000, 30_000))
            file.flush()
    assert seen == expected(0, 20_000)


def test_timestamp() -> None:
    assert timestamp(BASE + 5) == b"2026-01-31T12:00:00.000000005Z"
    assert timestamp(0) == b"1970-01-01T00:00:00.000000000Z"


async def collect(entries: AsyncIterator[list[LogEntry]], into: list[bytes]) -> list[bytes]:
    async for batch in entries:
        into += [entry[2] for entry in batch]
    return into


async def until(condition: object) -> None:
    async with asyncio.timeout(5):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.002)


async def test_follow(path: Path) -> None:
    path.write_bytes(lines(0, 10))
    exited: Future[int | None] = Future()
    seen: list[bytes] = []
    task = asyncio.create_task(collect(LogReader(path, exited=exited).follow(LogQuery(tail=2)), seen))
    await until(lambda: seen == expected(8, 10))
    with path.open("ab", buffering=0) as file:
        file.write(lines(10, 12))
        await until(lambda: seen == expected(8, 12))
        whole = lines(12, 13)
        file.write(whole[:20])
        await asyncio.sleep(0.02)
        assert seen == expected(8, 12)
        file.write(whole[20:])
        await until(lambda: seen == expected(8, 13))
        path.rename(path.with_name("log.1"))
        file.write(lines(13, 14))
        await until(lambda: seen == expected(8, 14))
        file.write(lines(14, 15))
        path.write_bytes(lines(15, 16))
    await until(lambda: seen == expected(8, 16))
    # Two rotations between two looks.
    path.with_name("log.1").rename(path.with_name("log.3"))
    path.rename(path.with_name("log.2"))
    path.with_name("log.1").write_bytes(lines(16, 17))
    path.write_bytes(lines(17, 18))
    await until(lambda: seen == expected(8, 18))
    with path.open("ab") as file:
        file.write(lines(18, 19))
    exited.set_result(0)
    assert await task == expected(8, 19)
    assert not log_changes._loops


async def test_follow_shows_a_prompt(path: Path) -> None:
    path.write_bytes(record(1, "name: ", tag="P"))
    exited: Future[int | None] = Future()
    seen: list[bytes] = []
    task = asyncio.create_task(collect(LogReader(path, exited=exited).follow(LogQuery()), seen))
    await until(lambda: seen == [b"name: "])
    with path.open("ab", buffering=0) as file:
        file.write(record(2, "a", tag="P"))
        file.write(record(3, "da"))
        await until(lambda: seen == [b"name: ", b"ada\n"])
    exited.set_result(0)
    await task


async def test_follow_before_there_is_a_log(path: Path) -> None:
    exited: Future[int | None] = Future()
    seen: list[bytes] = []
    task = asyncio.create_task(collect(LogReader(path, exited=exited).follow(LogQuery()), seen))
    await asyncio.sleep(0.01)
    path.write_bytes(lines(0, 3))
    await until(lambda: seen == expected(0, 3))
    exited.set_result(0)
    await task


async def test_follow_of_an_ended_container(path: Path) -> None:
    path.write_bytes(lines(0, 3) + record(3, "line 3")[:-1])
    assert await collect(LogReader(path).follow(LogQuery()), []) == [*expected(0, 3), b"line 3\n"]
    assert await collect(LogReader(path.parent / "gone" / "log").follow(LogQuery()), []) == []


async def test_follow_until(path: Path) -> None:
    path.write_bytes(lines(0, 3))
    query = LogQuery(until=now() + 50_000_000)
    async with asyncio.timeout(2):
        assert await collect(LogReader(path, exited=Future()).follow(query), []) == expected(0, 3)


async def test_many_followers_share_one_watcher(path: Path) -> None:
    exited: Future[int | None] = Future()
    readers = [LogReader(path, exited=exited) for _ in range(200)]
    tasks = [asyncio.create_task(collect(reader.follow(LogQuery()), [])) for reader in readers]
    await asyncio.sleep(0.05)
    path.write_bytes(lines(0, 3))
    await asyncio.sleep(0.05)
    exited.set_result(0)
    assert await asyncio.gather(*tasks) == [expected(0, 3)] * 200
    assert not log_changes._loops


async def test_abandoned_follower_closes_everything(path: Path) -> None:
    path.write_bytes(lines(0, 3))
    before = len(list(Path("/proc/self/fd").iterdir()))
    entries = LogReader(path, exited=Future()).follow(LogQuery())
    task = asyncio.create_task(collect(entries, []))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await entries.aclose()  # type: ignore[attr-defined]
    assert len(list(Path("/proc/self/fd").iterdir())) == before
