"""Which OCI runtime this host gets: crun, which makes a container in a third of runc's time, else runc."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from engine.containers.runtime.oci import ENVIRONMENT, Runtime
from engine.errors import EngineFault
from engine.kernel import cgroup, cgroup_view

_PATH: Final = ENVIRONMENT["PATH"]


def find_runtime(root: Path, *, cgroup_parent: str) -> Runtime:
    """The first runtime of this host that works, with its state under *root*.

    crun is tried with a container in a group of *cgroup_parent*. It refuses hosts with hybrid control groups: there it
    sees those of version 1 alone, where nsenter can show them. Containers that run already stay with the runtime that
    made them; the kinds know nothing of each other's.
    """
    runc, crun = (shutil.which(name, path=_PATH) for name in ("runc", "crun"))
    if crun and not _holds_of_runc(root):
        nsenter = shutil.which("nsenter", path=_PATH) if cgroup_view.is_hybrid() else None
        enter = Path(nsenter) if nsenter else None
        if _works(Path(crun), enter, cgroup_parent):
            return Runtime(program=Path(crun), root=root, enter=enter)
    if runc is None:
        raise EngineFault("no OCI runtime that works on this host: install the package crun or runc")
    return Runtime(program=Path(runc), root=root)


def find_monitor() -> Path:
    """Where conmon is; `EngineFault` says what to install."""
    conmon = shutil.which("conmon", path=f"{_PATH}:/usr/libexec/podman:/usr/lib/podman")
    if conmon is None:
        raise EngineFault("no container monitor on this host: install the package conmon")
    return Path(conmon)


def _holds_of_runc(root: Path) -> bool:
    return root.is_dir() and any((entry / "state.json").exists() for entry in root.iterdir())


def _works(program: Path, enter: Path | None, cgroup_parent: str) -> bool:
    """Whether crun can make a container: one whose program cannot exist fails late only where all else works.

    What a crun that is too slow leaves behind goes with the directory and the group; what an engine that is killed
    leaves of the group is cleared with the rest of *cgroup_parent* at the next start.
    """
    with tempfile.TemporaryDirectory(prefix="havre-probe-") as directory:
        bundle = Path(directory)
        crun = Runtime(program=program, root=bundle / "state", enter=enter)
        for name in ("dev", "proc"):
            (bundle / "rootfs" / name).mkdir(parents=True)
        group = f"{cgroup_parent}/{bundle.name}"
        (bundle / "config.json").write_text(json.dumps(_probe(group)), encoding="ascii")
        log = bundle / "log"
        try:
            with crun.command(log=log, directory=bundle) as command:
                subprocess.run(
                    (*command, "run", "--bundle", str(bundle), "havre-probe"),
                    env=ENVIRONMENT,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    timeout=10,
                    check=False,
                )
        except (subprocess.TimeoutExpired, OSError):
            return False
        finally:
            cgroup.clear(group)
            for parent in cgroup.tops(cgroup_parent):
                cgroup.remove(parent)
        return log.exists() and b"executable file" in log.read_bytes()


def _probe(group: str) -> dict[str, object]:
    """The configuration of that container. Its control *group* is its own: two engines may start at the same time."""
    return {
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["/probe"], "cwd": "/", "env": ["PATH=/"]},
        "root": {"path": "rootfs"},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}], "cgroupsPath": f"/{group}"},
    }
