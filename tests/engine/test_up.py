"""`docker-compose-free/up` for real: everything starts, what dies is started again, and containers notice nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import scratch_directory
from tests.fixtures.daemons import PROJECT, HavreDaemon
from tests.fixtures.leaks import nothing_left_behind
from tests.fixtures.namespaces import Namespace
from tests.fixtures.processes import wait_until
from tests.fixtures.registry import Registry

UP = PROJECT / "docker-compose-free/up"


class UpDaemon(HavreDaemon):
    """An engine under `up`'s supervision, beside all the rest."""

    def command(self) -> list[str]:
        return [str(UP)]

    def environ(self) -> dict[str, str]:
        # Accounts that every Debian has: nothing is added to the host.
        accounts = {"HAVRE_USER": "nobody", "HAVRE_GROUP": "nogroup", "HAVRE_BIND": "127.0.0.1:8000"}
        return {**super().environ(), **accounts, "HAVRE_VENV": sys.prefix}

    def said(self) -> str:
        return self.process.log.read_text()

    def child(self, words: str) -> int:
        """The pid of a process of this instance, by what its command line holds."""
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if parent == self.process.pid and words in command:
                return int(entry.name)
        return 0

    def serves(self) -> bool:
        try:
            return self.get("/").startswith("HTTP/1.1")
        except OSError:
            return False

    def get(self, path: str) -> str:
        """The status line of a page."""
        with self.namespace.connect(8000) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nConnection: close\r\n\r\n".encode())
            return connection.recv(200).decode().partition("\r\n")[0]


@pytest.fixture(scope="module")
def up(image_cache: Path) -> Iterator[UpDaemon]:
    with (
        scratch_directory() as directory,
        nothing_left_behind(words=[str(directory)]),
        Namespace() as namespace,
        Registry(image_cache, namespace=namespace) as registry,
        UpDaemon(directory, namespace=namespace, mirrors=[registry.url]) as daemon,
    ):
        wait_until(lambda: "is ready" in daemon.said(), seconds=60, what="the page", process=daemon.process)
        yield daemon


def test_the_link_of_the_first_start_opens_the_set_up(up: UpDaemon) -> None:
    link = re.search(r"http://127\.0\.0\.1:8000(/setup/\S+)", up.said())
    assert link
    assert " 200 " in up.get(link[1])
    assert " 200 " not in up.get("/setup/another-one/")


def test_only_the_engine_is_root(up: UpDaemon) -> None:
    owners = {
        name: Path(f"/proc/{up.child(words)}").stat().st_uid == 0
        for name, words in {"engine": "engine serve", "redis": "redis-server", "web": "webui.serve"}.items()
    }
    assert owners == {"engine": True, "redis": False, "web": False}


def test_a_process_that_dies_is_started_again_and_containers_go_on(up: UpDaemon) -> None:
    container = up.docker("run", "-d", "busybox", "sleep", "1000").stdout.strip()
    before = up.docker("inspect", "-f", "{{.State.Pid}}", container).stdout
    for words in ("engine serve", "webui.serve"):
        killed = up.child(words)
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda words=words, killed=killed: up.child(words) not in (0, killed), what=f"another {words}")
    wait_until(up._answers, what="the engine to answer again")
    assert up.docker("inspect", "-f", "{{.State.Pid}}", container).stdout == before
    assert "engine was ended by SIGKILL; starting it again" in up.said()
    up.docker("rm", "-f", container)
    wait_until(up.serves, what="the page to be served again")


def test_a_second_one_is_refused_in_words(up: UpDaemon) -> None:
    second = subprocess.run([*up.namespace.prefix, UP], env=up.environ(), capture_output=True, text=True, timeout=60)
    assert second.returncode == 1
    assert f"already runs here (process {up.process.pid}" in second.stdout


def test_a_port_that_is_taken_is_named(up: UpDaemon, tmp_path: Path) -> None:
    environ = {**up.environ(), "HAVRE_ROOT": str(tmp_path / "root"), "HAVRE_RUN": str(tmp_path / "run")}
    other = subprocess.run([*up.namespace.prefix, UP], env=environ, capture_output=True, text=True, timeout=60)
    assert other.returncode == 1
    assert f"cannot listen on 127.0.0.1:8000: process {up.child('webui.serve')} (" in other.stdout


def test_stopped_and_started_again_it_serves_and_containers_go_on(up: UpDaemon) -> None:
    container = up.docker("run", "-d", "busybox", "sleep", "1000").stdout.strip()
    assert up.stop() == 0
    up.process.log.write_bytes(b"")
    up.start()
    wait_until(lambda: "is ready" in up.said(), seconds=30, what="the page", process=up.process)
    assert up.docker("ps", "-q", "--no-trunc").stdout.strip() == container


def test_what_is_wrong_in_the_environment_is_named() -> None:
    for name, value in {"HAVRE_BIND": "nonsense", "HAVRE_ROOT": "relative", "HAVRE_JOBS": "many"}.items():
        result = subprocess.run([UP], env={**os.environ, name: value}, capture_output=True, text=True, timeout=60)
        assert result.returncode == 1
        assert name in result.stdout
