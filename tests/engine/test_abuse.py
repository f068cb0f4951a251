"""Containers that take all they can get: the daemon and the container next door go on as if nothing were."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.kernel import cgroup
from tests.conftest import scratch_directory
from tests.fixtures.daemons import HavreDaemon
from tests.fixtures.leaks import nothing_left_behind
from tests.fixtures.namespaces import Namespace
from tests.fixtures.processes import wait_until
from tests.fixtures.registry import Registry

CALM = "calm"


@pytest.fixture(scope="module", autouse=True)
def neighbour(havre: HavreDaemon) -> None:
    havre.docker("pull", "-q", "busybox")
    havre.docker("run", "-d", f"--name={CALM}", "busybox", "sleep", "1000")


@pytest.fixture(autouse=True)
def goes_on(havre: HavreDaemon) -> Iterator[None]:
    """After each abuse: the daemon answers, the neighbour runs and can be worked in, and the abuser can be removed."""
    before = _state(havre, CALM)["StartedAt"]
    yield
    assert _state(havre, CALM)["StartedAt"] == before
    assert havre.docker("exec", CALM, "echo", "well").stdout == "well\n"
    havre.docker("rm", "-f", "-v", "abuser")
    assert havre.docker("ps", "-aq").stdout.count("\n") == 1


def test_forks_without_end(havre: HavreDaemon) -> None:
    havre.docker(
        "run", "-d", "--name=abuser", "--pids-limit=60", "busybox", "sh", "-c", "f() { f | f & }; f; sleep 1000"
    )
    tops = cgroup.tops(f"havre-{havre.bridge}/{_id(havre, 'abuser')}")
    (group,) = [top for top in tops if (top / "pids.events").is_file()]
    wait_until(lambda: "max" in (group / "pids.events").read_text() and _refused(group) > 20, seconds=30)
    assert int((group / "pids.current").read_text()) <= 60
    assert havre.docker("exec", CALM, "true").returncode == 0
    havre.docker("kill", "abuser")
    wait_until(lambda: not group.exists())


def _refused(group: Path) -> int:
    """Forks that the limit has refused."""
    return int((group / "pids.events").read_text().split()[1])


def test_fills_its_memory(havre: HavreDaemon) -> None:
    done = havre.docker(
        "run", "--name=abuser", "--memory=16m", "--memory-swap=16m", "busybox", "tail", "/dev/zero", check=False
    )
    assert done.returncode == 137
    assert _state(havre, "abuser")["OOMKilled"] is True
    deaths = _ask(havre, "/havre/v1/containers/abuser/deaths")
    assert deaths[0]["OOMKilled"]
    assert "16 MiB" in deaths[0]["Verdict"]


def test_fills_memory_file_systems(havre: HavreDaemon) -> None:
    """/dev/shm and a tmpfs have sizes of their own, and count as the container's memory."""
    script = "cat /dev/zero > /dev/shm/x; cat /dev/zero > /t/x; df -k /dev/shm /t | awk 'NR > 1 { print $3 }'"
    done = havre.docker(
        *("run", "--name=abuser", "--shm-size=2m", "--tmpfs=/t:size=1m", "--memory=64m", "busybox", "sh", "-c", script)
    )
    assert [int(line) for line in done.stdout.split()] == [2048, 1024]


MEBIBYTE = 1 << 20


def test_fills_its_log(havre: HavreDaemon) -> None:
    """Bursts that are each ten times what may be kept: what is there never grows far beyond that."""
    line = "0123456789" * 4
    script = f"n=0; while [ $n -lt 4 ]; do yes {line} | head -c 25m; sleep 0.3; n=$((n+1)); done"
    havre.docker(
        *("run", "-d", "--name=abuser", "--log-opt=max-size=1m", "--log-opt=max-file=3", "busybox", "sh", "-c", script)
    )
    directory = Path(havre.docker("inspect", "--format={{.LogPath}}", "abuser").stdout.strip()).parent
    most = 0

    def ended() -> bool:
        nonlocal most
        for _ in range(100):
            most = max(most, sum(_size(file) for file in directory.glob("container.log*")))
            time.sleep(0.005)
        return not _state(havre, "abuser")["Running"]

    wait_until(ended, seconds=60)
    assert most < 40 * MEBIBYTE, "three files of 1 MiB, and what is written between two looks of a loaded host"
    assert len(list(directory.glob("container.log*"))) <= 3
    tail = havre.docker("logs", "--tail=5", "abuser").stdout.splitlines()
    assert len(tail) == 5
    assert set(tail[:4]) == {line}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0  # it has just been renamed


def test_fills_the_disk(image_cache: Path) -> None:
    """An engine whose file system is full says so, serves what needs no room, and recovers when there is some."""
    with _small_engine(image_cache, megabytes=48) as havre:
        havre.docker("pull", "-q", "busybox")
        havre.docker("run", "-d", "--name=next", "busybox", "sleep", "1000")
        filled = havre.docker("run", "--name=full", "busybox", "sh", "-c", "cat /dev/zero > /fill", check=False)
        assert filled.returncode == 1
        assert "No space left on device" in filled.stderr
        assert not _state(havre, "full")["Running"]
        assert havre.docker("exec", "next", "echo", "well").stdout == "well\n"
        refused = havre.docker("run", "--rm", "--name=late", "busybox", "true", check=False)
        assert refused.returncode == 0 or "space" in refused.stderr + refused.stdout
        havre.docker("stop", "-t", "0", "next")
        havre.restart()
        assert not _state(havre, "next")["Running"]
        havre.docker("rm", "full")
        wait_until(lambda: havre.docker("run", "--rm", "busybox", "echo", "room", check=False).stdout == "room\n")
        havre.docker("start", "next")


@contextmanager
def _small_engine(image_cache: Path, *, megabytes: int) -> Iterator[HavreDaemon]:
    """A daemon whose whole state lies in a file system of that size."""
    with (
        scratch_directory() as directory,
        nothing_left_behind(words=[str(directory)]) as words,
        Namespace() as namespace,
        Registry(image_cache, namespace=namespace) as registry,
    ):
        root = directory / "root"
        root.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=711", "small", root], check=True)
        try:
            with HavreDaemon(directory, namespace=namespace, mirrors=[registry.url]) as daemon:
                words += daemon.words()
                yield daemon
        finally:
            subprocess.run(["umount", root], check=True)


def _id(havre: HavreDaemon, name: str) -> str:
    return havre.docker("inspect", "--format={{.Id}}", name).stdout.strip()


def _state(havre: HavreDaemon, name: str) -> dict[str, object]:
    found = json.loads(havre.docker("inspect", "--format={{json .State}}", name).stdout)
    assert isinstance(found, dict)
    return found


def _ask(havre: HavreDaemon, path: str) -> list[dict[str, object]]:
    done = havre.namespace.run("curl", "-s", "--unix-socket", str(havre.socket), f"http://engine{path}")
    found = json.loads(done.stdout)
    assert isinstance(found, list), found
    return found
