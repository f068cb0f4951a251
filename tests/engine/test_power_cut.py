"""The machine loses power, and a file of the engine's state ends at any byte: the next start puts right what is left.

What is on disk is copied while the engine runs, as a power cut would leave it, one file is cut, and an engine is
started on the copy with nothing in its run directory, as after a reboot.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from engine.containers.model import LogQuery, Status
from engine.containers.options import Mount, MountKind, RestartPolicy, RestartPolicyName
from engine.engine import Engine
from engine.errors import EngineError, EngineFault
from engine.networks.model import PublishedPort
from tests.conftest import needs_root
from tests.fixtures.engine_host import EngineHost, engine_host, reaches, remove_all, whole
from tests.fixtures.processes import wait_until

LINES: Final = tuple(f"line {number}" for number in range(20))
NAMES: Final = {"told", "kept", "made"}


@pytest.fixture(scope="module")
def host() -> Iterator[EngineHost]:
    """Its state as it was with one container that has ended, one that runs, and one that was only created."""
    needs_root()
    with engine_host() as host:
        with host.engine() as engine:
            script = "; ".join(f"echo {line}" for line in LINES)
            told = host.run(engine, "sh", "-c", script, name="told")
            reaches(engine, told, Status.EXITED)
            host.run(
                engine,
                *("sleep", "1000"),
                name="kept",
                network_mode="default",
                ports=(PublishedPort(container_port=80, host_port=9200),),
                restart=RestartPolicy(name=RestartPolicyName.ALWAYS),
                mounts=(Mount(kind=MountKind.VOLUME, target="/kept", source="kept"),),
            )
            host.create(engine, "true", name="made")
            subprocess.run(["cp", "-ax", host.config.root, host.directory / "as-it-was"], check=True)
            _clean(engine)
        yield host


@pytest.fixture
def root(host: EngineHost) -> Iterator[Path]:
    """The state as it was at the power cut, in the engine's place."""
    shutil.rmtree(host.config.root)
    subprocess.run(["cp", "-a", host.directory / "as-it-was", host.config.root], check=True)
    yield host.config.root
    with host.engine() as engine:
        _clean(engine)


def _cut(path: Path, share: float) -> None:
    """Cut a file off at a share of its length; a share below 0 counts bytes from its end."""
    size = path.stat().st_size
    os.truncate(path, max(0, size + int(share)) if share < 0 else int(size * share))


SHARES: Final = (0.0, 0.07, 0.33, 0.5, 0.81, -1.0)
FILES: Final = (
    "containers/*/container.log",
    "containers/*/config.json",
    "containers/*/hosts",
    "containers/*/resolv.conf",
)


def _starts_again(host: EngineHost) -> None:
    """An engine on this state: every container is there, what ran runs again, all can be removed."""
    with host.engine() as engine:
        assert {each.name for each in engine.containers.list(all=True)} == NAMES
        reaches(engine, engine.containers.get("kept").id, Status.RUNNING)
        whole(host, engine)
        reader = engine.containers.log_reader("told")
        told = b"".join(entry[2] for batch in reader.batches(LogQuery()) for entry in batch).decode()
        assert "".join(f"{line}\n" for line in LINES).startswith(told)
        engine.containers.start("made")
        reaches(engine, engine.containers.get("made").id, Status.EXITED)
        assert engine.containers.get("made").state.exit_code == 0
        _leaves_nothing(host, engine)


def _leaves_nothing(host: EngineHost, engine: Engine) -> None:
    _clean(engine)
    wait_until(lambda: not host.traces(), what=f"nothing to be left but {host.traces()}")
    assert not host.processes(engine)
    assert not list((host.config.root / "volumes").iterdir())


def _clean(engine: Engine) -> None:
    remove_all(engine)
    for volume in engine.volumes.list():
        engine.volumes.remove(volume.name)


def test_whole_files(host: EngineHost, root: Path) -> None:
    _starts_again(host)


@pytest.mark.parametrize("pattern", FILES[:2])
def test_a_file_of_a_container_is_cut(host: EngineHost, root: Path, pattern: str) -> None:
    for path in root.glob(pattern):
        _cut(path, 0.5)
    _starts_again(host)


@pytest.mark.slow
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("pattern", FILES)
def test_a_file_of_a_container_is_cut_anywhere(host: EngineHost, root: Path, pattern: str, share: float) -> None:
    for path in root.glob(pattern):
        _cut(path, share)
    _starts_again(host)


def _commits(host: EngineHost, share: float) -> None:
    """The log of the database ends somewhere: an earlier moment of the state, whole in itself."""
    _cut(host.config.root / "havre.sqlite3-wal", share)
    with host.engine() as engine:
        assert {each.name for each in engine.containers.list(all=True)} <= NAMES
        wait_until(lambda: all(each.state.status is not Status.RESTARTING for each in engine.containers.list(all=True)))
        whole(host, engine)
        for container in engine.containers.list(all=True):
            if not container.state.running:
                engine.containers.start(container.id)
        _leaves_nothing(host, engine)


@pytest.mark.parametrize("share", [0.0, 0.04])
def test_the_databases_log_is_cut(host: EngineHost, root: Path, share: float) -> None:
    _commits(host, share)


@pytest.mark.slow
@pytest.mark.parametrize("share", [number / 200 for number in range(30)])
def test_the_databases_log_is_cut_anywhere(host: EngineHost, root: Path, share: float) -> None:
    """The end of the log is what has been kept free (`engine.database`): the commits are at its beginning."""
    _commits(host, share)


@pytest.mark.parametrize("share", [0.001, 0.02, 0.5, 0.97])
def test_a_damaged_database_is_told_and_left_alone(host: EngineHost, tmp_path: Path, share: float) -> None:
    """No power cut does that to SQLite, a broken disk may. To begin anew would remove every container."""
    root = tmp_path / "root"
    subprocess.run(["cp", "-a", host.directory / "as-it-was", root], check=True)
    path = root / "havre.sqlite3"
    (root / "havre.sqlite3-wal").unlink()
    _cut(path, share)
    damaged = path.read_bytes()
    with pytest.raises(EngineFault, match="is damaged"):
        Engine(replace(host.config, root=root, run=tmp_path / "run"))
    assert path.read_bytes() == damaged
    assert len(list((root / "containers").iterdir())) == len(NAMES)


@pytest.mark.parametrize("share", [0.0, 0.5, -1.0])
def test_a_snapshot_that_has_lost_its_layers(host: EngineHost, root: Path, share: float) -> None:
    """One container's damage is its own: it does not start and says why, the others go on, it can be removed."""
    with host.engine() as engine:
        made = engine.containers.get("made").id
        _cut(root / "snapshots" / made / "lower", share)
        with pytest.raises(EngineError):
            engine.containers.start(made)
        reaches(engine, engine.containers.get("kept").id, Status.RUNNING)
        _leaves_nothing(host, engine)
