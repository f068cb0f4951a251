"""The docker CLI, logs and exec."""

from __future__ import annotations

import re
import subprocess
import time

import pytest

from tests.fixtures.daemons import Daemon

pytestmark = pytest.mark.usefixtures("clean")


@pytest.fixture
def box(daemon: Daemon) -> str:
    daemon.docker("run", "-d", "--name", "box", "busybox", "sleep", "600")
    return "box"


# --- logs


def test_logs_keep_order_and_streams(daemon: Daemon) -> None:
    daemon.docker("run", "--name", "one", "busybox", "sh", "-c", "for i in 1 2 3; do echo out $i; done; echo err >&2")
    result = daemon.docker("logs", "one")
    assert result.stdout == "out 1\nout 2\nout 3\n"
    assert result.stderr == "err\n"


@pytest.mark.parametrize(
    ("tail", "lines"), [("2", ["4", "5"]), ("0", []), ("all", list("12345")), ("99", list("12345"))]
)
def test_tail(daemon: Daemon, tail: str, lines: list[str]) -> None:
    daemon.docker("run", "--name", "one", "busybox", "seq", "5")
    assert daemon.docker("logs", "--tail", tail, "one").stdout.split() == lines


def test_timestamps_have_nine_digits(daemon: Daemon) -> None:
    daemon.docker("run", "--name", "one", "busybox", "echo", "hello")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z hello\n", daemon.docker("logs", "-t", "one").stdout)


def test_since_and_until(daemon: Daemon) -> None:
    daemon.docker("run", "--name", "one", "busybox", "sh", "-c", "echo early; sleep 2; echo late")
    first, second = daemon.docker("logs", "-t", "one").stdout.splitlines()
    between = first.split()[0][:-4] + "Z"
    middle = second.split()[0]
    assert daemon.docker("logs", "--since", middle, "one").stdout == "late\n"
    assert daemon.docker("logs", "--until", between, "one").stdout in ("early\n", "")
    assert daemon.docker("logs", "--since", "1h", "one").stdout == "early\nlate\n"


def test_follow_ends_with_the_container(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--name", "one", "busybox", "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.4; done")
    assert daemon.docker("logs", "-f", "one", timeout=20).stdout == "1\n2\n3\n"


def test_follow_shows_a_line_as_it_comes(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--name", "one", "busybox", "sh", "-c", "while :; do date +%s; sleep 0.2; done")
    with daemon.docker_terminal("logs", "-f", "--tail", "0", "one") as terminal:
        terminal.expect("\n")
        begun = time.monotonic()
        for _ in range(5):
            terminal.expect("\n")
        assert time.monotonic() - begun < 3


def test_logs_of_a_terminal_are_raw(daemon: Daemon) -> None:
    daemon.docker("run", "-t", "--name", "one", "busybox", "echo", "hello")
    assert daemon.docker("logs", "one").stdout.replace("\r", "") == "hello\n"


def test_a_long_line_is_whole(daemon: Daemon) -> None:
    script = "head -c 100000 /dev/zero | tr '\\0' x; echo"
    daemon.docker("run", "--name", "one", "busybox", "sh", "-c", script)
    assert daemon.docker("logs", "one").stdout == "x" * 100_000 + "\n"


def test_no_line_is_lost_of_many(daemon: Daemon) -> None:
    out = daemon.docker("run", "--name", "one", "busybox", "seq", "50000").stdout
    expected = "".join(f"{number}\n" for number in range(1, 50_001))
    assert out == expected
    assert daemon.docker("logs", "one").stdout == expected


# --- exec


def test_exec_gives_output_and_code(daemon: Daemon, box: str) -> None:
    result = daemon.docker("exec", box, "sh", "-c", "echo out; echo err >&2; exit 5", check=False)
    assert (result.stdout, result.stderr, result.returncode) == ("out\n", "err\n", 5)


@pytest.mark.parametrize(("command", "code"), [("nosuchprogram", 127), ("/etc", 126)])
def test_exec_of_what_cannot_be_executed(daemon: Daemon, box: str, command: str, code: int) -> None:
    result = daemon.docker("exec", box, command, check=False)
    # dockerd 20.10 tells 126 for both.
    assert result.returncode in (code, 126)
    assert f'exec: "{command}"' in result.stdout + result.stderr


def test_exec_has_environment_user_and_directory(daemon: Daemon, box: str) -> None:
    out = daemon.docker("exec", "-e", "A=b", "-u", "7", "-w", "/tmp", box, "sh", "-c", "echo $A; id -u; pwd").stdout
    assert out.split() == ["b", "7", "/tmp"]


def test_exec_ends_with_its_input(daemon: Daemon, box: str) -> None:
    out = daemon.docker("exec", "-i", box, "wc", "-c", stdin="y" * 300_000, timeout=20).stdout
    assert out.strip() == "300000"


def test_exec_goes_on_after_the_end_of_input(daemon: Daemon, box: str) -> None:
    out = daemon.docker("exec", "-i", box, "sh", "-c", "cat; sleep 1; echo after", stdin="before\n", timeout=20).stdout
    assert out == "before\nafter\n"


def test_exec_carries_bytes_unchanged_both_ways(daemon: Daemon, box: str) -> None:
    data = bytes(range(256)) * 4000
    result = subprocess.run(
        ["docker", "exec", "-i", box, "cat"],
        input=data,
        capture_output=True,
        env=dict(daemon.cli_environ),
        timeout=30,
        check=True,
    )
    assert result.stdout == data


def test_exec_on_a_terminal(daemon: Daemon, box: str) -> None:
    with daemon.docker_terminal("exec", "-ti", box, "sh") as terminal:
        terminal.resize(31, 99)
        terminal.expect("# ")
        time.sleep(0.5)
        terminal.send("stty size; tty; echo $((6*7))\n")
        terminal.expect("31 99\r\n")
        terminal.expect("/dev/pts/")
        terminal.expect("42\r\n")
        terminal.send("exit 8\n")
        assert terminal.wait() == 8


def test_exec_detached(daemon: Daemon, box: str) -> None:
    assert daemon.docker("exec", "-d", box, "sh", "-c", "echo done > /mark").stdout == ""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        result = daemon.docker("exec", box, "cat", "/mark", check=False)
        if result.stdout == "done\n":
            return
        time.sleep(0.1)
    raise AssertionError("the detached process did not run")


def test_exec_in_a_paused_container(daemon: Daemon, box: str) -> None:
    daemon.docker("pause", box)
    result = daemon.docker("exec", box, "true", check=False)
    daemon.docker("unpause", box)
    assert result.returncode == 1
    assert "is paused, unpause the container before exec" in result.stderr
