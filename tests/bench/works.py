"""What is measured: each work as a person would type it, with what goes before and after it outside the clock."""

from __future__ import annotations

import atexit
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from tests.bench import builds
from tests.fixtures.daemons import Daemon
from tests.fixtures.image_archives import layout
from tests.fixtures.image_maker import LayerBlob
from tests.fixtures.registry import Registry
from tests.fixtures.tars import tar_of

Clock = Callable[[], float]
LINES: Final = 200_000
STREAM: Final = 200 * 1024 * 1024
COPIED: Final = 100 * 1024 * 1024
COMMITTED: Final = 20 * 1024 * 1024
CONTAINERS: Final = 200
BURST: Final = 20
AT_ONCE: Final = 8
TEN_LAYERS: Final = "127.0.0.1:5002/ten"
REGISTRY: Final = "127.0.0.1:5000"
"""The registry in each engine's own namespace."""


@dataclass(frozen=True)
class Work:
    """`measure` gives the seconds that one round took; `set_up` runs once per engine, before the rounds."""

    name: str
    budget: float | None
    """The ratio that Havre's design promises."""
    rounds: int
    measure: Callable[[Daemon], float]
    set_up: Callable[[Daemon], None] = lambda daemon: None


@contextmanager
def clock() -> Iterator[Clock]:
    """Seconds since the beginning; stands still after the end."""
    began = time.perf_counter()
    ended: list[float] = []
    yield lambda: (ended[0] if ended else time.perf_counter()) - began
    ended.append(time.perf_counter())


def timed(daemon: Daemon, *arguments: str) -> float:
    with clock() as seconds:
        daemon.docker(*arguments)
    return seconds()


def run_once(*options: str) -> Callable[[Daemon], float]:
    return lambda daemon: timed(daemon, "run", "--rm", *options, "busybox", "true")


def run_detached(*options: str) -> Callable[[Daemon], float]:
    def measure(daemon: Daemon) -> float:
        with clock() as seconds:
            container = daemon.docker("run", "-d", *options, "busybox", "sleep", "1000").stdout.strip()
        daemon.docker("rm", "-f", container)
        return seconds()

    return measure


def built(name: str, dockerfile: str, *options: str, size: int = 0) -> Callable[[Daemon], float]:
    command = builds.build(name, dockerfile, *options, size=size)

    def measure(daemon: Daemon) -> float:
        arguments = command(daemon)  # makes the context, outside the clock
        return timed(daemon, *arguments)

    return measure


def exec_true(daemon: Daemon) -> float:
    return timed(daemon, "exec", "bench-exec", "true")


def remove_running(daemon: Daemon) -> float:
    container = daemon.docker("run", "-d", "busybox", "sleep", "1000").stdout.strip()
    return timed(daemon, "rm", "-f", container)


def pull_debian(daemon: Daemon) -> float:
    """By the registry's address: through a mirror, dockerd first waits for names that no test can resolve."""
    seconds = timed(daemon, "pull", f"{REGISTRY}/library/debian")
    daemon.docker("rmi", f"{REGISTRY}/library/debian")
    return seconds


def save_debian(daemon: Daemon) -> float:
    archive = daemon.directory / "saved.tar"
    seconds = timed(daemon, "save", "-o", str(archive), "debian")
    archive.unlink()
    return seconds


def load_debian(daemon: Daemon) -> float:
    """The archive that the same engine has saved, when the image is not there."""
    daemon.docker("rmi", "debian")
    return timed(daemon, "load", "-q", "-i", str(daemon.directory / "debian.tar"))


def _debian(daemon: Daemon) -> None:
    daemon.docker("pull", "-q", "debian")
    daemon.docker("save", "-o", str(daemon.directory / "debian.tar"), "debian")


def pull_ten_layers(daemon: Daemon) -> float:
    seconds = timed(daemon, "pull", TEN_LAYERS)
    daemon.docker("rmi", TEN_LAYERS)
    return seconds


def _ten_layers(daemon: Daemon) -> None:
    """A registry of one's own with an image of ten layers, each of a few MiB in a few hundred files."""
    if daemon.docker("image", "inspect", TEN_LAYERS, check=False).returncode == 0:
        return
    scratch = daemon.directory / "ten"
    layers = [
        LayerBlob.gzip(tar_of({f"{number}/{file}": os.urandom(8192) + bytes(8192) for file in range(400)}))
        for number in range(10)
    ]
    for name, data in layout(layers, annotations={"org.opencontainers.image.ref.name": "latest"}).items():
        (scratch / "layout" / name).parent.mkdir(parents=True, exist_ok=True)
        (scratch / "layout" / name).write_bytes(data)
    registry = Registry(scratch / "storage", namespace=daemon.namespace, port=5002)
    registry.__enter__()
    # It serves as long as the engine's namespace lasts, which is as long as the measurements.
    atexit.register(registry.__exit__)
    registry.push(f"oci:{scratch / 'layout'}:latest", "ten")


def read_logs(daemon: Daemon) -> float:
    with clock() as seconds:
        output = daemon.docker("logs", "bench-logs").stdout
    assert output.count("\n") == LINES, "lines were lost"
    return seconds()


def stream(daemon: Daemon) -> float:
    """What a container writes, through attach, to the CLI's standard output."""
    script = f"yes 0123456789012345678901234567890123456789012345678901234567890 | head -c {STREAM}"
    command = ["docker", "run", "--rm", "busybox", "sh", "-c", script]
    with clock() as seconds:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=dict(daemon.cli_environ))
        assert process.stdout is not None
        total = 0
        while data := process.stdout.read1(1 << 20):
            total += len(data)
        process.stdout.close()
        assert process.wait() == 0
    assert total == STREAM, f"{STREAM - total} bytes were lost"
    return seconds()


def list_containers(daemon: Daemon) -> float:
    return timed(daemon, "ps", "-a")


def burst(daemon: Daemon) -> float:
    with clock() as seconds, ThreadPoolExecutor(AT_ONCE) as pool:
        runs = [pool.submit(daemon.docker, "run", "-d", "busybox", "sleep", "1000") for _ in range(BURST)]
    ids = [run.result().stdout.strip() for run in runs]
    daemon.docker("rm", "-f", *ids)
    return seconds()


def copy_in(daemon: Daemon) -> float:
    seconds = timed(daemon, "cp", str(daemon.directory / "bench-file"), "bench-cp:/tmp/file")
    daemon.docker("exec", "bench-cp", "rm", "/tmp/file")
    return seconds


def commit(daemon: Daemon) -> float:
    seconds = timed(daemon, "commit", "bench-commit", "bench:made")
    daemon.docker("rmi", "bench:made")
    return seconds


def _file_to_copy(daemon: Daemon) -> None:
    (daemon.directory / "bench-file").write_bytes(os.urandom(COPIED))
    daemon.docker("run", "-d", "--name", "bench-cp", "busybox", "sleep", "10000")


def _written(daemon: Daemon) -> None:
    script = f"head -c {COMMITTED} /dev/urandom > /file; sleep 10000"
    daemon.docker("run", "-d", "--name", "bench-commit", "busybox", "sh", "-c", script)
    time.sleep(1)


def _make_many(daemon: Daemon) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for made in [pool.submit(daemon.docker, "create", "busybox", "true") for _ in range(CONTAINERS)]:
            made.result()


WORKS: Final = (
    Work("`run --rm busybox true`, bridge", 0.33, 10, run_once()),
    Work("the same, `--network none`", 0.33, 10, run_once("--network", "none")),
    Work("`run -d`", 0.33, 8, run_detached()),
    Work("`run -d -p 8080:80`", 0.33, 8, run_detached("-p", "8080:80")),
    Work(
        "`exec … true`",
        0.5,
        10,
        exec_true,
        lambda daemon: daemon.docker("run", "-d", "--name", "bench-exec", "busybox", "sleep", "1000") and None,
    ),
    Work("`rm -f` of a running container", 0.5, 8, remove_running),
    Work("`pull debian`", 0.4, 4, pull_debian),
    Work("`pull` of ten layers", 0.4, 4, pull_ten_layers, _ten_layers),
    Work("`save debian`", 0.5, 4, save_debian, _debian),
    Work("`load debian`", 0.5, 4, load_debian, _debian),
    Work(
        f"`logs` of {LINES:,} lines",
        0.7,
        4,
        read_logs,
        lambda daemon: daemon.docker("run", "--name", "bench-logs", "busybox", "seq", str(LINES)) and None,
    ),
    Work("200 MiB through `run`'s attached output", 0.5, 3, stream),
    Work("`cp` of 100 MiB into a container", 0.8, 4, copy_in, _file_to_copy),
    Work("`commit` of 20 MiB", 0.7, 4, commit, _written),
    Work(f"`build`, {builds.STEPS} uncached steps", 0.25, 3, built("steps", builds.steps(), "--no-cache")),
    Work(f"`build`, {builds.STEPS} cached steps", 0.6, 10, built("steps", builds.steps())),
    Work(
        "`build` with 200 MiB of context",
        None,
        3,
        built("large", "FROM busybox\nCOPY . /all\n", "--no-cache", size=builds.CONTEXT),
    ),
    Work(f"`build`, {builds.STAGES} stages side by side", None, 3, built("fan", builds.fan(), "--no-cache")),
    Work(f"{BURST} `run -d`, {AT_ONCE} at a time", 0.35, 3, burst),
    Work(f"`ps -a` with {CONTAINERS} containers", 1.0, 8, list_containers, _make_many),
)
