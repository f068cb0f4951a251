"""The docker CLI, logs, exec and pipes."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator

import pytest

from tests.fixtures.daemons import Daemon
from tests.fixtures.hijack import Stream

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
        for _ in range(5):
            terminal.expect("\n", seconds=5)  # what fills a buffer first would take a minute


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


# --- logs in several files

LINES = 2000
PAD = "." * 80
SCRIPT = f"""
read line
i=1
while [ $i -le {LINES} ]; do
  echo "line $i {PAD}"
  [ $((i % 100)) = 0 ] && echo "err $i" >&2 && sleep 0.05
  i=$((i + 1))
done
"""
"""Bursts of 10 KB with pauses, so that a file of 16 KiB is cut several times, and a loaded host has the time to."""
DRIVERS = {
    "json-file": ("--log-driver=json-file", "--log-opt=labels=team", "--log-opt=env=STAGE"),
    "local": ("--log-driver=local",),
}


@pytest.mark.parametrize("driver", DRIVERS)
def test_what_is_left_of_a_log_of_several_files(daemon: Daemon, driver: str) -> None:
    daemon.docker(
        *("create", "-i", "--name=one", *DRIVERS[driver], "--log-opt=max-size=16k", "--log-opt=max-file=3"),
        *("-l", "team=harbour", "-e", "STAGE=dusk", "busybox", "sh", "-c", SCRIPT),
    )
    daemon.docker("start", "one")
    followers = follow(daemon), follow(daemon, "--since", "0s")
    time.sleep(0.5)
    begin(daemon)
    whole = (text(range(1, LINES + 1)), "".join(f"err {number}\n" for number in range(100, LINES + 1, 100)))
    for follower in followers:
        told = follower.communicate(timeout=60)
        if daemon.kind == "havre":  # dockerd 20.10 loses lines, or tells them twice, where it goes on to another file
            assert told == whole

    left = daemon.docker("logs", "one").stdout
    first = int(left.split()[1])
    assert 1 < first < LINES - 100, "it was not cut"
    assert left == text(range(first, LINES + 1)), "what is left is not the end of it"
    for tail in ("99999", "all"):
        assert daemon.docker("logs", "--tail", tail, "one").stdout == left
    for lines in (0, 5, 150):
        told = daemon.docker("logs", "--tail", str(lines), "one")
        assert (told.stdout + told.stderr).count("\n") == lines
        assert left.endswith(told.stdout)
    details = daemon.docker("logs", "--details", "--tail", "1", "one")
    words = "STAGE=dusk,team=harbour" if driver == "json-file" else ""
    assert details.stdout + details.stderr in (f"{words} {text([LINES])}", f"{words} err {LINES}\n")

    stamped = daemon.docker("logs", "-t", "one").stdout.splitlines()
    instants = [line.split()[0] for line in stamped]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", instant) for instant in instants)
    assert instants == sorted(instants)
    since, until = instants[50], instants[-50]
    between = daemon.docker("logs", "-t", "--since", since, "--until", until, "one").stdout.splitlines()
    assert between == [line for line in stamped if since <= line.split()[0] <= until]
    followed = daemon.docker("logs", "-f", "-t", "--since", since, "--until", until, "one", timeout=20)
    assert followed.stdout.splitlines() == between


def begin(daemon: Daemon) -> None:
    """Let the container's script begin."""
    with Stream(daemon, "/containers/one/attach?stream=1&stdin=1") as stream:
        stream.send(b"\n")


def follow(daemon: Daemon, *options: str) -> subprocess.Popen[str]:
    command = ["docker", "logs", "-f", *options, "one"]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(daemon.cli_environ)
    )


def text(numbers: Iterable[int]) -> str:
    return "".join(f"line {number} {PAD}\n" for number in numbers)


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
    deadline = time.monotonic() + 30
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


# --- pipes

MIB = 1024 * 1024
SMALL = 24
LARGE = 300


WAYS = {
    "run": ("run", "-i", "--rm", "--network=none", "--log-driver=none", "busybox"),
    "exec": ("exec", "-i", "box"),
    "start": ("start", "-ai"),
}


@pytest.mark.parametrize("way", WAYS)
def test_pipes_both_ways_at_once(daemon: Daemon, box: str, way: str) -> None:
    assert through(daemon, way, "cat", size=SMALL) == sent(SMALL)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", WAYS)
def test_hundreds_of_mebibytes_both_ways_at_once(daemon: Daemon, box: str, way: str) -> None:
    assert through(daemon, way, "cat", size=LARGE) == sent(LARGE)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", WAYS)
def test_hundreds_of_mebibytes_one_way(daemon: Daemon, box: str, way: str) -> None:
    words = f"{sent(LARGE)[1]}  -\n".encode()
    assert through(daemon, way, "sha256sum", size=LARGE) == (len(words), hashlib.sha256(words).hexdigest())
    lines = b"0123456789abcde\n" * (LARGE * MIB // 16)
    script = f"yes 0123456789abcde | head -c {len(lines)}"
    assert through(daemon, way, "sh", "-c", script, size=0) == (len(lines), hashlib.sha256(lines).hexdigest())


def _pieces(size: int) -> Iterator[bytes]:
    """*size* MiB, of which no two are alike."""
    block = bytes(range(256)) * (MIB // 256 - 1)
    for number in range(size):
        yield number.to_bytes(8, "big") * 32 + block


def sent(size: int) -> tuple[int, str]:
    digest = hashlib.sha256()
    for piece in _pieces(size):
        digest.update(piece)
    return size * MIB, digest.hexdigest()


def through(daemon: Daemon, way: str, *command: str, size: int) -> tuple[int, str]:
    """How many bytes come out of a *command* that is run in one of `WAYS`, and their digest, while *size* MiB go in."""
    target = command
    if way == "start":
        made = daemon.docker("create", "-i", "--network=none", "--log-driver=none", "busybox", *command).stdout
        target = (made.strip(),)
    process = subprocess.Popen(
        ["docker", *WAYS[way], *target], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(daemon.cli_environ)
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def feed() -> None:
        with process.stdin:  # type: ignore[union-attr]
            for piece in _pieces(size):
                process.stdin.write(piece)  # type: ignore[union-attr]

    feeder = threading.Thread(target=feed)
    feeder.start()
    digest, count = hashlib.sha256(), 0
    with process.stdout as output:
        while data := os.read(output.fileno(), MIB):
            digest.update(data)
            count += len(data)
    feeder.join()
    assert process.wait() == 0
    return count, digest.hexdigest()
