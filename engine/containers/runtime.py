"""The OCI runtime's command line (OCI runtime-spec, runtime.md, "Operations"): runc, or crun where it works.

`create` and `exec` go through monitors (`engine.containers.monitor`); the rest is here.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from engine.containers.failures import runtime_failure
from engine.errors import EngineFault, RuntimeFailed

TIMEOUT: Final = 60
ENVIRONMENT: Final = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


class Runtime:
    """The runtime *program*, with its state under *root*."""

    def __init__(self, *, program: Path, root: Path) -> None:
        self.program = program
        self.root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def start(self, container_id: str) -> None:
        """Let a created container's process run; raises as `runtime_failure` tells."""
        self._run("start", container_id)

    def delete(self, container_id: str) -> None:
        """Kill what is left of a container and forget it; no error when the runtime does not know it."""
        self._run("delete", "--force", container_id)

    def pause(self, container_id: str) -> None:
        self._run("pause", container_id)

    def resume(self, container_id: str) -> None:
        self._run("resume", container_id)

    def update(self, container_id: str, resources: bytes) -> None:
        """Change a running container's limits: *resources* is JSON, `linux.resources` of the specification."""
        self._run("update", "--resources", "-", container_id, stdin=resources)

    def ids(self) -> set[str]:
        """The containers that the runtime knows."""
        return {entry.name for entry in self.root.iterdir()} if self.root.is_dir() else set()

    def version(self) -> str:
        """The version that the program tells, such as `1.1.5`."""
        done = subprocess.run(
            [str(self.program), "--version"],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        words = done.stdout.split()
        return words[2].partition("+")[0] if len(words) > 2 else "unknown"

    def _run(self, verb: str, *arguments: str, stdin: bytes = b"") -> None:
        with tempfile.TemporaryDirectory(prefix="log-", dir=self.root.parent) as directory:
            log = Path(directory) / "log"
            command: Sequence[str] = (
                str(self.program),
                "--root",
                str(self.root),
                "--log",
                str(log),
                "--log-format",
                "json",
                verb,
                *arguments,
            )
            try:
                done = subprocess.run(
                    command,
                    env=ENVIRONMENT,
                    input=stdin,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    timeout=TIMEOUT,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise RuntimeFailed(f"{self.program.name} {verb} did not end within {TIMEOUT} s") from error
            if done.returncode != 0:
                raise runtime_failure(verb=verb, said=done.stderr.decode(errors="replace"), log=log)


def find_runtime(root: Path) -> Runtime:
    """The first runtime of this host that works: crun, which starts faster, else runc.

    crun refuses hosts with hybrid cgroups, so it is asked by a probe; runc is taken at its word.
    """
    crun = shutil.which("crun", path=ENVIRONMENT["PATH"])
    if crun and _works(Path(crun)):
        return Runtime(program=Path(crun), root=root)
    runc = shutil.which("runc", path=ENVIRONMENT["PATH"])
    if runc is None:
        raise EngineFault("no OCI runtime on this host: install the package runc")
    return Runtime(program=Path(runc), root=root)


def find_monitor() -> Path:
    """Where conmon is; `EngineFault` says what to install."""
    conmon = shutil.which("conmon", path=ENVIRONMENT["PATH"] + ":/usr/libexec/podman:/usr/lib/podman")
    if conmon is None:
        raise EngineFault("no container monitor on this host: install the package conmon")
    return Path(conmon)


def _works(crun: Path) -> bool:
    """Whether *crun* can run `/bin/true`-like: a bundle whose program cannot exist fails late only where it works."""
    with tempfile.TemporaryDirectory(prefix="havre-probe-") as directory:
        bundle = Path(directory)
        (bundle / "rootfs" / "proc").mkdir(parents=True)
        (bundle / "config.json").write_text(json.dumps(_PROBE), encoding="ascii")
        try:
            done = subprocess.run(
                [str(crun), "--root", str(bundle / "state"), "run", "--bundle", str(bundle), "havre-probe"],
                env=ENVIRONMENT,
                capture_output=True,
                timeout=10,
                check=False,
            )
        except (subprocess.TimeoutExpired, OSError):
            return False
        return b"executable file" in done.stderr


_PROBE: Final = {
    "ociVersion": "1.0.2",
    "process": {"user": {"uid": 0, "gid": 0}, "args": ["/probe"], "cwd": "/", "env": ["PATH=/"]},
    "root": {"path": "rootfs"},
    "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
    "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}], "cgroupsPath": "/havre-probe"},
}
