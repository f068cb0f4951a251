"""A slow reader holds its own download back, and nothing piles up in the web process: with a real daphne."""

from __future__ import annotations

import http.client
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.daemons import PROJECT
from tests.fixtures.processes import Process, clean_environ, wait_until
from tests.fixtures.registry import free_port

ENOUGH = 16 * 1024 * 1024
"""More than all buffers between two processes hold."""


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    number = free_port()
    command = [sys.executable, "-m", "daphne", "--bind", "127.0.0.1", "--port", str(number)]
    process = Process(
        [*command, "tests.fixtures.endless:application"], log=tmp_path / "log", environ=clean_environ(), cwd=PROJECT
    )
    with process:
        wait_until(lambda: _told(number, "/ended") == 0, seconds=20, what="daphne to answer", process=process)
        yield number


def _told(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return int(connection.getresponse().read())
    except OSError:
        return -1
    finally:
        connection.close()


def test_a_slow_reader_holds_the_stream_back(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/")
    answer = connection.getresponse()
    assert len(answer.read(1000)) == 1000
    before = -1
    while (after := _told(port, "/sent")) != before:
        # It stands still once the buffers are full, and not before.
        assert after < ENOUGH
        before = after
    # Whoever reads on gets more, and whoever leaves ends it.
    assert len(answer.read(ENOUGH)) == ENOUGH
    assert _told(port, "/sent") > ENOUGH
    answer.close()
    connection.close()
    wait_until(lambda: _told(port, "/ended") == 1, seconds=10, what="the stream to end")
