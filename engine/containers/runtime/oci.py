"""The OCI runtime's command line (OCI runtime-spec, runtime.md, "Operations"): crun or runc.

`create` and `exec` go through monitors (`engine.containers.runtime.monitor`); the rest is here. Which runtime it is, is
decided in `engine.containers.runtime.choice`.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Final

from engine.containers.runtime.failures import runtime_failure
from engine.errors import RuntimeFailed
from engine.kernel import cgroup_view

TIMEOUT: Final = 60
ENVIRONMENT: Final = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


class Runtime:
    """The runtime *program*, with its state under *root*.

    With *enter*, nsenter(1), it is run where control groups look as on a host of version 1: crun refuses hybrid ones.
    """

    def __init__(self, *, program: Path, root: Path, enter: Path | None = None) -> None:
        self.program = program
        self.root = root
        self._enter = enter
        self._kept = cgroup_view.KeptView(program, place=root.parent)
        root.mkdir(parents=True, exist_ok=True, mode=0o700)

    @property
    def takes_compiled_filters(self) -> bool:
        """Whether it takes seccomp filters ready-made, and keeps those that it compiles (crun(1), annotations)."""
        return self.program.name == "crun"

    @contextmanager
    def command(self, *, log: Path, directory: Path) -> Iterator[tuple[str, ...]]:
        """The words that run it, up to its subcommand, in *directory*. They hold for as long as the block runs."""
        with self.coming_command(log=log, directory=directory, sees_host=True) as (words, make_ready):
            make_ready()
            yield words

    @contextmanager
    def coming_command(
        self, *, log: Path, directory: Path, sees_host: bool
    ) -> Iterator[tuple[tuple[str, ...], Callable[[], None]]]:
        """As `command`, but the words may be run only after a call of the function that comes with them.

        Unless it *sees_host*, as whoever makes a container must, it has the run directory alone, where it is told so.
        """
        options = ("--root", str(self.root), "--log", str(log), "--log-format", "json")
        if self._enter is None:
            yield (str(self.program), *options), lambda: None
            return
        with cgroup_view.version_1(self.program) if sees_host else nullcontext(self._kept.view()) as view:
            enter = (str(self._enter), f"--mount={view.namespace}", f"--wdns={directory}", "--")
            yield (*enter, str(view.program), *options), view.make

    def prepare(self) -> None:
        """Make what calls have in common: the first one need not wait for it."""
        if self._enter is not None:
            self._kept.view()

    def close(self) -> None:
        """Let go of what calls have in common. It may be called again afterwards."""
        self._kept.close()

    def compiled_filter(self, container_id: str) -> bytes | None:
        """The seccomp filter that the runtime compiled for a container: the kernel's instructions (seccomp(2))."""
        try:
            return (self.root / container_id / "seccomp.bpf").read_bytes() or None
        except FileNotFoundError:
            return None

    def start(self, container_id: str) -> None:
        """Let a created container's process run; raises as `runtime_failure` tells."""
        self._run("start", container_id)

    def delete(self, container_id: str) -> None:
        """Kill what is left of a container and forget it; no error when the runtime does not know it."""
        try:
            self._run("delete", "--force", container_id)
        except RuntimeFailed:
            # A runtime in the foreground, as builds have them, forgets its container at the same moment.
            if container_id in self.ids():
                raise

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
            try:
                with self.coming_command(log=log, directory=self.root, sees_host=False) as (command, _):
                    done = subprocess.run(
                        (*command, verb, *arguments),
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
