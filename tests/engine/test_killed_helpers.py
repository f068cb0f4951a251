"""What the engine works with is killed in the middle of a start: the start says so, and leaves nothing half made."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest

from engine.containers.model import ExecConfig, Status
from engine.containers.runtime.oci import Runtime
from engine.engine import Engine
from engine.errors import EngineError, RuntimeFailed
from engine.kernel import cgroup
from engine.types import new_id
from tests.fixtures.engine_host import EngineHost, reaches, remove_all, whole
from tests.fixtures.processes import wait_until

SLEEP = ("sleep", "1000")


@pytest.fixture
def engine(host: EngineHost) -> Iterator[Engine]:
    with host.engine() as engine:
        yield engine
        remove_all(engine)
        wait_until(lambda: not host.traces(), what=f"nothing to be left but {host.traces()}")
        assert not host.processes(engine)


def _starts_after_all(host: EngineHost, engine: Engine, container_id: str) -> None:
    whole(host, engine)
    assert engine.containers.get(container_id).state.status in (Status.CREATED, Status.EXITED)
    engine.containers.start(container_id)
    reaches(engine, container_id, Status.RUNNING)
    whole(host, engine)


@pytest.mark.parametrize("victim", ["process", "monitor"])
def test_between_create_and_start(
    host: EngineHost, engine: Engine, monkeypatch: pytest.MonkeyPatch, victim: str
) -> None:
    """The container is made, its process waits for the word to begin: it, or what watches it, is killed."""
    real = Runtime.start

    def start(runtime: Runtime, container_id: str) -> None:
        monitor = engine.containers.monitor(container_id)
        getattr(monitor, victim).send(signal.SIGKILL)
        wait_until(lambda: not getattr(monitor, victim).alive)
        real(runtime, container_id)

    container_id = host.create(engine, *SLEEP, network_mode="default")
    monkeypatch.setattr(Runtime, "start", start)
    with suppress(EngineError):
        engine.containers.start(container_id)
    monkeypatch.undo()
    # Without its monitor it may have begun, and then ends by that.
    reaches(engine, container_id, Status.CREATED, Status.EXITED)
    _starts_after_all(host, engine, container_id)


@pytest.mark.parametrize("work", ["runtime create", "runtime start", "monitor"])
def test_a_program_is_killed_at_its_work(host: EngineHost, engine: Engine, work: str) -> None:
    """At whatever instant it is caught: the container runs, or its start has failed and can be tried again."""
    kind, _, verb = work.partition(" ")
    name = "conmon" if kind == "monitor" else engine.containers.runtime.program.name
    caught = 0
    for _ in range(4):
        container_id = host.create(engine, *SLEEP, network_mode="default")
        with _Hunter(name=name, words={verb} - {""}, text=container_id) as hunter, suppress(EngineError):
            engine.containers.start(container_id)
        caught += hunter.caught
        _settles(host, engine, container_id)
        whole(host, engine)
        if engine.containers.get(container_id).state.status is not Status.RUNNING:
            engine.containers.start(container_id)
        engine.containers.remove(container_id, force=True)
    assert caught, f"{work} was never seen"


def test_the_runtime_dies_when_it_has_made_the_process(
    host: EngineHost, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process waits for its start with the runtime's pipes, which conmon reads to their end; it is in no state."""
    runtime = engine.containers.runtime
    dies = tmp_path / runtime.program.name
    dies.write_text(
        f"""#!/bin/sh
        {runtime.program} "$@" || exit
        case "$*" in *" create "*)
            rm -f {runtime.root}/*/status {runtime.root}/*/state.json
            kill -KILL $$
        esac
        """
    )
    dies.chmod(0o755)
    container_id = host.create(engine, *SLEEP, network_mode="default")
    monkeypatch.setattr(runtime, "program", dies)
    with pytest.raises(RuntimeFailed, match="was killed at work"):
        engine.containers.start(container_id)
    monkeypatch.undo()
    assert not host.processes(engine)
    _starts_after_all(host, engine, container_id)


@pytest.mark.parametrize("away", [False, True])
def test_the_monitor_of_an_exec_session(host: EngineHost, away: bool) -> None:
    """Its process ends with it, also when no engine was there at that moment; its container goes on."""
    with host.engine() as engine:
        container_id = host.run(engine, *SLEEP)
        session = engine.containers.exec_create(container_id, ExecConfig(cmd=SLEEP))
        engine.containers.exec_start(session, detach=True)
        [(monitor, _)] = engine.containers.monitors.execs(container_id)
        if not away:
            monitor.monitor.send(signal.SIGKILL)
            wait_until(lambda: not engine.containers.execs.inspect(session).running)
            assert engine.containers.execs.inspect(session).exit_code == 137
    monitor.monitor.send(signal.SIGKILL)
    with host.engine() as engine:
        wait_until(lambda: not monitor.process.alive and not monitor.directory.exists())
        assert engine.containers.execs.running(container_id) == ()
        whole(host, engine)
        remove_all(engine)


def test_a_process_that_nobody_knows(host: EngineHost) -> None:
    """What a killed daemon has left in its control groups, frozen even, ends with the start of the next."""
    with host.engine() as engine:
        group = f"{engine.config.instance}/{new_id()}/below"
    tops = [cgroup.ROOT] if cgroup.version() == 2 else [cgroup.ROOT / "pids", cgroup.ROOT / "freezer"]
    with subprocess.Popen(SLEEP) as left:
        try:
            for top in tops:
                (top / group).mkdir(parents=True)
                (top / group / "cgroup.procs").write_text(str(left.pid))
            if cgroup.version() == 1:
                (tops[-1] / group / "freezer.state").write_text("FROZEN")
            with host.engine():
                assert left.wait(10) == -signal.SIGKILL
                assert not any((top / group).parent.exists() for top in tops)
        finally:
            cgroup.end(tops[-1] / group)


def _settles(host: EngineHost, engine: Engine, container_id: str) -> None:
    """Wait until what is told of a container is what is there: the end of a process is heard of a moment later."""
    wait_until(
        lambda: (
            (engine.containers.get(container_id).state.status is Status.RUNNING)
            == (container_id in host.processes(engine))
        )
    )


class _Hunter(threading.Thread):
    """Kills the first new process called *name* with these *words* and that *text* in its command line."""

    def __init__(self, *, name: str, words: set[str], text: str) -> None:
        super().__init__()
        self._wanted = (name, words, text)
        self._over = threading.Event()
        self._known = _processes()
        self.caught = False

    def run(self) -> None:
        name, wanted, text = self._wanted
        while not self._over.is_set():
            for pid in _processes() - self._known:
                with suppress(OSError):
                    line = Path("/proc", pid, "cmdline").read_bytes().decode(errors="replace")
                    words = line.split("\0")
                    if Path(words[0]).name == name and wanted <= set(words) and text in line:
                        os.kill(int(pid), signal.SIGKILL)
                        self.caught = True
                        return

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()


def _processes() -> set[str]:
    return {entry.name for entry in Path("/proc").iterdir() if entry.name.isdecimal()}
