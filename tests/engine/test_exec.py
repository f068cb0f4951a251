"""Exec sessions in real containers."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.containers.model import Container, ExecConfig, State, Status
from engine.containers.options import ContainerConfig, HostConfig
from engine.containers.runtime.exits import ExitWatcher
from engine.containers.runtime.monitor import Monitor
from engine.containers.streams.attach import Attachment
from engine.containers.streams.exec import ExecSessions
from engine.errors import CommandUnusable, Conflict, ExecNotFound, InvalidParameter, NotRunning
from engine.types import Digest
from tests.fixtures.bundle import CONMON, Bundles, bundles, processes_of
from tests.fixtures.processes import wait_until


class Sessions:
    """ExecSessions on one running container, and what they announced."""

    def __init__(self, made: Bundles, watcher: ExitWatcher) -> None:
        self.made = made
        self.watcher = watcher
        self.told: list[tuple[str, str]] = []
        self.execs = self.service(watcher)
        self.monitor = made.run("sleep", "1000")
        self.container = container_of(self.monitor)

    def service(self, watcher: ExitWatcher) -> ExecSessions:
        return ExecSessions(
            monitors=self.made.monitors,
            watcher=watcher,
            held=("CAP_KILL", "CAP_CHOWN", "CAP_SYS_ADMIN"),
            announce=lambda _, action, attributes: self.told.append((action, attributes.get("exitCode", ""))),
        )

    def create(self, *command: str, **options: object) -> str:
        options = {"attach_stdout": True, "attach_stderr": True} | options
        return self.execs.create(container=self.container, config=ExecConfig(cmd=command, **options))  # type: ignore[arg-type]

    def start(self, exec_id: str, *, rows: int = 0, columns: int = 0) -> Attachment:
        attachment = self.execs.start(exec_id, container=self.container, rows=rows, columns=columns)
        assert attachment is not None
        return attachment

    async def run(self, *command: str, **options: object) -> tuple[int | None, bytes, bytes]:
        exec_id = self.create(*command, **options)
        output = await collect(self.start(exec_id))
        return self.execs.inspect(exec_id).exit_code, output[1], output[2]


def container_of(monitor: Monitor) -> Container:
    return Container(
        id=monitor.container_id,
        name="c",
        image=Digest.of(b""),
        created=0,
        config=ContainerConfig(image="busybox"),
        host=HostConfig(),
        state=State(status=Status.RUNNING, pid=monitor.process.pid),
        path="sleep",
        args=("1000",),
        raw_config={},
        raw_host_config={},
    )


async def collect(attachment: Attachment) -> dict[int, bytes]:
    output = {1: b"", 2: b""}
    async for frames in attachment.frames():
        for stream, payload in frames:
            output[stream] += payload
    attachment.close()
    return output


def monitors_running(made: Bundles) -> int:
    return sum(command.startswith(str(CONMON)) for command in processes_of(made.root))


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    with bundles(tmp_path / ("long-" + "x" * 60)) as made, ExitWatcher() as watcher:
        found = Sessions(made, watcher)
        yield found
        # Whatever a test did: only the container's own monitor is left, and no session's directory.
        wait_until(lambda: monitors_running(made) <= 1)
        wait_until(lambda: not list(found.monitor.directory.glob("exec-*")))


async def test_output_and_exit_code(sessions: Sessions) -> None:
    assert await sessions.run("sh", "-c", "echo out; echo err >&2; exit 5") == (5, b"out\n", b"err\n")
    assert [action for action, _ in sessions.told] == [
        "exec_create: sh -c echo out; echo err >&2; exit 5",
        "exec_start: sh -c echo out; echo err >&2; exit 5",
        "exec_die",
    ]
    assert sessions.told[-1] == ("exec_die", "5")


async def test_stdin(sessions: Sessions) -> None:
    exec_id = sessions.create("cat", attach_stdin=True)
    attachment = sessions.start(exec_id)
    assert sessions.execs.inspect(exec_id).running
    assert sessions.execs.running(sessions.container.id) == (exec_id,)
    data = b"0123456789abcdef" * 50_000
    task = asyncio.create_task(collect(attachment))
    await attachment.send(data)
    await attachment.close_stdin()
    assert (await task)[1] == data
    assert sessions.execs.inspect(exec_id).exit_code == 0
    assert not sessions.execs.running(sessions.container.id)


async def test_much_output_is_whole(sessions: Sessions) -> None:
    code, output, _ = await sessions.run("seq", "1", "200000")
    assert code == 0
    assert output == b"".join(b"%d\n" % number for number in range(1, 200_001))


async def test_terminal_size_and_resize(sessions: Sessions) -> None:
    script = "stty size; while test \"$(stty size)\" != '40 120'; do sleep 0.01; done; echo $TERM"
    exec_id = sessions.create("sh", "-c", script, tty=True)
    attachment = sessions.start(exec_id, rows=33, columns=111)
    seen = b""
    async for frames in attachment.frames():
        seen += b"".join(payload for _, payload in frames)
        if seen == b"33 111\r\n":
            sessions.execs.resize(exec_id, rows=40, columns=120)
    attachment.close()
    assert seen == b"33 111\r\nxterm\r\n"
    with pytest.raises(Conflict, match="is not running"):
        sessions.execs.resize(exec_id, rows=1, columns=1)


async def test_environment_directory_and_user(sessions: Sessions) -> None:
    (sessions.made.rootfs / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nada:x:1000:1001::/home/ada:/bin/sh\n")
    (sessions.made.rootfs / "etc/group").write_text("root:x:0:\nstaff:x:50:ada\n")
    script = "pwd; id -u; id -G; echo $HOME $FOO"
    code, output, _ = await sessions.run("sh", "-c", script, env=("FOO=bar",), working_dir="/tmp", user="ada")
    assert (code, output) == (0, b"/tmp\n1000\n1001 50\n/home/ada bar\n")
    with pytest.raises(InvalidParameter, match="unable to find user nobody"):
        sessions.start(sessions.create("true", user="nobody"))


async def test_capabilities(sessions: Sessions) -> None:
    script = ("sh", "-c", "while read key value; do case $key in CapEff:) echo $value;; esac; done < /proc/self/status")
    ordinary = int((await sessions.run(*script))[1], 16)
    privileged = int((await sessions.run(*script, privileged=True))[1], 16)
    another = int((await sessions.run(*script, user="1000"))[1], 16)
    assert ordinary == 1 << 0 | 1 << 5 | 1 << 6 | 1 << 7
    assert privileged == 1 << 0 | 1 << 5 | 1 << 21
    assert another == 0


async def test_working_directory_must_lie_in_the_container(sessions: Sessions) -> None:
    for path in ("/proc/self/fd/7", "relative"):
        with pytest.raises(InvalidParameter):
            sessions.start(sessions.create("true", working_dir=path))


async def test_unusable_command(sessions: Sessions) -> None:
    exec_id = sessions.create("nope")
    with pytest.raises(CommandUnusable) as caught:
        sessions.start(exec_id)
    assert str(caught.value) == (
        'OCI runtime exec failed: exec failed: unable to start container process: exec: "nope": '
        "executable file not found in $PATH: unknown"
    )
    assert sessions.execs.inspect(exec_id).exit_code == 126
    exec_id = sessions.create("/tmp", tty=True, attach_stdin=True)
    with pytest.raises(CommandUnusable):
        sessions.start(exec_id)
    assert sessions.execs.inspect(exec_id).exit_code == 126
    exec_id = sessions.create("true", working_dir="/nope")
    with pytest.raises(CommandUnusable, match="no such file or directory"):
        sessions.start(exec_id)


async def test_detached(sessions: Sessions) -> None:
    exec_id = sessions.create("sh", "-c", "cat; exit 4")
    assert sessions.execs.start(exec_id, container=sessions.container, detach=True) is None
    wait_until(lambda: sessions.execs.inspect(exec_id).exit_code == 4)


async def test_conflicts(sessions: Sessions) -> None:
    exec_id = sessions.create("sleep", "1000")
    attachment = sessions.start(exec_id)
    with pytest.raises(Conflict, match="already running"):
        sessions.start(exec_id)
    pid = sessions.execs.inspect(exec_id).pid
    assert pid > 0
    sessions.made.runc("exec", sessions.container.id, "kill", "-9", "-1")
    await collect(attachment)
    assert sessions.execs.inspect(exec_id).exit_code == 137
    with pytest.raises(Conflict, match="already run"):
        sessions.start(exec_id)
    with pytest.raises(ExecNotFound):
        sessions.execs.inspect("unknown")
    with pytest.raises(InvalidParameter, match="No exec command specified"):
        sessions.create()
    for status, words in ((Status.PAUSED, "is paused"), (Status.EXITED, "is not running")):
        stopped = replace(sessions.container, state=replace(sessions.container.state, status=status))
        with pytest.raises(Conflict, match=words):
            sessions.execs.create(container=stopped, config=ExecConfig(cmd=("true",)))


async def test_container_that_has_just_ended(sessions: Sessions) -> None:
    exec_id = sessions.create("true")
    sessions.monitor.process.send(signal.SIGKILL)
    wait_until(lambda: not sessions.monitor.process.alive)
    with pytest.raises(NotRunning, match="is not running"):
        sessions.start(exec_id)


async def test_ends_with_its_container(sessions: Sessions) -> None:
    exec_id = sessions.create("sleep", "1000")
    attachment = sessions.start(exec_id)
    unstarted = sessions.create("true")
    sessions.monitor.process.send(signal.SIGKILL)
    await collect(attachment)
    assert sessions.execs.inspect(exec_id).exit_code == 137
    sessions.execs.forget(sessions.container.id)
    for forgotten in (exec_id, unstarted):
        with pytest.raises(ExecNotFound):
            sessions.execs.inspect(forgotten)


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (("cat",), {"attach_stdin": True}),
        (("sh",), {"attach_stdin": True, "tty": True}),
        (("sleep", "1000"), {"attach_stdin": True, "tty": True}),
        (("sh", "-c", "yes | head -c 3000000"), {}),
    ],
)
async def test_vanished_clients_leave_nothing(
    sessions: Sessions, command: tuple[str, ...], options: dict[str, bool]
) -> None:
    ids = [sessions.create(*command, **options) for _ in range(4)]
    for exec_id in ids:
        sessions.start(exec_id).close()
    for exec_id in ids:
        wait_until(lambda exec_id=exec_id: sessions.execs.inspect(exec_id).exit_code is not None)
    wait_until(lambda: monitors_running(sessions.made) == 1)


async def test_detached_by_keys_goes_on(sessions: Sessions) -> None:
    exec_id = sessions.create("sh", attach_stdin=True, tty=True)
    sessions.start(exec_id).close(detached=True)
    await asyncio.sleep(0.1)
    assert sessions.execs.inspect(exec_id).running
    sessions.made.runc("exec", sessions.container.id, "kill", "-9", "-1")
    wait_until(lambda: not sessions.execs.inspect(exec_id).running)


async def test_taken_over_by_a_later_daemon(sessions: Sessions) -> None:
    exec_id = sessions.create(
        "sh", "-c", "while test ! -e /tmp/go; do sleep 0.01; done; exit 8", env=("A=b",), attach_stderr=False
    )
    sessions.start(exec_id).close()
    before = sessions.execs.inspect(exec_id)
    sessions.watcher.close()
    (sessions.monitor.directory / "exec-unfinished").mkdir()
    with ExitWatcher() as watcher:
        later = sessions.service(watcher)
        later.adopt([sessions.container.id])
        assert later.inspect(exec_id) == before
        (sessions.made.rootfs / "tmp/go").touch()
        wait_until(lambda: later.inspect(exec_id).exit_code is not None)
        assert later.inspect(exec_id).exit_code == 8


async def test_forgotten_after_a_while(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    exec_id = sessions.create("true")
    await collect(sessions.start(exec_id))
    assert sessions.execs.inspect(exec_id).exit_code == 0
    monkeypatch.setattr("engine.containers.streams.exec.REMEMBERED", -1.0)
    with pytest.raises(ExecNotFound):
        sessions.execs.inspect(exec_id)


async def test_speed(sessions: Sessions) -> None:
    took = []
    for _ in range(8):
        started = time.perf_counter()
        assert (await sessions.run("true"))[0] == 0
        took.append(time.perf_counter() - started)
    print("exec true:", json.dumps([round(seconds, 3) for seconds in sorted(took)]))
    assert min(took) < 0.5
