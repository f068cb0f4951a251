"""Attach and exec in every combination of what they can be asked for, on Havre and on dockerd."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from itertools import product
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from tests.fixtures.daemons import Daemon
from tests.fixtures.hijack import HEAD, RAW, Stream, ask, call, connect, read_to_end, request
from tests.fixtures.processes import wait_until

pytestmark = pytest.mark.usefixtures("busybox")

QUIET = 0.1
"""Seconds in which what should not come would have come: the same words have come elsewhere already."""
TALK = 'echo out; echo err >&2; while read line; do echo "out $line"; echo "err $line" >&2; done'
Said = list[tuple[int, bytes]]
"""What a container has said: stream and line."""


def container(daemon: Daemon, *command: str, start: bool = True, **config: object) -> str:
    """A new container's id."""
    body = {"Image": "busybox", "Cmd": command, "HostConfig": {"NetworkMode": "none"}, **config}
    made: str = call(daemon, "POST", "/containers/create", body)["Id"]
    if start:
        call(daemon, "POST", f"/containers/{made}/start")
    return made


@pytest.fixture
def gone(daemon: Daemon) -> Iterator[None]:
    yield
    daemon.remove_everything()


def attach(
    daemon: Daemon, name: str, *wanted: str, framed: bool = True, upgrade: bool = True, keys: str = ""
) -> Stream:
    flags = "".join(f"&{flag}=1" for flag in wanted)
    path = f"/containers/{name}/attach?detachKeys={keys}{flags}"
    return Stream(daemon, path, upgrade=upgrade, framed=framed)


def logged(daemon: Daemon, name: str, words: bytes) -> None:
    """Wait until the log has these words: it is written beside the streams."""
    path = f"/v1.41/containers/{name}/logs?stdout=1&stderr=1"
    wait_until(lambda: words in ask(daemon, "GET", path)[2], what=f"{words!r} in the log")


# --- attach


@pytest.mark.usefixtures("gone")
@pytest.mark.parametrize("tty", [False, True], ids=["pipes", "terminal"])
def test_attach_in_every_combination(daemon: Daemon, tty: bool) -> None:
    """One container that says everything on both streams; each attachment gets what it has asked for, and only that."""
    name = container(daemon, "sh", "-c", f"stty raw -echo; {TALK}" if tty else TALK, OpenStdin=True, Tty=tty)
    said: Said = [(1, b"out\n"), (2, b"err\n")]
    logged(daemon, name, b"err")
    wrong = {}
    with attach(daemon, name, "stream", "stdin", "stdout", "stderr", framed=not tty) as typist:
        flags = [(flag, "") for flag in ("stream", "logs", "stdin", "stdout", "stderr")]
        for number, wanted in enumerate(product(*flags)):
            expected = list(said) if "logs" in wanted else []
            with attach(daemon, name, *filter(None, wanted), framed=not tty, upgrade=number % 2 > 0) as stream:
                if "stream" in wanted:
                    live: Said = [(1, b"out %d\n" % number), (2, b"err %d\n" % number)]
                    (stream if "stdin" in wanted else typist).send(b"%d\n" % number)
                    typist.expect(RAW if tty else 2, live[1][1])
                    logged(daemon, name, live[1][1].strip())
                    said += live
                    expected += live
                    seen = stream.linger(QUIET)
                else:
                    seen = stream.to_end()
            if (stream.status, seen) != (101 if number % 2 else 200, told(expected, wanted, tty=tty)):
                wrong[" ".join(filter(None, wanted))] = (stream.head, seen, expected)
    assert wrong == {}


def told(said: Said, wanted: tuple[str, ...], *, tty: bool) -> dict[int, bytes]:
    """How what a container has *said* comes to one that has asked for what is *wanted*."""
    if tty:
        whole = b"".join(line for _, line in said)
        return {RAW: whole} if whole and "stdout" in wanted else {}
    streams = [(1, "stdout"), (2, "stderr")]
    lines = {number: b"".join(line for stream, line in said if stream == number) for number, _ in streams}
    return {number: lines[number] for number, name in streams if lines[number] and name in wanted}


@pytest.mark.usefixtures("gone")
@pytest.mark.parametrize("upgrade", [True, False], ids=["upgraded", "plain"])
def test_the_end_of_input_is_the_end_of_stdin_where_it_is_for_one_client(daemon: Daemon, upgrade: bool) -> None:
    name = container(daemon, "sh", "-c", "cat; echo that was all", OpenStdin=True, StdinOnce=True, start=False)
    data = bytes(range(256)) * 4096
    with attach(daemon, name, "stream", "stdin", "stdout", upgrade=upgrade) as stream:
        call(daemon, "POST", f"/containers/{name}/start")
        stream.send(data)
        stream.end_input()
        assert stream.to_end() == {1: data + b"that was all\n"}
    assert call(daemon, "POST", f"/containers/{name}/wait")["StatusCode"] == 0


@pytest.mark.usefixtures("gone")
@pytest.mark.parametrize("tty", [False, True], ids=["pipes", "terminal"])
def test_the_end_of_input_ends_the_attachment_where_stdin_stays_open(daemon: Daemon, tty: bool) -> None:
    name = container(daemon, "cat", OpenStdin=True, Tty=tty)
    for word in (b"one\n", b"two\n"):
        with attach(daemon, name, "stream", "stdin", "stdout", framed=not tty) as stream:
            stream.send(word)
            stream.expect(RAW if tty else 1, word.strip())
            stream.end_input()
            stream.to_end()
    assert call(daemon, "GET", f"/containers/{name}/json")["State"]["Running"]


@pytest.mark.usefixtures("gone")
def test_an_attachment_outlives_the_end_of_input_that_it_does_not_carry(daemon: Daemon) -> None:
    name = container(daemon, "sh", "-c", TALK, OpenStdin=True)
    with (
        attach(daemon, name, "stream", "stdin", "stdout") as typist,
        attach(daemon, name, "stream", "stdout") as listener,
    ):
        listener.end_input()
        typist.send(b"there?\n")
        listener.expect(1, b"out there?\n")


@pytest.mark.usefixtures("gone")
def test_clients_that_leave_in_the_middle(daemon: Daemon) -> None:
    """One that reads and one that writes: the container goes on, and its log is whole."""
    name = container(
        daemon, "sh", "-c", "seq 30000; read line; seq 30001 60000; cat | wc -c", OpenStdin=True, start=False
    )
    reader = attach(daemon, name, "stream", "stdout")
    typist = attach(daemon, name, "stream", "stdin", "stdout", "stderr")
    call(daemon, "POST", f"/containers/{name}/start")
    assert reader.receive(1000)
    reader.close()
    typist.expect(1, b"\n30000\n")
    typist.send(b"go\n")
    typist.expect(1, b"\n30001\n")
    typist.close()
    with attach(daemon, name, "stream", "stdin", "stdout") as later:
        later.send(b"x" * 1000)
    assert call(daemon, "GET", f"/containers/{name}/json")["State"]["Running"]
    logged(daemon, name, b"60000\n")
    assert daemon.docker("logs", name).stdout.split() == [str(number) for number in range(1, 60_001)]


@pytest.mark.usefixtures("gone")
def test_a_writer_that_leaves_ends_stdin_that_was_for_it_alone(daemon: Daemon) -> None:
    name = container(daemon, "wc", "-c", OpenStdin=True, StdinOnce=True, start=False)
    with attach(daemon, name, "stream", "stdin") as stream:
        call(daemon, "POST", f"/containers/{name}/start")
        stream.send(b"x" * 100_000)
    assert call(daemon, "POST", f"/containers/{name}/wait")["StatusCode"] == 0
    logged(daemon, name, b"100000")


@pytest.mark.usefixtures("gone")
def test_what_attach_refuses(daemon: Daemon) -> None:
    name = container(daemon, "sleep", "600", OpenStdin=True, Tty=True)
    call(daemon, "POST", f"/containers/{name}/pause")
    refused = {
        "/containers/nosuch/attach?stream=1&stdout=1": (404, "No such container: nosuch"),
        f"/containers/{name}/attach?stream=1&stdout=1": (409, "is paused, unpause the container before attach"),
        f"/containers/{name}/attach?stdout=1": (409, "is paused, unpause the container before attach"),
        f"/containers/{name}/attach?stream=1&detachKeys=nosuch": (400, "Invalid detach keys (nosuch) provided"),
        "/containers/nosuch/attach?stream=1&detachKeys=ctrl-1": (400, "Invalid detach keys (ctrl-1) provided"),
    }
    for path, (status, words) in refused.items():
        found, _, answer = ask(daemon, "POST", path)
        assert (found, words in answer.decode()) == (status, True), (path, answer)


# --- keys that detach


@pytest.mark.usefixtures("gone")
@pytest.mark.parametrize(("keys", "typed"), [("", b"\x10\x11"), ("ctrl-a,x", b"\x01x"), ("ctrl-[", b"\x1b")])
def test_keys_detach_from_a_terminal(daemon: Daemon, keys: str, typed: bytes) -> None:
    begun = time.time()
    name = container(daemon, "sh", "-c", "stty raw -echo; echo ready; cat", OpenStdin=True, Tty=True)
    logged(daemon, name, b"ready")
    with attach(daemon, name, "stream", "stdin", "stdout", framed=False, keys=keys) as stream:
        for key in (*(typed[:1] * (len(typed) > 1)), *b"ab", *typed):  # the first time it is no sequence
            stream.send(bytes([key]))
            time.sleep(0.05)
        assert stream.to_end() == {RAW: typed[: len(typed) - 1] + b"ab"}
    assert call(daemon, "GET", f"/containers/{name}/json")["State"]["Running"]
    assert "detach" in actions(daemon, name, since=begun)
    with attach(daemon, name, "stream", "stdin", "stdout", framed=False) as again:
        again.send(b"back")
        again.expect(RAW, b"back")


@pytest.mark.usefixtures("gone")
def test_keys_detach_nobody_without_a_terminal_or_without_its_input(daemon: Daemon) -> None:
    begun = time.time()
    plain = container(daemon, "cat", OpenStdin=True)
    with attach(daemon, plain, "stream", "stdin", "stdout", keys="ctrl-p,ctrl-q") as stream:
        for key in (b"\x10", b"\x11", b"after"):
            stream.send(key)
            time.sleep(0.02)
        stream.expect(1, b"\x10\x11after")
    terminal = container(daemon, "sh", "-c", "stty raw -echo; cat", OpenStdin=True, Tty=True)
    with (
        attach(daemon, terminal, "stream", "stdout", framed=False) as listener,
        attach(daemon, terminal, "stream", "stdin", "stdout", framed=False) as typist,
    ):
        for key in (b"\x10", b"\x11"):
            listener.send(key)
            time.sleep(0.02)
        typist.send(b"still here")
        listener.expect(RAW, b"still here")
    assert "detach" not in actions(daemon, plain, since=begun) + actions(daemon, terminal, since=begun)


def actions(daemon: Daemon, name: str, *, since: float) -> list[str]:
    """What has happened with a container."""
    filters = quote(json.dumps({"container": [name]}))
    path = f"/v1.41/events?since={since:.6f}&until={time.time() + 0.05:.6f}&filters={filters}"
    return [json.loads(line)["Action"] for line in ask(daemon, "GET", path)[2].splitlines() if line.startswith(b"{")]


# --- exec


@pytest.fixture(scope="module")
def box(daemon: Daemon) -> Iterator[str]:
    """A container for any number of sessions."""
    if daemon.docker("image", "inspect", "busybox", check=False).returncode:
        daemon.docker("pull", "-q", "busybox")
    yield container(daemon, "sleep", "600")
    daemon.remove_everything()


def session(daemon: Daemon, box: str, *command: str, attached: tuple[str, ...] = (), **config: object) -> str:
    """A new session's id; *attached* are of `Stdin`, `Stdout`, `Stderr`."""
    body = {"Cmd": command, **{f"Attach{name}": True for name in attached}, **config}
    made: str = call(daemon, "POST", f"/containers/{box}/exec", body)["Id"]
    return made


def exit_code(daemon: Daemon, exec_id: str) -> int:
    """The code of a session that has been started, when it has ended."""
    code: list[int] = []

    def ended() -> bool:
        told = call(daemon, "GET", f"/exec/{exec_id}/json")
        code[:] = [] if told["Running"] or told["ExitCode"] is None else [told["ExitCode"]]
        return bool(code)

    wait_until(ended, what="the end of the session")
    return code[0]


@pytest.mark.parametrize("tty", [False, True], ids=["pipes", "terminal"])
def test_exec_in_every_combination(daemon: Daemon, box: str, tty: bool) -> None:
    wrong = {}
    script = "stty raw -echo; echo ready; " if tty else ""
    for number, (stdin, stdout, stderr) in enumerate(product(("Stdin", ""), ("Stdout", ""), ("Stderr", ""))):
        # A terminal without input has no end of input, and nobody to wait for.
        read = "read line; " if stdin or not tty else ""
        command = f'{script}{read}echo "out $line"; echo "err $line" >&2; exit 7'
        attached = tuple(filter(None, (stdin, stdout, stderr)))
        exec_id = session(daemon, box, "sh", "-c", command, attached=attached, Tty=tty)
        path, upgrade = f"/exec/{exec_id}/start", number % 2 > 0
        with Stream(daemon, path, {"Detach": False, "Tty": tty}, upgrade=upgrade, framed=not tty) as stream:
            if tty and stdin and stdout:
                stream.expect(RAW, b"ready\n")
            stream.send(b"word\n")
            if not tty:
                stream.end_input()
            elif stdin and not stdout:
                exit_code(daemon, exec_id)  # dockerd waits for the end of input
                stream.end_input()
            seen = stream.to_end()
        line = b"word" if stdin else b""
        said: Said = [(1, b"ready\n")] * tty + [(1, b"out %b\n" % line), (2, b"err %b\n" % line)]
        expected = told(said, tuple(name.lower() for name in attached), tty=tty)
        if (stream.status, seen, exit_code(daemon, exec_id)) != (101 if upgrade else 200, expected, 7):
            wrong[attached] = (stream.head, seen, expected)
    assert wrong == {}


def test_a_session_is_framed_as_its_start_asks(daemon: Daemon, box: str) -> None:
    for made, asked in product((False, True), repeat=2):
        exec_id = session(daemon, box, "printf", "words", attached=("Stdout", "Stderr"), Tty=made)
        with Stream(daemon, f"/exec/{exec_id}/start", {"Tty": asked}, framed=not asked) as stream:
            assert stream.to_end() == {RAW if asked else 1: b"words"}, (made, asked)


def test_output_waits_until_the_head_is_read(daemon: Daemon, box: str) -> None:
    """The SDK reads the head through a buffer and the stream past it: what comes along with the head is lost to it."""
    if daemon.kind == "dockerd":
        pytest.skip("dockerd does not wait, and its output is lost")
    exec_id = session(daemon, box, "echo", "word", attached=("Stdout",))
    with closing(connect(daemon)) as connection:
        connection.sendall(request("POST", f"/exec/{exec_id}/start", b'{"Tty": true}', upgrade=True))
        time.sleep(0.5)  # a busy client
        assert connection.recv(65536).endswith(HEAD)
        assert read_to_end(connection) == b"word\n"


@pytest.mark.parametrize("upgrade", [True, False], ids=["upgraded", "plain"])
def test_the_end_of_a_sessions_input_is_no_end_of_its_output(daemon: Daemon, box: str, upgrade: bool) -> None:
    attached = ("Stdin", "Stdout", "Stderr")
    exec_id = session(daemon, box, "sh", "-c", "sha256sum; sleep 0.3; echo after; exit 3", attached=attached)
    with Stream(daemon, f"/exec/{exec_id}/start", {}, upgrade=upgrade) as stream:
        stream.send(bytes(range(256)) * 8192)
        stream.end_input()
        assert stream.to_end()[1].endswith(b"  -\nafter\n")
    assert exit_code(daemon, exec_id) == 3


def test_a_session_whose_client_leaves(daemon: Daemon, box: str) -> None:
    """What it may type to has an end; what it only reads goes on."""
    attached = ("Stdin", "Stdout", "Stderr")
    writes = session(daemon, box, "sh", "-c", "cat > /dev/null; echo done > /tmp/writes", attached=attached)
    with Stream(daemon, f"/exec/{writes}/start", {}) as stream:
        stream.send(b"words")
    reads = session(daemon, box, "sh", "-c", "seq 200000; echo done > /tmp/reads", attached=attached)
    with Stream(daemon, f"/exec/{reads}/start", {}) as stream:
        assert stream.receive(1000)
    for exec_id in (writes, reads):
        exit_code(daemon, exec_id)
    assert daemon.docker("exec", box, "cat", "/tmp/writes").stdout == "done\n"


def test_resize(daemon: Daemon, box: str) -> None:
    attached = ("Stdin", "Stdout")
    command = ("sh", "-c", "echo ready; read line; stty size; sleep 0.2")
    exec_id = session(daemon, box, *command, attached=attached, Tty=True)
    with Stream(daemon, f"/exec/{exec_id}/start", {"Tty": True}, framed=False) as stream:
        call(daemon, "POST", f"/exec/{exec_id}/resize?h=31&w=97")
        stream.expect(RAW, b"ready\r\n")
        stream.send(b"\n")
        stream.expect(RAW, b"31 97\r\n")
    exit_code(daemon, exec_id)
    unstarted = container(daemon, "sh", "-c", "read line; stty size", OpenStdin=True, Tty=True, start=False)
    assert ask(daemon, "POST", f"/containers/{unstarted}/resize?h=31&w=97")[0] == 409
    with attach(daemon, unstarted, "stream", "stdin", "stdout", framed=False) as stream:
        call(daemon, "POST", f"/containers/{unstarted}/start")
        call(daemon, "POST", f"/containers/{unstarted}/resize?h=31&w=97")
        stream.send(b"\n")
        stream.expect(RAW, b"31 97\r\n")
    call(daemon, "POST", f"/containers/{unstarted}/wait")
    assert ask(daemon, "POST", f"/containers/{unstarted}/resize?h=31&w=97")[0] == 409


def test_what_exec_refuses(daemon: Daemon, box: str) -> None:
    exec_id = session(daemon, box, "true", attached=("Stdout",))
    with Stream(daemon, f"/exec/{exec_id}/start", {}) as stream:
        stream.to_end()
    exit_code(daemon, exec_id)
    refused = {
        "/exec/nosuch/start": (404, "No such exec instance: nosuch"),
        "/exec/nosuch/resize?h=1&w=1": (404, "No such exec instance: nosuch"),
        "/containers/nosuch/exec": (404, "No such container: nosuch"),
    }
    for path, (status, words) in refused.items():
        found, _, answer = ask(daemon, "POST", path, b'{"Cmd":["true"]}')
        assert (found, words in answer.decode()) == (status, True), (path, answer)
    waiting = session(daemon, box, "sleep", "600")
    call(daemon, "POST", f"/exec/{waiting}/start", {"Detach": True})
    for started, words in ((exec_id, "has already run"), (waiting, "is already running")):
        for body in (b'{"Detach":true}', b"{}"):
            status, _, answer = ask(daemon, "POST", f"/exec/{started}/start", body)
            assert words in answer.decode()
            # dockerd says it as the command's own output where the client wants a stream.
            assert status == 409 or (daemon.kind == "dockerd" and body == b"{}" and status == 200)
    for body, words in (
        (b"{}", "No exec command specified"),
        (b'{"Cmd":["true"],"DetachKeys":"nosuch"}', "Invalid escape keys (nosuch) provided"),
    ):
        status, _, answer = ask(daemon, "POST", f"/containers/{box}/exec", body)
        assert words in answer.decode()
        assert status == 400 or (daemon.kind == "dockerd" and status == 500)


def test_a_session_waits_for_a_container_that_is_paused(daemon: Daemon, box: str) -> None:
    exec_id = session(daemon, box, "echo", "late", attached=("Stdout",))
    call(daemon, "POST", f"/containers/{box}/pause")
    for body in (b'{"Detach":true}', b"{}"):
        status, _, answer = ask(daemon, "POST", f"/exec/{exec_id}/start", body)
        assert (status, "is paused, unpause the container before exec" in answer.decode()) == (409, True)
    call(daemon, "POST", f"/containers/{box}/unpause")
    with Stream(daemon, f"/exec/{exec_id}/start", {}) as stream:
        assert stream.to_end() == {1: b"late\n"}


# --- websockets


async def test_attach_by_websocket(daemon: Daemon) -> None:
    name = container(daemon, "sh", "-c", TALK, OpenStdin=True)
    try:
        logged(daemon, name, b"err")
        async with websocket(daemon, name, "stream", "logs") as socket:
            await socket.send_bytes(b"hello\n")
            seen = await heard(socket, b"out hello\n", b"err hello\n")
            # The streams are one, in which order nobody promises.
            assert sorted(seen.splitlines()) == [b"err", b"err hello", b"out", b"out hello"]
            await socket.send_str("text\n")
            await heard(socket, b"err text\n")
        async with websocket(daemon, name, "logs") as socket:
            seen = await heard(socket)
            assert max(seen.splitlines()) == b"out text"
        assert call(daemon, "GET", f"/containers/{name}/json")["State"]["Running"]
    finally:
        daemon.remove_everything()


async def test_keys_detach_a_websocket(daemon: Daemon) -> None:
    name = container(daemon, "sh", "-c", "stty raw -echo; echo ready; cat", OpenStdin=True, Tty=True)
    try:
        logged(daemon, name, b"ready")
        async with websocket(daemon, name, "stream", keys="ctrl-a,x") as socket:
            for key in (b"a", b"\x01", b"x"):
                await socket.send_bytes(key)
                await asyncio.sleep(0.05)
            assert await heard(socket) == b"a"
        assert call(daemon, "GET", f"/containers/{name}/json")["State"]["Running"]
    finally:
        daemon.remove_everything()


async def test_a_websocket_that_closes_ends_stdin_that_was_for_it_alone(daemon: Daemon) -> None:
    name = container(daemon, "wc", "-c", OpenStdin=True, StdinOnce=True, start=False)
    try:
        async with websocket(daemon, name, "stream") as socket:
            call(daemon, "POST", f"/containers/{name}/start")
            for _ in range(20):
                await socket.send_bytes(b"x" * 50_000)
        logged(daemon, name, b"1000000")
        assert call(daemon, "POST", f"/containers/{name}/wait")["StatusCode"] == 0
    finally:
        daemon.remove_everything()


@asynccontextmanager
async def websocket(daemon: Daemon, name: str, *wanted: str, keys: str = "") -> AsyncIterator[Any]:
    """An attachment over a websocket, as clients of old versions make it: all three streams, unasked."""
    flags = "".join(f"&{flag}=1" for flag in wanted)
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(daemon.socket))) as client,
        client.ws_connect(f"http://engine/v1.41/containers/{name}/attach/ws?detachKeys={keys}{flags}") as socket,
    ):
        yield socket


async def heard(socket: aiohttp.ClientWebSocketResponse, *words: bytes) -> bytes:
    """What comes until all of these *words* have, or without any to the end."""
    seen = b""
    async with asyncio.timeout(20):
        while not words or not all(each in seen for each in words):
            message = await socket.receive()
            if message.type is not aiohttp.WSMsgType.BINARY:
                assert not words, f"{words!r} did not come: {message}, after {seen!r}"
                break
            seen += message.data
    return seen
