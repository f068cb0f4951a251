"""Many containers on one bridge, each with a published port: what the last costs, and how soon names are answered.

`python -m tests.bench.crowd`, as root: two minutes. It is a part of `python -m tests.bench --footprint` as well.
"""

from __future__ import annotations

import secrets
import socket
import statistics
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from engine.kernel import netns
from tests.bench.works import AT_ONCE, timed
from tests.conftest import running
from tests.fixtures.daemons import Daemon, HavreDaemon
from tests.fixtures.registry import image_storage

CROWD = 300
PAIRS = 25
"""Of a start among the crowd and one on an engine that has nothing: in turn, since a busy machine is now so, now so."""
QUESTIONS = 500
FIRST_PORT = 20000


def crowd(havre: HavreDaemon) -> Iterator[str]:
    """The lines of a table: what, how much, and the goal."""
    with running(HavreDaemon, image_storage()) as empty:
        for engine in (havre, empty):
            engine.docker("pull", "-q", "busybox")
            engine.docker("network", "create", "--subnet=10.90.0.0/16", "crowd")
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda number: _start(havre, number), range(CROWD - PAIRS)))
        pairs = [_pair(havre, empty, number) for number in range(CROWD - PAIRS, CROWD)]
        empty.docker("network", "rm", "crowd")
    names = havre.docker("ps", "--format={{.Ports}}").stdout.count("0.0.0.0:2")
    assert names == CROWD, f"{names} ports are published"
    growth = statistics.median(last / first for last, first in pairs)
    yield (
        f"| `run -d -p` as the last of {CROWD} containers and ports of a bridge, against the first "
        f"({statistics.median(first for _, first in pairs) * 1000:.0f} ms) | {growth:.2f} | 1.30 |"
    )
    asker = havre.docker("inspect", "--format={{.Id}}", "c0").stdout.strip()
    answers = netns.run_inside(havre.directory / "run/netns" / asker, _answers)
    yield f"| the name of one of them, answered at the median | {statistics.median(answers) * 1000:.2f} ms | 2.00 ms |"
    havre.remove_everything()
    havre.docker("network", "rm", "crowd")


def _start(engine: Daemon, number: int) -> float:
    options = (f"--name=c{number}", "--network=crowd", f"-p={FIRST_PORT + number}:80")
    return timed(engine, "run", "-d", *options, "busybox", "sleep", "10000")


def _pair(havre: Daemon, empty: Daemon, number: int) -> tuple[float, float]:
    """Seconds of a start among the crowd, which stays, and of one that is alone."""
    order = (havre, empty) if number % 2 else (empty, havre)
    seconds = {engine: _start(engine, number) for engine in order}
    empty.remove_everything()
    return seconds[havre], seconds[empty]


def _answers() -> list[float]:
    """Seconds that each question took: a name of the crowd by turns, asked in a container's namespace (RFC 1035)."""
    taken = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(5)
        asking.connect(("127.0.0.11", 53))
        for number in range(QUESTIONS):
            name = f"c{number % CROWD}".encode()
            question = secrets.token_bytes(2) + struct.pack("!HHHHH", 0x100, 1, 0, 0, 0)
            question += bytes([len(name)]) + name + struct.pack("!BHH", 0, 1, 1)
            began = time.perf_counter()
            asking.send(question)
            answer = asking.recv(512)
            taken.append(time.perf_counter() - began)
            assert answer[:2] == question[:2]
            assert struct.unpack_from("!H", answer, 6) == (1,), "no address"
    return taken


def main() -> None:
    with running(HavreDaemon, image_storage()) as havre:
        assert isinstance(havre, HavreDaemon)
        for line in crowd(havre):
            print(line)


if __name__ == "__main__":
    main()
