"""What is written down of a monitor ends at any byte: the next engine goes on with the container all the same."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from engine.containers.model import ExecConfig, Status
from engine.containers.options import RestartPolicy, RestartPolicyName
from engine.containers.runtime.monitor import Monitor
from engine.containers.streams.attach import connection_to
from engine.engine import Engine
from tests.fixtures.engine_host import EngineHost, reaches, remove_all, whole
from tests.fixtures.processes import wait_until

SLEEP: Final = ("sleep", "1000")
SHARES: Final = (0.0, 0.5, -1.0)
"""Of a file's bytes that are left; below 0, how many are missing at its end."""


@pytest.fixture(autouse=True)
def nothing_is_left(host: EngineHost) -> Iterator[None]:
    with host.engine():
        pass
    yield
    with host.engine() as engine:
        remove_all(engine)
        wait_until(lambda: not host.traces(), what=f"nothing to be left but {host.traces()}")
        assert not host.processes(engine)


def cut(path: Path, share: float) -> None:
    size = path.stat().st_size
    os.truncate(path, size + int(share) if share < 0 else int(size * share))


def record(host: EngineHost, container_id: str) -> Path:
    return host.config.run / "monitors" / container_id / "monitor.json"


@pytest.mark.parametrize("share", SHARES)
def test_of_what_runs(host: EngineHost, share: float) -> None:
    """It goes on: its process, its terminal, its log, what is run in it, its end."""
    with host.engine() as engine:
        script = "echo begun; read line; echo $line; exit 7"
        talks = host.run(engine, "sh", "-c", script, name="talks", tty=True, open_stdin=True)
        frozen = host.run(engine, *SLEEP, name="frozen", network_mode="default")
        engine.containers.pause(frozen)
        before = {each: engine.containers.monitor(each) for each in (talks, frozen)}
    for each in before:
        cut(record(host, each), share)
    with host.engine() as engine:
        whole(host, engine)
        assert {each: engine.containers.monitor(each) for each in before} == before
        assert {each: Monitor.load(monitor.directory) for each, monitor in before.items()} == before
        assert engine.containers.get(frozen).state.status is Status.PAUSED
        engine.containers.unpause(frozen)
        _runs(engine, frozen, "true", code=0)
        handle = engine.containers.wait(talks)
        with closing(connection_to(before[talks].directory, name=talks)) as connection:
            connection.send(b"word\n")
            assert handle.result(timeout=20)[0] == 7
        assert "word" in host.log(engine, talks)
        engine.containers.stop(frozen, timeout=0)
        whole(host, engine)


@pytest.mark.parametrize("share", SHARES)
def test_of_what_has_ended(host: EngineHost, share: float) -> None:
    """Its exit code is in another file; what has lost its monitor as well is taken down, and begins again."""
    with host.engine() as engine:
        ended = host.run(engine, *SLEEP)
        lost = host.run(engine, *SLEEP)
        again = host.run(engine, *SLEEP, restart=RestartPolicy(name=RestartPolicyName.ALWAYS))
        monitors = {each: engine.containers.monitor(each) for each in (ended, lost, again)}
    monitors[ended].process.send(signal.SIGKILL)
    for each in (lost, again):
        monitors[each].monitor.send(signal.SIGKILL)
    for each, monitor in monitors.items():
        wait_until(lambda monitor=monitor: not monitor.monitor.alive)
        cut(record(host, each), share)
    with host.engine() as engine:
        state = engine.containers.get(ended).state
        assert (state.status, state.exit_code, state.error) == (Status.EXITED, 137, "")
        assert engine.containers.get(lost).state.status is Status.EXITED
        assert not monitors[lost].process.alive
        reaches(engine, again, Status.RUNNING)
        whole(host, engine)


@pytest.mark.parametrize("name", ["monitor.json", "exec.json"])
@pytest.mark.parametrize("share", SHARES)
def test_of_an_exec_session(host: EngineHost, name: str, share: float) -> None:
    """It goes on, or is forgotten where nobody can tell any more what it was; its container goes on."""
    with host.engine() as engine:
        container_id = host.run(engine, *SLEEP)
        session = engine.containers.exec_create(container_id, ExecConfig(cmd=SLEEP))
        engine.containers.exec_start(session, detach=True)
        before = engine.containers.execs.inspect(session)
        directory = engine.containers.monitors.exec_directory(container_id, session)
    cut(directory / name, share)
    with host.engine() as engine:
        whole(host, engine)
        kept = engine.containers.execs.running(container_id)
        if name == "monitor.json":
            assert kept == (session,)
            assert engine.containers.execs.inspect(session) == before
            engine.containers.execs.signal(session, signal.SIGKILL)
            wait_until(lambda: not engine.containers.execs.running(container_id))
            assert engine.containers.execs.inspect(session).exit_code == 137
        else:
            assert kept == ()
            assert not directory.exists()
        _runs(engine, container_id, "sh", "-c", "exit 3", code=3)


def test_the_pids_of_others(host: EngineHost) -> None:
    """A run directory that has outlived a reboot: its pids are those of other processes, which nobody touches."""
    with host.engine() as engine:
        container_id = host.run(engine, *SLEEP)
        monitor = engine.containers.monitor(container_id)
    for process in (monitor.monitor, monitor.process):
        process.send(signal.SIGKILL)
    for pids in (("1", "1"), ("0", "0"), ("", ""), (str(os.getppid()), str(os.getpid()))):
        cut(record(host, container_id), 0.5)
        for name, pid in zip(("monitor.pid", "pid"), pids, strict=True):
            (monitor.directory / name).write_text(pid)
        found = Monitor.recover(monitor.directory, id=container_id, container_id=container_id)
        assert found is None or not (found.process.alive or found.monitor.alive)
    with host.engine() as engine:
        assert engine.containers.get(container_id).state.status is Status.EXITED
        whole(host, engine)


def _runs(engine: Engine, container_id: str, *command: str, code: int) -> None:
    session = engine.containers.exec_create(container_id, ExecConfig(cmd=command))
    engine.containers.exec_start(session, detach=True)
    wait_until(lambda: not engine.containers.execs.inspect(session).running)
    assert engine.containers.execs.inspect(session).exit_code == code
