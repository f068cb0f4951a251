"""Which runtime a host gets, and how crun is shown a host's control groups."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.containers.runtime.choice import find_runtime
from engine.containers.runtime.compiled_filters import CompiledFilters
from engine.containers.runtime.oci import Runtime
from engine.engine import Engine
from engine.kernel import cgroup, cgroup_view, mounts
from tests.fixtures.engine_host import EngineHost, remove_all
from tests.fixtures.processes import wait_until

needs_crun = pytest.mark.skipif(shutil.which("crun") is None, reason="crun is not installed")


@pytest.fixture(scope="module")
def engine(host: EngineHost) -> Iterator[Engine]:
    with host.engine() as engine:
        yield engine
        remove_all(engine)


@needs_crun
def test_crun_is_taken_where_it_works(tmp_path: Path) -> None:
    group = f"havre-{tmp_path.name}"
    runtime = find_runtime(tmp_path / "state", cgroup_parent=group)
    assert runtime.program.name == "crun"
    assert runtime.version()[0].isdigit()
    assert not cgroup.tops(group)


@needs_crun
def test_what_a_trial_that_was_killed_has_left_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "state/havre-probe").mkdir(parents=True)
    assert find_runtime(tmp_path / "state", cgroup_parent="havre-trial").program.name == "crun"


def test_containers_stay_with_their_runtime(tmp_path: Path) -> None:
    """A daemon that finds runc's containers goes on with runc."""
    state = tmp_path / "state" / "container"
    state.mkdir(parents=True)
    (state / "state.json").touch()
    assert find_runtime(tmp_path / "state", cgroup_parent="havre-trial").program.name == "runc"


def test_control_groups_of_version_1_alone() -> None:
    if cgroup.version() == 2:
        pytest.skip("this host has version 2 alone")
    before = mounts_of_groups()
    with cgroup_view.version_1(Path("/bin/cat")) as view:
        view.make()
        namespace, program = view.namespace, view.program
        enter = ["nsenter", f"--mount={namespace}"]
        shown = subprocess.run([*enter, "ls", cgroup.ROOT], capture_output=True, text=True, check=True).stdout.split()
        refused = [
            subprocess.run([*enter, *command], capture_output=True, text=True).stderr
            for command in (["mkdir", cgroup.ROOT / "x"], ["tee", program])
        ]
        assert subprocess.run([*enter, program], input=b"runs", capture_output=True).stdout == b"runs"
    assert set(shown) == {entry.name for entry in cgroup.ROOT.iterdir()} - {"unified"} | {"cat"}
    assert all("Read-only file system" in words for words in refused)
    assert mounts_of_groups() == before
    wait_until(lambda: not namespace.exists(), seconds=5, what="the namespace to go")


@needs_crun
def test_the_runtime_need_not_copy_itself(host: EngineHost, engine: Engine, tmp_path: Path) -> None:
    """nsenter and crun load once: where crun could be written to, it makes a copy of itself and loads again."""
    if not cgroup_view.is_hybrid():
        pytest.skip("crun sees this host as it is")
    runtime = find_runtime(tmp_path / "state", cgroup_parent="havre-trial")
    with runtime.command(log=tmp_path / "log", directory=tmp_path) as command:
        told = subprocess.run(
            [*command, "list"], env={"LD_DEBUG": "statistics"}, capture_output=True, text=True, check=True
        )
    assert told.stderr.count("total startup time in dynamic loader") == 2


def mounts_of_groups() -> list[str]:
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(cgroup.ROOT) in line]


@needs_crun
def test_a_filter_is_compiled_once(host: EngineHost, engine: Engine) -> None:
    """The second container gets the first one's compiled filter; the kernel applies either, and both refuse alike."""
    script = "grep Seccomp: /proc/self/status; unshare -U true 2>&1; mount -t tmpfs x /tmp 2>&1"
    told, compiled = [], []
    for _ in range(2):
        container_id = host.run(engine, "sh", "-c", script)
        engine.containers.wait(container_id).result(timeout=20)
        told.append(host.log(engine, container_id))
        config = json.loads((engine.config.root / "containers" / container_id / "config.json").read_text())
        compiled.append(config.get("annotations", {}).get("run.oci.seccomp_bpf_data", ""))
        assert config["linux"]["seccomp"]["syscalls"]
    assert compiled[0] == ""
    assert len(compiled[1]) > 1000
    assert told[0] == told[1]
    assert told[0].startswith("Seccomp:\t2\n")
    assert told[0].lower().count("not permitted") + told[0].lower().count("permission denied") == 2


def test_filters_are_told_apart(tmp_path: Path) -> None:
    """A filter is used for its own profile alone, and a runtime that compiles none teaches nothing."""
    first, second = ({"linux": {"seccomp": {"defaultAction": f"SCMP_ACT_{word}"}}} for word in ("ERRNO", "ALLOW"))
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "seccomp.bpf").write_bytes(b"12345678")
    filters = CompiledFilters(Runtime(program=Path("/usr/bin/crun"), root=tmp_path))
    filters.learn(first, "c")
    assert filters.applied(first)["annotations"] == {"run.oci.seccomp_bpf_data": "MTIzNDU2Nzg="}
    assert filters.applied(second) == second
    assert filters.applied({"linux": {}}) == {"linux": {}}
    other = CompiledFilters(Runtime(program=Path("/usr/sbin/runc"), root=tmp_path))
    other.learn(first, "c")
    assert other.applied(first) == first


def test_a_view_that_is_kept_holds_no_other_mount(tmp_path: Path) -> None:
    """It is one for all calls, shows the control groups and its place, and keeps no file system of the host busy."""
    if cgroup.version() == 2:
        pytest.skip("this host has version 2 alone")
    busy = tmp_path / "busy"
    busy.mkdir()
    (place := tmp_path / "run").mkdir()
    program = Path(shutil.copy("/bin/cat", tmp_path / "cat"))
    with mounts.mounted("busy", busy, "tmpfs"):
        kept = cgroup_view.KeptView(program, place=place)
        view = kept.view()
        assert kept.view() == view
    enter = ["nsenter", f"--mount={view.namespace}"]
    inside = subprocess.run([*enter, "cat", "/proc/self/mountinfo"], capture_output=True, text=True, check=True).stdout
    assert str(busy) not in inside
    assert "unified" not in inside
    assert f" {cgroup.ROOT}/memory " in inside
    (place / "note").write_text("here")
    assert subprocess.run([*enter, view.program, place / "note"], capture_output=True).stdout == b"here"
    # An upgrade: the old file is no longer the one at the path.
    shutil.copy("/bin/echo", tmp_path / "new")
    (tmp_path / "new").rename(program)
    again = kept.view()
    assert again.namespace != view.namespace
    shown = subprocess.run(
        ["nsenter", f"--mount={again.namespace}", again.program, "hi"], capture_output=True, text=True
    )
    assert shown.stdout == "hi\n"
    kept.close()
    assert not view.namespace.exists()
    assert not again.namespace.exists()
