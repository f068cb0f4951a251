"""One process of a build's step in a container of its own, from its start to its end.

A step lives and dies with its build, so it needs no monitor: the runtime itself runs in the foreground below the engine
and hands its standard streams on.
"""

from __future__ import annotations

import os
import selectors
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from engine.build.progress import Stream
from engine.containers.runtime.failures import failed, runtime_failure
from engine.containers.runtime.oci import ENVIRONMENT, Runtime
from engine.errors import EngineFault

_PIECE: Final = 64 * 1024
_TICK: Final = 0.1
"""Seconds between two looks at whether to go on."""
_LINGER: Final = 10.0
"""Seconds that the runtime may take to end once its process has been killed."""

Output = Callable[[Stream, bytes], None]


def run(
    runtime: Runtime,
    *,
    container_id: str,
    bundle: Path,
    output: Output,
    check: Callable[[], None],
    begun: Callable[[], None],
    program: str,
) -> int:
    """Run the container whose `config.json` lies in *bundle*; its exit code, 128 + signal for a killed process.

    What it prints goes to *output* as it comes; while that waits, so does the process. *check* is called several times
    a second and may raise to stop it; *begun* is called when it has printed something. Nothing of the container is
    left. `CommandUnusable` or `RuntimeFailed` when *program* could not be started.
    """
    log = bundle / "runtime.log"
    with (
        runtime.command(log=log, directory=bundle) as command,
        subprocess.Popen(
            [*command, "run", "--bundle", str(bundle), container_id],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        ) as process,
    ):
        try:
            _pump(process, output, check, begun)
            while True:
                try:
                    process.wait(timeout=_TICK)
                    break
                except subprocess.TimeoutExpired:
                    check()
        except BaseException:
            _end(runtime, container_id, process)
            raise
    if process.returncode and failed(log):
        runtime.delete(container_id)
        raise runtime_failure(verb="create", said="", log=log, program=program)
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def _pump(
    process: subprocess.Popen[bytes], output: Output, check: Callable[[], None], begun: Callable[[], None]
) -> None:
    """Hand on both streams until they have ended."""
    if process.stdout is None or process.stderr is None:
        raise EngineFault("a step's process has no standard streams")
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, Stream.STDOUT)
        selector.register(process.stderr, selectors.EVENT_READ, Stream.STDERR)
        silent = True
        while selector.get_map():
            check()
            for key, _ in selector.select(_TICK):
                data = os.read(key.fd, _PIECE)
                if data and silent:
                    begun()
                    silent = False
                if data:
                    output(key.data, data)
                else:
                    selector.unregister(key.fileobj)


def _end(runtime: Runtime, container_id: str, process: subprocess.Popen[bytes]) -> None:
    """Kill the container and the runtime."""
    runtime.delete(container_id)
    try:
        process.wait(timeout=_LINGER)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    runtime.delete(container_id)
