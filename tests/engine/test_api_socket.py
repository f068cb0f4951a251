"""The API byte by byte, over the daemon's own socket."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from engine.api.backlog import MEMORY, MOST
from engine.api.workers import PATIENT, PULLS
from tests.fixtures.daemons import PROJECT, HavreDaemon
from tests.fixtures.hijack import HEAD, RAW, Stream, ask, call, connect, read_to_end, request
from tests.fixtures.processes import clean_environ, wait_until
from tests.fixtures.tars import tar_of

MIB = 1024 * 1024
LINE = "0123456789" * 12 + "\n"


@pytest.fixture(scope="module", autouse=True)
def busybox(havre: HavreDaemon) -> None:
    havre.docker("pull", "-q", "busybox")


@pytest.fixture
def box(havre: HavreDaemon) -> Iterator[str]:
    havre.docker("run", "-d", "--name", "box", "busybox", "sleep", "600")
    yield "box"
    havre.remove_everything()


def make_exec(havre: HavreDaemon, *cmd: str, stdin: bool = True, tty: bool = False) -> str:
    body = {"Cmd": cmd, "AttachStdin": stdin, "AttachStdout": True, "AttachStderr": True, "Tty": tty}
    status, _, answer = ask(havre, "POST", "/v1.44/containers/box/exec", json.dumps(body).encode())
    assert status == 201
    return str(json.loads(answer)["Id"])


def test_ping_has_its_headers(havre: HavreDaemon) -> None:
    for method, body in (("GET", b"OK"), ("HEAD", b"")):
        status, headers, answer = ask(havre, method, "/_ping")
        assert (status, answer) == (200, body)
        assert headers["api-version"] == "1.44"
        assert headers["ostype"] == "linux"
        assert headers["docker-experimental"] == "false"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", "/nosuch", None, 404, "page not found"),
        ("PATCH", "/info", None, 404, "page not found"),
        ("GET", "/v1.99/info", None, 400, "client version 1.99 is too new. Maximum supported API version is 1.44"),
        ("GET", "/v1.12/info", None, 400, "client version 1.12 is too old"),
        ("GET", "/containers/nosuch/json", None, 404, "No such container: nosuch"),
        ("GET", "/containers/json?filters=x", None, 400, "invalid filters"),
        ("GET", "/containers/json?limit=x", None, 400, "limit"),
        ("GET", "/containers/nosuch/logs", None, 400, "you must choose at least one stream"),
        ("GET", "/containers/nosuch/logs?stdout=1", None, 404, "No such container: nosuch"),
        ("POST", "/containers/create", b'{"Image":', 400, "invalid JSON: unexpected EOF"),
        ("POST", "/containers/create", b"[]", 400, "expected an object"),
        ("POST", "/containers/create", b"{}", 400, "Config cannot be empty in order to create a container"),
        ("POST", "/containers/create", b'{"Image":3}', 400, "Image: expected a string, got 3"),
        ("POST", "/containers/create", b'{"Image":"nosuch"}', 404, "No such image: nosuch:latest"),
        ("POST", "/containers/create", b'{"Image":"' + b"x" * 5_000_000 + b'"}', 413, "larger than"),
        ("POST", "/containers/nosuch/attach?stream=1", None, 404, "No such container: nosuch"),
        ("POST", "/exec/nosuch/start", b"{}", 404, "No such exec instance: nosuch"),
        ("POST", "/containers/nosuch/wait?condition=tea", None, 400, "invalid condition"),
        ("POST", "/images/create", None, 400, "fromImage"),
        ("POST", "/images/create?fromImage=BAD", None, 400, "invalid reference format"),
        ("POST", "/networks/create", b'{"Name":"host"}', 403, "operation is not permitted on predefined host network"),
        ("DELETE", "/networks/bridge", None, 403, "pre-defined network"),
        ("GET", "/networks/nosuch", None, 404, "network nosuch not found"),
        ("POST", "/volumes/create", b'{"Name":"a/b"}', 400, "includes invalid characters"),
        ("GET", "/plugins/x/json", None, 404, 'plugin "x" not found'),
        ("POST", "/swarm/leave", None, 503, "This node is not part of a swarm"),
        ("POST", "/swarm/init", b"{}", 501, "this engine has no swarms"),
        ("GET", "/services", None, 503, "not a swarm manager: this engine has no swarms"),
        ("POST", "/grpc", None, 501, "build with DOCKER_BUILDKIT=0"),
    ],
)
def test_errors_are_json(
    havre: HavreDaemon, method: str, path: str, body: bytes | None, status: int, words: str
) -> None:
    found, headers, answer = ask(havre, method, path, body)
    assert (found, headers["content-type"]) == (status, "application/json")
    assert words in json.loads(answer)["message"]


def test_a_body_of_another_type_is_refused(havre: HavreDaemon) -> None:
    status, _, answer = ask(havre, "POST", "/containers/create", b"{}", kind="text/plain")
    assert status == 400
    assert "must be 'application/json'" in json.loads(answer)["message"]


def test_repeated_starts_and_stops_are_304(havre: HavreDaemon, box: str) -> None:
    assert ask(havre, "POST", f"/containers/{box}/start")[0] == 304
    assert ask(havre, "POST", f"/containers/{box}/stop?t=0")[0] == 204
    assert ask(havre, "POST", f"/containers/{box}/stop?t=0")[0] == 304


@pytest.mark.parametrize(
    ("path", "tty", "kind"),
    [("/v1.44", False, "multiplexed"), ("/v1.44", True, "raw"), ("/v1.41", False, "raw"), ("", False, "multiplexed")],
)
def test_the_head_of_a_hijack(havre: HavreDaemon, box: str, path: str, tty: bool, kind: str) -> None:
    exec_id = make_exec(havre, "true", tty=tty)
    body = b'{"Detach":false,"Tty":%s}' % str(tty).lower().encode()
    with closing(connect(havre)) as connection:
        connection.sendall(request("POST", f"{path}/exec/{exec_id}/start", body, upgrade=True))
        head, _, rest = read_to_end(connection).partition(HEAD)
    assert (
        head
        == (
            f"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.{kind}-stream\r\n"
            "Connection: Upgrade\r\nUpgrade: tcp"
        ).encode()
    )
    assert rest == b""


def test_a_hijack_without_upgrade_is_200(havre: HavreDaemon, box: str) -> None:
    exec_id = make_exec(havre, "echo", "hi", stdin=False)
    with closing(connect(havre)) as connection:
        connection.sendall(
            b"POST /exec/%s/start HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 2\r\n\r\n{}" % exec_id.encode()
        )
        head, _, rest = read_to_end(connection).partition(HEAD)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert rest == b"\x01\0\0\0\0\0\0\x03hi\n"


@pytest.mark.parametrize("size", [10, 200_000])
def test_input_sent_with_the_request_is_not_lost(havre: HavreDaemon, box: str, size: int) -> None:
    exec_id = make_exec(havre, "wc", "-c")
    with closing(connect(havre)) as connection:
        whole = request("POST", f"/v1.44/exec/{exec_id}/start", b'{"Detach":false}', upgrade=True)
        connection.sendall(whole + b"x" * size)
        connection.shutdown(socket.SHUT_WR)
        _, _, rest = read_to_end(connection).partition(HEAD)
    assert rest[8:] == b"%d\n" % size


def test_a_client_that_does_not_read_holds_the_process_not_the_memory(havre: HavreDaemon, box: str) -> None:
    exec_id = make_exec(havre, "dd", "if=/dev/zero", "bs=1M", "count=300", stdin=False)
    with closing(connect(havre)) as connection:
        connection.sendall(request("POST", f"/v1.44/exec/{exec_id}/start", b"{}", upgrade=True))
        time.sleep(1)
        # The prefix that enters the namespace has replaced itself by the daemon.
        status = Path(f"/proc/{havre.process.pid}/status").read_text().splitlines()
        resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
        assert resident < 150_000
        got = 0
        while chunk := connection.recv(1 << 20):
            got += len(chunk)
    assert got > 300 << 20


def test_an_exec_ends_when_its_client_vanishes(havre: HavreDaemon, box: str) -> None:
    exec_id = make_exec(havre, "sh", tty=True)
    with closing(connect(havre)) as connection:
        connection.sendall(request("POST", f"/v1.44/exec/{exec_id}/start", b'{"Tty":true}', upgrade=True))
        assert connection.recv(4096)
    wait_until(
        lambda: not json.loads(ask(havre, "GET", f"/exec/{exec_id}/json")[2])["Running"],
        seconds=5,
        what="the shell to get its SIGHUP",
    )


def test_an_exec_goes_on_when_its_client_types_the_keys_for_it(havre: HavreDaemon, box: str) -> None:
    """Unlike dockerd 20.10's, for which the session has failed then."""
    begun = time.time()
    body = {"AttachStdin": True, "AttachStdout": True, "Tty": True, "DetachKeys": "ctrl-x,y"}
    cmd = ["sh", "-c", "stty raw -echo; echo ready; head -c 1 > /dev/null; exit 4"]
    exec_id = call(havre, "POST", f"/containers/{box}/exec", {"Cmd": cmd, **body})["Id"]
    with Stream(havre, f"/exec/{exec_id}/start", {"Tty": True}, framed=False) as stream:
        stream.expect(RAW, b"ready\n")
        stream.send(b"\x18y")
        assert stream.to_end() == {RAW: b"ready\n"}
    havre.docker("exec", box, "sh", "-c", "kill -9 $(pidof head)")
    wait_until(lambda: not call(havre, "GET", f"/exec/{exec_id}/json")["Running"])
    assert call(havre, "GET", f"/exec/{exec_id}/json")["ExitCode"] == 4
    told = ask(havre, "GET", f"/events?since={begun:.6f}&until={time.time() + 0.05:.6f}")[2]
    assert b'"Action":"exec_detach"' in told


def test_sessions_whose_clients_leave_while_they_start(havre: HavreDaemon, box: str) -> None:
    """At any moment from the request on: none runs on, and nothing of them is left in the daemon."""
    descriptors = Path(f"/proc/{havre.process.pid}/fd")
    before = len(list(descriptors.iterdir()))
    made = [make_exec(havre, "cat", tty=number % 2 > 0) for number in range(24)]
    for number, exec_id in enumerate(made):
        with closing(connect(havre)) as connection:
            connection.sendall(request("POST", f"/exec/{exec_id}/start", b"{}", upgrade=True))
            time.sleep(number * 0.003)

    time.sleep(0.5)  # those whose start was under way have begun now
    wait_until(lambda: not any(call(havre, "GET", f"/exec/{each}/json")["Running"] for each in made))
    assert "cat" not in havre.docker("top", box).stdout
    wait_until(lambda: len(list(descriptors.iterdir())) <= before + 2, what="their descriptors to be closed")


def test_wait_sends_its_head_at_once(havre: HavreDaemon, box: str) -> None:
    with closing(connect(havre)) as connection:
        connection.sendall(request("POST", f"/v1.44/containers/{box}/wait?condition=next-exit"))
        head = connection.recv(4096)
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        havre.docker("kill", box)
        assert b'{"StatusCode":137}' in read_to_end(connection)


def test_a_pull_that_nobody_waits_for_stops(havre: HavreDaemon) -> None:
    havre.docker("rmi", "-f", "debian", check=False)
    with closing(connect(havre)) as connection:
        connection.sendall(request("POST", "/v1.44/images/create?fromImage=debian&tag=latest"))
        assert b"200 OK" in connection.recv(4096)
    time.sleep(1.5)
    assert havre.docker("images", "-q", "debian").stdout == ""


def test_pull_lines_end_in_crlf_and_events_in_lf(havre: HavreDaemon) -> None:
    since = time.time()
    _, headers, answer = ask(havre, "POST", "/v1.44/images/create?fromImage=busybox&tag=latest")
    assert headers["content-type"] == "application/json"
    assert b'{"status":"Pulling from library/busybox","id":"latest"}\r\n' in answer
    _, _, answer = ask(havre, "GET", f"/v1.44/events?since={since:.6f}&until={time.time() + 0.1:.6f}")
    assert b'"Action":"pull"' in answer
    assert b"}\n" in answer


def test_a_hundred_waits_do_not_keep_a_list_waiting(havre: HavreDaemon, box: str) -> None:
    waiting = [connect(havre) for _ in range(100)]
    try:
        for connection in waiting:
            connection.sendall(request("POST", f"/containers/{box}/wait"))
        for connection in waiting:
            assert connection.recv(4096)
        assert ask(havre, "GET", "/containers/json")[0] == 200
    finally:
        for connection in waiting:
            connection.close()


def test_names_of_images_with_slashes(havre: HavreDaemon) -> None:
    for path in ("/images/library/busybox/json", "/images/docker.io%2Flibrary%2Fbusybox:latest/json"):
        status, _, answer = ask(havre, "GET", path)
        assert status == 200
        assert json.loads(answer)["RepoTags"] == ["busybox:latest"]


def test_the_socket_belongs_to_root_and_its_group(havre: HavreDaemon) -> None:
    found = havre.socket.stat()
    assert stat.S_IMODE(found.st_mode) == 0o660
    assert (found.st_uid, found.st_gid) == (0, 0)


def test_a_stop_ends_the_streams_and_not_the_containers(havre: HavreDaemon, box: str) -> None:
    exec_id = make_exec(havre, "cat")
    paths = [f"/containers/{box}/wait", f"/exec/{exec_id}/start", f"/containers/{box}/attach?stream=1&stdout=1"]
    streams = [connect(havre) for _ in paths] + [connect(havre)]
    try:
        for stream, path in zip(streams, paths, strict=False):
            stream.sendall(request("POST", path, b"{}", upgrade="wait" not in path))
        streams[-1].sendall(request("GET", "/events"))
        for stream in streams:
            assert stream.recv(4096)
        havre.restart()
        for stream in streams[:-1]:
            assert stream.recv(4096) == b""
        read_to_end(streams[-1])  # which may have told of the session's beginning
    finally:
        for stream in streams:
            stream.close()
    assert havre.docker("exec", box, "echo", "still here").stdout == "still here\n"


@pytest.mark.parametrize(
    ("environ", "user", "words"),
    [
        ({"HAVRE_SUBNET": "nosuch"}, 0, "havre engine: HAVRE_SUBNET='nosuch'"),
        ({}, 65534, "havre engine: the engine must run as root"),
    ],
)
def test_a_daemon_that_cannot_serve_says_why_in_a_line(environ: dict[str, str], user: int, words: str) -> None:
    script = "import os, sys; from engine.__main__ import main; os.setuid(int(sys.argv[1])); sys.exit(main(['serve']))"
    done = subprocess.run(
        [sys.executable, "-c", script, str(user)],
        env=clean_environ(**environ),
        capture_output=True,
        text=True,
        timeout=30,
        cwd=PROJECT,
    )
    assert done.returncode in (64, 69)
    assert done.stderr.startswith(words)
    assert done.stderr.count("\n") == 1


def test_a_second_daemon_on_the_same_directories_is_refused(havre: HavreDaemon) -> None:
    done = subprocess.run(
        [*havre.namespace.prefix, *havre.command()],
        env=havre.environ(),
        capture_output=True,
        text=True,
        timeout=30,
        cwd=PROJECT,
    )
    assert done.returncode == 69
    assert "another engine already uses" in done.stderr


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/containers/{box}/update", b'{"RestartPolicy":"always"}', "RestartPolicy: expected an object"),
        ("/containers/{box}/update", b'{"RestartPolicy":{"Name":3}}', "RestartPolicy.Name: expected a string"),
        ("/containers/{box}/update", b'{"Memory":"64m"}', "Memory: expected an integer"),
        ("/commit?container={box}", b'{"Cmd":3}', "Cmd: expected a list of strings"),
        ("/commit?container={box}", b"[]", "expected an object"),
    ],
)
def test_wrong_types_are_named(havre: HavreDaemon, box: str, path: str, body: bytes, words: str) -> None:
    status, _, answer = ask(havre, "POST", path.format(box=box), body)
    assert status == 400
    assert words in json.loads(answer)["message"]


def upload(path: str, data: bytes, *, size: int = 32768) -> bytes:
    """A request as the docker CLI sends archives: in chunks, with a content type that says nothing."""
    chunks = [data[place : place + size] for place in range(0, len(data), size)]
    head = f"PUT {path} HTTP/1.1\r\nHost: engine\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head.encode() + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def status_of_next(connection: socket.socket) -> int:
    """The status of one answer on a connection that goes on; its body, where it has one, has a length."""
    data = b""
    while HEAD not in data:
        data += connection.recv(1)
    lines = data.decode().lower().split("\r\n")
    left = next((int(line.split(":")[1]) for line in lines if line.startswith("content-length:")), 0)
    while left:
        left -= len(connection.recv(left))
    return int(lines[0].split()[1])


def test_archives_on_a_connection_that_goes_on(havre: HavreDaemon, box: str) -> None:
    """Uploads, one that is refused before it is read and one that is broken in the middle, then other requests."""
    content = os.urandom(3_000_000)
    with closing(connect(havre)) as connection:
        for number in range(2):
            connection.sendall(upload("/containers/box/archive?path=/tmp", tar_of({f"file{number}": content})))
            assert status_of_next(connection) == 200
        connection.sendall(upload("/containers/nobody/archive?path=/tmp", tar_of({"file": content})))
        assert status_of_next(connection) == 404
        connection.sendall(upload("/containers/box/archive?path=/tmp", b"no archive at all" * 100_000))
        assert status_of_next(connection) == 400
        connection.sendall(upload("/containers/box/archive?path=/tmp", tar_of({"small": b"x"}), size=3) + _PING)
        assert [status_of_next(connection), status_of_next(connection)] == [200, 200]
    for number in range(2):
        told = havre.docker("exec", "box", "sha256sum", f"/tmp/file{number}").stdout
        assert told.split()[0] == hashlib.sha256(content).hexdigest()


def test_a_client_that_leaves_an_upload(havre: HavreDaemon, box: str) -> None:
    whole = upload("/containers/box/archive?path=/tmp", tar_of({"half": os.urandom(3_000_000)}))
    for end in (10, 40_000, 1_000_000):
        with closing(connect(havre)) as connection:
            connection.sendall(whole[: whole.index(HEAD) + 4 + end])
            time.sleep(0.1)
    descriptors = Path(f"/proc/{havre.process.pid}/fd")
    mounted = f"{havre.directory}/root/snapshots/"
    wait_until(lambda: not [each for each in descriptors.iterdir() if mounted in _target(each)])
    with closing(connect(havre)) as connection:
        connection.sendall(whole + _PING)
        assert [status_of_next(connection), status_of_next(connection)] == [200, 200]


_PING = b"GET /_ping HTTP/1.1\r\nHost: engine\r\n\r\n"


def test_a_client_that_leaves_an_export(havre: HavreDaemon, box: str) -> None:
    for _ in range(5):
        with closing(connect(havre)) as connection:
            connection.sendall(request("GET", f"/containers/{box}/export"))
            assert connection.recv(1000)
    mounted = f"{havre.directory}/root/snapshots/"
    # The container runs: its own mount stays, and nothing else is held.
    wait_until(lambda: Path("/proc/self/mountinfo").read_text().count(mounted) == 1)
    descriptors = Path(f"/proc/{havre.process.pid}/fd")
    wait_until(lambda: not [each for each in descriptors.iterdir() if mounted in _target(each)])


def test_clients_that_stand_still_keep_nobody_from_stopping(havre: HavreDaemon, box: str) -> None:
    head = f"PUT /containers/{box}/archive?path=/tmp HTTP/1.1\r\nHost: engine\r\nContent-Type: application/x-tar\r\n"
    with ExitStack() as stack:
        for number in range(2 * max(PATIENT, PULLS)):
            connection = stack.enter_context(closing(connect(havre)))
            if number % 2:
                connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
            else:
                connection.sendall(b"POST /images/load HTTP/1.1\r\nHost: engine\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert ask(havre, "POST", f"/containers/{box}/stop?t=0")[0] == 204
        assert b"Status: " in ask(havre, "POST", "/images/create?fromImage=busybox&tag=latest")[2]
    assert ask(havre, "POST", f"/containers/{box}/start")[0] == 204
    assert ask(havre, "HEAD", f"/containers/{box}/archive?path=/tmp")[0] == 200


@pytest.mark.parametrize("named", ["host", "id"])
def test_the_hosts_network_is_only_had_by_its_name_as_the_mode(havre: HavreDaemon, named: str) -> None:
    host = havre.docker("network", "inspect", "host", "-f", "{{.Id}}").stdout.strip() if named == "id" else "host"
    for settings in (
        {"NetworkingConfig": {"EndpointsConfig": {host: {}}}},
        {"HostConfig": {"NetworkMode": "none"}, "NetworkingConfig": {"EndpointsConfig": {host: {}}}},
        *([{"HostConfig": {"NetworkMode": host}}, {"HostConfig": {"NetworkMode": host[:12]}}] if named == "id" else []),
    ):
        body = json.dumps({"Image": "busybox", "Cmd": ["true"], **settings}).encode()
        assert ask(havre, "POST", "/containers/create", body)[0] == 400, settings
    assert havre.docker("ps", "-aq").stdout == ""
    havre.docker("run", "--rm", "--network", "host", "busybox", "true")


def _target(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except FileNotFoundError:
        return ""


def test_a_slow_check_does_not_hold_up_the_daemons_end(havre: HavreDaemon) -> None:
    options = ("--health-cmd", "sleep 25", "--health-interval", "100ms", "--health-timeout", "30s")
    container = havre.docker("run", "-d", *options, "busybox", "sleep", "1000").stdout.strip()
    wait_until(lambda: "sleep 25" in havre.docker("top", container).stdout)
    havre.restart()
    # The check is still under way: nobody has waited for its end.
    assert "sleep 25" in havre.docker("top", container).stdout
    assert havre.docker("inspect", "-f", "{{.State.Status}}", container).stdout == "running\n"
    havre.docker("rm", "-f", container)


# --- clients that do not read


@pytest.fixture
def empty(havre: HavreDaemon) -> Iterator[None]:
    yield
    havre.remove_everything()


def attach(havre: HavreDaemon, name: str) -> Stream:
    return Stream(havre, f"/containers/{name}/attach?stream=1&stdout=1&stderr=1")


def resident(havre: HavreDaemon) -> int:
    """The daemon's own memory in bytes; the prefix that enters the namespace has replaced itself by it."""
    status = Path(f"/proc/{havre.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))


def kept(havre: HavreDaemon) -> list[int]:
    """The sizes of the nameless files that the daemon holds open."""
    found = []
    for descriptor in Path(f"/proc/{havre.process.pid}/fd").iterdir():
        try:
            if str(descriptor.readlink()).startswith(f"{havre.directory}/root/#"):
                found.append(descriptor.stat().st_blocks * 512)
        except FileNotFoundError:
            continue
    return found


def test_who_reads_nothing_holds_up_nobody(havre: HavreDaemon, empty: None) -> None:
    """The container ends, its log and the others' streams are whole; what the slow ones have not read is kept."""
    lines = 12 * MIB // len(LINE)
    script = f"yes {LINE.strip()} | head -n {lines}; echo end"
    name = havre.docker("create", "--log-opt", "max-size=200m", "busybox", "sh", "-c", script).stdout.strip()
    before = resident(havre)
    slow = [attach(havre, name) for _ in range(3)]
    with attach(havre, name) as quick:
        call(havre, "POST", f"/containers/{name}/start")
        assert quick.to_end()[1] == LINE.encode() * lines + b"end\n"
    assert call(havre, "POST", f"/containers/{name}/wait")["StatusCode"] == 0
    assert hashlib.sha256(havre.docker("logs", name).stdout.encode()).hexdigest() == digest(lines)
    assert resident(havre) - before < len(slow) * (MEMORY + 4 * MIB) + 40 * MIB
    assert len(kept(havre)) == len(slow)
    for stream in slow:
        with stream:
            assert hashlib.sha256(stream.to_end()[1]).hexdigest() == digest(lines)
    wait_until(lambda: not kept(havre))


def digest(lines: int) -> str:
    return hashlib.sha256(LINE.encode() * lines + b"end\n").hexdigest()


@pytest.mark.slow
def test_who_comes_late_and_reads_nothing_is_left_behind(havre: HavreDaemon, empty: None) -> None:
    script = f"read line; yes {LINE.strip()} | head -c {MOST + 30 * MIB}; echo end; sleep 600"
    name = havre.docker("run", "-di", "--log-opt", "max-size=400m", "busybox", "sh", "-c", script).stdout.strip()
    slow = attach(havre, name)
    with Stream(havre, f"/containers/{name}/attach?stream=1&stdin=1") as typist:
        typist.send(b"\n")
        wait_until(lambda: havre.docker("logs", "--tail=1", name).stdout.endswith("end\n"), seconds=60)
    assert sum(kept(havre)) <= MOST
    seen = slow.to_end()
    assert MOST <= len(seen[1]) < MOST + 10 * MIB
    assert b"left behind with 64 MiB unread: docker logs has the rest" in seen[2]
    slow.close()
    wait_until(lambda: not kept(havre))


@pytest.mark.slow
def test_who_was_there_from_the_start_is_waited_for(havre: HavreDaemon, empty: None) -> None:
    """It may be a pipe: not a byte is lost, however long it takes."""
    size = MOST + 30 * MIB
    name = havre.docker(
        "create", "--log-driver=none", "busybox", "sh", "-c", f"head -c {size} /dev/zero"
    ).stdout.strip()
    with attach(havre, name) as slow:
        call(havre, "POST", f"/containers/{name}/start")
        wait_until(lambda: sum(kept(havre)) > MOST - 2 * MIB, seconds=30)
        time.sleep(0.3)
        assert sum(kept(havre)) <= MOST
        assert call(havre, "GET", f"/containers/{name}/json")["State"]["Running"]
        assert len(slow.to_end()[1]) == size
