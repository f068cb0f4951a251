"""Monitors and their ends, with real conmon and runc."""

from __future__ import annotations

import errno
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.containers.runtime.conmon import launched
from engine.containers.runtime.exits import ExitWatcher
from engine.containers.runtime.monitor import Monitor
from engine.errors import CommandUnusable, RuntimeFailed
from tests.fixtures.bundle import Bundles, Ends, bundles, processes_of
from tests.fixtures.processes import wait_until


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Bundles]:
    # A path longer than a socket's address may be: run directories are not always short.
    with bundles(tmp_path / ("long-" + "x" * 60)) as made:
        yield made


@pytest.fixture
def ends() -> Iterator[Ends]:
    with ExitWatcher() as watcher:
        yield Ends(watcher)


def test_exit_code_and_log(made: Bundles, ends: Ends) -> None:
    monitor = made.create("sh", "-c", "echo out; echo err >&2; exit 3")
    assert monitor.process.alive
    assert monitor.monitor.alive
    assert Monitor.load(monitor.directory) == monitor == made.monitors.find(monitor.id)
    ends.watch(monitor)
    made.start(monitor)
    end = ends.wait(monitor)
    assert (end.code, end.oom_killed) == (3, False)
    lines = made.log_path(monitor.id).read_text().splitlines()
    assert sorted(line.split(" ", 1)[1] for line in lines) == ["stderr F err", "stdout F out"]
    assert all(line.split(" ")[0].endswith("+00:00") for line in lines)


def test_signal(made: Bundles, ends: Ends) -> None:
    monitor = made.run("sleep", "1000")
    ends.watch(monitor)
    assert monitor.process.send(signal.SIGKILL)
    assert ends.wait(monitor).code == 137


def test_ended_before_it_was_watched(made: Bundles, ends: Ends) -> None:
    monitor = made.run("false")
    wait_until(lambda: not monitor.monitor.alive)
    ends.watch(monitor)
    assert ends.wait(monitor).code == 1


def test_adopted_by_a_later_daemon(made: Bundles) -> None:
    with ExitWatcher() as first:
        monitor = made.run("sh", "-c", "while test ! -e /tmp/go; do sleep 0.01; done; exit 9")
        before = Ends(first)
        before.watch(monitor)
    found = made.monitors.find(monitor.id)
    assert found == monitor
    with ExitWatcher() as second:
        after = Ends(second)
        after.watch(found)
        (made.rootfs / "tmp/go").touch()
        assert after.wait(found).code == 9
    assert not before.seen


def test_monitor_killed(made: Bundles, ends: Ends) -> None:
    monitor = made.run("sleep", "1000")
    ends.watch(monitor)
    monitor.monitor.send(signal.SIGKILL)
    assert ends.wait(monitor).code is None
    assert monitor.process.alive


def test_many_ends_each_told_once(made: Bundles, ends: Ends) -> None:
    monitors = [made.create("sh", "-c", f"exit {number}") for number in range(8)]
    for monitor in monitors:
        ends.watch(monitor)
        made.start(monitor)
    for number, monitor in enumerate(monitors):
        assert ends.wait(monitor).code == number
    assert all(len(seen) == 1 for seen in ends.seen.values())


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("nope", 127, 'exec: "nope": executable file not found in $PATH'),
        ("/tmp", 126, "exec: "),
        ("/nope/there", 127, "no such file or directory"),
        ("/etc/plain", 126, "permission denied"),
    ],
)
def test_unusable_command(made: Bundles, command: str, code: int, words: str) -> None:
    (made.rootfs / "etc/plain").write_text("not a program")
    with pytest.raises(CommandUnusable) as caught:
        made.create(command)
    assert caught.value.exit_code == code
    assert words in str(caught.value)
    assert str(caught.value).startswith("OCI runtime create failed: ")
    assert not made.monitors.ids()
    wait_until(lambda: not processes_of(made.root))


def test_runtime_refuses_the_bundle(made: Bundles) -> None:
    bundle = made.root / "broken"
    bundle.mkdir()
    (bundle / "config.json").write_text("{")
    made.ids.append("broken")
    with pytest.raises(RuntimeFailed, match="OCI runtime create failed"):
        made.monitors.launch(
            container_id="broken", bundle=bundle, log_path=bundle / "log", tty=False, stdin=False, stdin_once=False
        )
    assert not made.monitors.ids()


def test_conmon_that_is_not_there(made: Bundles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made.monitors, "_conmon", made.root / "no-conmon")
    with pytest.raises(RuntimeFailed, match="cannot run the container monitor"):
        made.monitors.launch(
            container_id="c", bundle=made.root, log_path=made.root / "log", tty=False, stdin=False, stdin_once=False
        )
    assert not made.monitors.ids()


def test_conmon_that_ends_at_once(made: Bundles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made.monitors, "_conmon", Path("/bin/false"))
    with pytest.raises(RuntimeFailed, match=r"/bin/false failed \(status 1\)"):
        made.create("true")
    assert not made.monitors.ids()


def test_the_runtime_cannot_be_made_ready(tmp_path: Path) -> None:
    """Nothing is run then, and conmon does not stay."""

    def ready() -> None:
        raise OSError(errno.ENOSPC, "no room for a mount namespace")

    places = {"bundle": "", "exit-dir": "", "container-pidfile": "pid", "conmon-pidfile": "monitor.pid"}
    arguments = ["conmon", "--api-version", "--cid=x", "--cuuid=x", "--runtime=/bin/false", "--log-path=off"]
    arguments += [f"--{option}={tmp_path / name}/" for option, name in places.items()]
    with (
        pytest.raises(OSError, match="no room"),
        launched(arguments, container_id="x", directory=tmp_path, verb="create", ready=ready),
    ):
        raise AssertionError("it was run")
    assert not processes_of(tmp_path)


def test_descriptors_are_closed(made: Bundles, ends: Ends) -> None:
    made.run("true")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        monitor = made.run("true")
        ends.watch(monitor)
        ends.wait(monitor)
    wait_until(lambda: len(list(Path("/proc/self/fd").iterdir())) <= before)


def test_resize(made: Bundles, ends: Ends) -> None:
    script = "while test \"$(stty size)\" != '33 111'; do sleep 0.01; done; exit 7"
    monitor = made.run("sh", "-c", script, tty=True)
    ends.watch(monitor)
    monitor.resize(rows=33, columns=111)
    assert ends.wait(monitor).code == 7
    with pytest.raises(RuntimeFailed, match="does not answer"):
        monitor.resize(rows=1, columns=1)


def test_creation_is_quick(made: Bundles) -> None:
    took = []
    for _ in range(5):
        started = time.perf_counter()
        made.create("true")
        took.append(time.perf_counter() - started)
    print(sorted(took))
    assert min(took) < 0.5
