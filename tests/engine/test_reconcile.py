"""The daemon dies at any instant; the next one finds what runs, puts right what was cut off, and removes the rest."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from engine.containers.model import Status
from engine.containers.options import Mount, MountKind, RestartPolicy, RestartPolicyName
from engine.engine import Engine
from engine.errors import EngineFault, Forbidden, NotModified
from engine.kernel.process import Process
from engine.networks.creation import NetworkRequest
from engine.networks.model import Attachment
from engine.types import new_id
from tests.conftest import needs_root
from tests.fixtures.engine_host import EngineHost, engine_host, reaches, remove_all, whole
from tests.fixtures.processes import wait_until

SLEEP = ("sleep", "1000")
ALWAYS = RestartPolicy(name=RestartPolicyName.ALWAYS)
UNLESS_STOPPED = RestartPolicy(name=RestartPolicyName.UNLESS_STOPPED)
WATCHER = "engine.containers.runtime.exits:ExitWatcher"
AUTOPSY = "engine.containers.autopsy:Autopsy"
STARTER = "engine.containers.starting:Starter"
NETWORKS = "engine.networks.service:NetworkService"
SNAPSHOTS = "engine.snapshots.store:SnapshotStore"
RUNTIME = "engine.containers.runtime.oci:Runtime"
MONITORS = "engine.containers.runtime.monitor:Monitors"
RECORDS = "engine.containers.records:ContainerRecords"
VOLUMES = "engine.volumes.records:VolumeRecords"


@pytest.fixture(scope="module")
def module_host() -> Iterator[EngineHost]:
    needs_root()
    with engine_host() as host:
        with host.engine():
            pass
        yield host


@pytest.fixture
def host(module_host: EngineHost) -> Iterator[EngineHost]:
    """Every test ends with a new engine that has nothing left once its containers are removed."""
    yield module_host
    with module_host.engine() as engine:
        remove_all(engine)
        wait_until(lambda: not module_host.traces(), what=f"nothing to be left but {module_host.traces()}")
        assert not module_host.processes(engine)


# --- what goes on, and what has ended meanwhile


def test_what_runs_is_found_again(host: EngineHost) -> None:
    with host.engine() as engine:
        counts = host.run(engine, "sh", "-c", "n=0; while :; do n=$((n+1)); echo $n; sleep 0.01; done", name="counts")
        frozen = host.run(engine, *SLEEP)
        engine.containers.pause(frozen)
        pid = engine.containers.get(counts).state.pid
    with host.engine() as engine:
        whole(host, engine)
        assert engine.containers.get("counts").state.pid == pid
        with pytest.raises(NotModified):
            engine.containers.start("counts")
        time.sleep(0.2)
        engine.containers.stop("counts", timeout=0)
        lines = host.log(engine, counts).split("\n")
        assert lines == [str(number + 1) for number in range(len(lines))]
        assert engine.containers.get(frozen).state.status is Status.PAUSED
        engine.containers.unpause(frozen)


def test_the_code_of_what_ended_meanwhile(host: EngineHost) -> None:
    with host.engine() as engine:
        ended = host.run(engine, "sh", "-c", "sleep 0.3; exit 7")
        removed = host.run(engine, "sleep", "0.3", auto_remove=True)
        again = host.run(engine, "sh", "-c", "echo life; sleep 0.3", restart=ALWAYS)
    time.sleep(0.6)
    with host.engine() as engine:
        state = engine.containers.get(ended).state
        assert (state.status, state.exit_code, state.error) == (Status.EXITED, 7, "")
        assert removed not in {container.id for container in engine.containers.list(all=True)}
        wait_until(lambda: host.log(engine, again).count("life") > 1)
        engine.containers.stop(again, timeout=0)
        whole(host, engine)


def test_the_end_of_an_adopted_container_is_heard(host: EngineHost) -> None:
    with host.engine() as engine:
        container_id = host.run(engine, *SLEEP)
    with host.engine() as engine:
        handle = engine.containers.wait(container_id)
        Process.of(engine.containers.get(container_id).state.pid).send(signal.SIGKILL)
        assert handle.result(timeout=10)[0] == 137
        reaches(engine, container_id, Status.EXITED)


def test_a_monitor_that_died_meanwhile(host: EngineHost) -> None:
    with host.engine() as engine:
        container_id = host.run(engine, *SLEEP)
        monitor = engine.containers.monitor(container_id)
    monitor.monitor.send(signal.SIGKILL)
    with host.engine() as engine:
        state = engine.containers.get(container_id).state
        assert (state.status, state.exit_code) == (Status.EXITED, 255)
        assert "while the engine was away" in state.error
        whole(host, engine)


def test_a_reboot(host: EngineHost) -> None:
    """After one, nothing runs and the run directory is empty."""
    with host.engine() as engine:
        lost = host.run(engine, *SLEEP)
        again = host.run(engine, *SLEEP, restart=ALWAYS)
        monitors = [engine.containers.monitor(each) for each in (lost, again)]
    for monitor in monitors:
        monitor.process.send(signal.SIGKILL)
    wait_until(lambda: not any(monitor.monitor.alive for monitor in monitors))
    with host.engine() as engine:
        pass  # takes the mounts and namespaces away, which a reboot would have done
    shutil.rmtree(host.config.run / "monitors")
    shutil.rmtree(host.config.run / "runtime")
    with host.engine() as engine:
        assert engine.containers.get(lost).state.status is Status.EXITED
        reaches(engine, again, Status.RUNNING)
        whole(host, engine)


def test_the_policies_at_the_daemons_start(host: EngineHost) -> None:
    with host.engine() as engine:
        kept = host.run(engine, *SLEEP, restart=UNLESS_STOPPED)
        always = host.run(engine, *SLEEP, restart=ALWAYS)
        never = host.create(engine, *SLEEP, restart=ALWAYS)
        for each in (kept, always):
            engine.containers.stop(each, timeout=0)
        time.sleep(0.3)
        assert engine.containers.get(always).state.status is Status.EXITED
    with host.engine() as engine:
        reaches(engine, always, Status.RUNNING)
        time.sleep(0.3)
        assert engine.containers.get(kept).state.status is Status.EXITED
        assert engine.containers.get(never).state.status is Status.CREATED
        # Stopped before, it is under its policy again.
        os.kill(engine.containers.get(always).state.pid, signal.SIGKILL)
        wait_until(lambda: engine.containers.get(always).state.restart_count == 1, what="the next life")


def test_strangers_are_removed(host: EngineHost) -> None:
    """Things of a container whose row is gone, as after a lost database."""
    with host.engine() as engine:
        container_id = host.run(engine, *SLEEP)
        with engine.database.transaction() as transaction:
            transaction.execute("DELETE FROM containers")
    for place in ("containers", "snapshots"):
        (host.config.root / place / new_id()).mkdir()
    with host.engine() as engine:
        whole(host, engine)
        assert container_id not in host.processes(engine)


# --- cut off at a point


@pytest.mark.parametrize(
    "point",
    [
        f"before {SNAPSHOTS}.prepare",
        f"after {SNAPSHOTS}.prepare",
        f"before {RECORDS}.insert",
        f"after {RECORDS}.insert",
    ],
)
def test_create_is_cut_off(host: EngineHost, point: str) -> None:
    host.dies(point, "create", "true", options={"name": "cut"})
    with host.engine() as engine:
        whole(host, engine)
        remove_all(engine)
        host.create(engine, "true", name="cut")


START = (
    f"before {NETWORKS}.open",
    f"after {NETWORKS}.open",
    f"after {SNAPSHOTS}.mount",
    f"before {MONITORS}.launch",
    f"after {MONITORS}.launch",
    "before engine.containers.runtime.monitor:Monitor.save",
    f"after {RUNTIME}.start",
    f"before {RECORDS}.update",
    f"after {RECORDS}.update",
    f"after {WATCHER}.watch",
)


@pytest.mark.parametrize("point", START)
def test_start_is_cut_off(host: EngineHost, point: str) -> None:
    with host.engine() as engine:
        container_id = host.create(engine, *SLEEP)
    host.dies(point, "start", container_id)
    with host.engine() as engine:
        whole(host, engine)
        if engine.containers.get(container_id).state.status is not Status.RUNNING:
            engine.containers.start(container_id)
        whole(host, engine)
        assert engine.containers.get(container_id).state.status is Status.RUNNING


@pytest.mark.parametrize("point", [f"before {RECORDS}.update", f"after {RUNTIME}.start", f"after {WATCHER}.watch"])
def test_a_start_whose_process_ends_with_the_daemon(host: EngineHost, point: str) -> None:
    with host.engine() as engine:
        container_id = host.create(engine, "sh", "-c", "exit 4")
    host.dies(point, "start", container_id)
    time.sleep(0.1)
    with host.engine() as engine:
        reaches(engine, container_id, Status.EXITED, Status.CREATED)
        whole(host, engine)
        state = engine.containers.get(container_id).state
        assert state.exit_code == (4 if state.status is Status.EXITED else 0)


@pytest.mark.parametrize(
    "point",
    [
        f"before {RECORDS}.update",
        f"before {AUTOPSY}.examine",
        f"after {AUTOPSY}.examine",
        f"before {STARTER}.take_down",
        f"after {RUNTIME}.delete",
        f"after {MONITORS}.remove",
        f"after {SNAPSHOTS}.unmount",
        f"after {NETWORKS}.release",
        f"after {STARTER}.take_down",
    ],
)
@pytest.mark.parametrize("options", [{}, {"auto_remove": True}, {"restart": UNLESS_STOPPED}], ids=["", "rm", "policy"])
def test_an_end_is_cut_off(host: EngineHost, point: str, options: dict[str, Any]) -> None:
    with host.engine() as engine:
        container_id = host.run(engine, *SLEEP, **options)
    host.dies(point, "stop", container_id, options={"timeout": 0})
    with host.engine() as engine:
        if point == f"before {RECORDS}.update":
            # Nobody has sent a signal yet: first comes the note that somebody wants it stopped.
            assert [container.id for container in engine.containers.list()] == [container_id]
            return
        wait_until(lambda: not engine.containers.list())
        whole(host, engine)
        every = engine.containers.list(all=True)
        assert len(every) == ("auto_remove" not in options)
        assert all(container.state.exit_code == 137 for container in every)


@pytest.mark.parametrize(
    "point",
    [
        f"after {RECORDS}.update",
        f"after {STARTER}.take_down",
        f"before {SNAPSHOTS}.remove",
        f"after {SNAPSHOTS}.remove",
        f"before {RECORDS}.delete",
        f"after {RECORDS}.delete",
    ],
)
def test_a_removal_is_cut_off(host: EngineHost, point: str) -> None:
    with host.engine() as engine:
        container_id = host.create(engine, *SLEEP)
    host.dies(point, "remove", container_id)
    with host.engine() as engine:
        assert engine.containers.list(all=True) == []
        whole(host, engine)


@pytest.mark.parametrize(
    ("point", "call"),
    [(f"before {VOLUMES}.use", "start"), (f"before {VOLUMES}.leave", "stop"), (f"after {VOLUMES}.leave", "stop")],
)
def test_a_volume_that_is_mounted(host: EngineHost, point: str, call: str) -> None:
    """Between its mount and the row that tells of it: nobody has it then, and it does not stay mounted."""
    with host.engine() as engine:
        volume = engine.volumes.create(name="memory", options={"type": "tmpfs", "device": "tmpfs"})
        mounts = (Mount(kind=MountKind.VOLUME, source="memory", target="/m"),)
        container_id = host.create(engine, *SLEEP, mounts=mounts)
        if call == "stop":
            engine.containers.start(container_id)
    host.dies(point, call, container_id, options={"timeout": 0} if call == "stop" else {})
    with host.engine() as engine:
        wait_until(lambda: not engine.containers.list())
        whole(host, engine)
        assert not volume.mountpoint.is_mount()
        engine.containers.start(container_id)
        assert volume.mountpoint.is_mount()
        remove_all(engine)
        engine.volumes.remove("memory")


def test_a_restart_is_cut_off(host: EngineHost) -> None:
    """Between the process's start and its record: there are not two of it afterwards."""
    with host.engine() as engine:
        container_id = host.run(engine, "sh", "-c", "sleep 0.2; echo life", restart=ALWAYS)
        reaches(engine, container_id, Status.RESTARTING)
    host.dies(f"after {RUNTIME}.start", "begin_again", container_id)
    with host.engine() as engine:
        before = host.log(engine, container_id).count("life")
        wait_until(lambda: host.log(engine, container_id).count("life") > before)
        engine.containers.stop(container_id, timeout=0)
        whole(host, engine)


# --- networks


NETWORK_RECORDS = "engine.networks.records:NetworkRecords"
SANDBOXES = "engine.networks.sandboxes:Sandboxes"
BRIDGES = "engine.networks.drivers.bridge:BridgeDriver"
FIREWALL = "engine.networks.firewall:Firewall"


def network_state(engine: Engine) -> dict[str, set[str]]:
    """What the host and the rows have of networks, by network id or endpoint id."""
    listed = subprocess.run(["ip", "-brief", "link"], capture_output=True, text=True, check=True).stdout
    names = {line.split()[0].partition("@")[0] for line in listed.splitlines()}
    table = subprocess.run(
        ["nft", "list", "set", "inet", engine.config.instance, "bridges"], capture_output=True, text=True, check=True
    ).stdout
    own = [network for network in engine.networks.list() if network.name not in ("bridge", "host", "none")]
    return {
        "known": {f"br-{network.id[:12]}" for network in own},
        "links": {name for name in names if name.startswith("br-")},
        "firewall": {word.strip('"') for word in table.replace(",", " ").split() if word.startswith('"br-')},
        "endpoints": {row["id"][:11] for row in engine.database.query("SELECT id FROM endpoints WHERE address <> ''")},
        "plugged": {name.removeprefix("veth") for name in names if name.startswith("veth")},
    }


def networks_whole(engine: Engine) -> None:
    """Every network has its bridge and its elements, every endpoint its link, and there is nothing else."""

    def differences() -> dict[str, set[str]]:
        state = network_state(engine)
        return (
            {}
            if state["known"] == state["links"] == state["firewall"] and state["endpoints"] == state["plugged"]
            else state
        )

    wait_until(lambda: not differences(), what=f"networks to agree: {differences()}")


def slow(point: str, call: str) -> object:
    return pytest.param(point, call, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("point", "call"),
    [
        (f"after {NETWORK_RECORDS}.put", "create"),
        slow(f"after {BRIDGES}.ensure", "create"),
        slow(f"after {FIREWALL}.admit", "create"),
        (f"after {NETWORK_RECORDS}.retire", "remove"),
        slow(f"after {FIREWALL}.dismiss", "remove"),
        slow(f"after {BRIDGES}.delete", "remove"),
        slow(f"after {RECORDS}.update", "connect"),
        (f"after {NETWORK_RECORDS}.join", "connect"),
        (f"after {BRIDGES}.attach", "connect"),
        slow(f"before {SANDBOXES}._lead_out", "connect"),
        slow(f"after {SANDBOXES}.connect", "connect"),
        slow(f"after {SANDBOXES}._lead_out", "disconnect"),
        slow(f"after {BRIDGES}.detach", "disconnect"),
        (f"after {NETWORK_RECORDS}.leave", "disconnect"),
        slow(f"after {NETWORKS}.disconnect", "disconnect"),
    ],
)
def test_killed_in_the_middle_of_a_networks_change(host: EngineHost, point: str, call: str) -> None:
    with host.engine() as engine:
        for name in ("left", "right"):
            engine.networks.create(NetworkRequest(name=name))
        container_id = host.run(engine, *SLEEP, network_mode="right")
        if call == "disconnect":
            engine.containers.networking.connect(container_id, Attachment(network="left"))
        if call == "remove":
            engine.networks.create(NetworkRequest(name="third"))
    arguments = {
        "create": ("networks.create", "third"),
        "remove": ("networks.remove", "third"),
        "connect": ("containers.networking.connect", container_id, "left"),
        "disconnect": ("containers.networking.disconnect", container_id, "left"),
    }[call]
    host.dies(point, *arguments)
    with host.engine() as engine:
        networks_whole(engine)
        assert {endpoint.container_id for endpoint in engine.networks.endpoints(engine.networks.get("right").id)} == {
            container_id
        }
        # What was cut off can be done again, and all of it undone.
        if call == "connect":
            with suppress(Forbidden):  # it may have been there
                engine.containers.networking.connect(container_id, Attachment(network="left"))
            assert len(engine.containers.get(container_id).sandbox.endpoints) == 2  # type: ignore[union-attr]
        if call == "disconnect":
            with suppress(EngineFault):  # it may have been done
                engine.containers.networking.disconnect(container_id, "left")
            assert [each.network for each in engine.containers.get(container_id).attachments] == ["right"]
        networks_whole(engine)
        engine.containers.remove(container_id, force=True)
        engine.networks.prune({})
        networks_whole(engine)
        assert network_state(engine)["known"] == set()
