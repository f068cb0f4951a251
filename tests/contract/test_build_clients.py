"""`docker build` as people type it, with whatever CLI they have: the classic builder's API, BuildKit's, and secrets."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import socket
import struct
import subprocess
from pathlib import Path

import pytest

from tests.fixtures.daemons import HavreDaemon

CLIENTS = sorted({path for path in ("/usr/local/bin/docker", "/usr/bin/docker") if shutil.which(path)})
NO_BUILDKIT = "this engine has no BuildKit"


def docker(client: str, havre: HavreDaemon, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run *client* with nothing in its environment that chooses a builder."""
    usual = {name: value for name, value in havre.cli_environ.items() if name != "DOCKER_BUILDKIT"}
    return subprocess.run(
        [client, *arguments], env={**usual, **environ}, capture_output=True, text=True, timeout=100, check=False
    )


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCOPY f /f\nRUN cat /f\n")
    (tmp_path / "f").write_text("from the context\n")
    return tmp_path


@pytest.mark.parametrize("client", CLIENTS)
def test_a_plain_docker_build_builds(havre: HavreDaemon, context: Path, client: str) -> None:
    done = docker(client, havre, "build", "--no-cache", "-t", "plain", str(context))
    assert done.returncode == 0, done.stderr
    assert "from the context" in done.stdout
    assert "Successfully tagged plain:latest" in done.stdout


@pytest.mark.parametrize("client", CLIENTS)
def test_who_insists_on_buildkit_is_told_what_to_do(havre: HavreDaemon, context: Path, client: str) -> None:
    """A CLI from before buildx speaks BuildKit by itself; newer ones miss their buildx, which is not here."""
    done = docker(client, havre, "build", str(context), DOCKER_BUILDKIT="1")
    assert done.returncode == 1
    assert NO_BUILDKIT in done.stderr or "the buildx component is missing" in done.stderr


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack("!BHBBI", 0, len(payload), kind, flags, stream) + payload


def frames(connection: socket.socket, count: int) -> list[tuple[int, int, int, bytes]]:
    """The next frames: type, flags, stream, payload."""
    found = []
    with connection.makefile("rb") as file:
        for _ in range(count):
            _, length, kind, flags, stream = struct.unpack("!BHBBI", file.read(9))
            found.append((kind, flags, stream, file.read(length)))
    return found


def test_buildx_is_told_what_to_do(havre: HavreDaemon) -> None:
    """As gRPC has it: buildx shows the words of a call's status, and of HTTP's only the number."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(havre.socket))
        connection.sendall(b"POST /grpc HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        assert head.startswith(b"HTTP/1.1 101 ")
        # The preface, settings, a call in two frames of headers, another one in one, a ping.
        connection.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            + frame(4, 0, 0)
            + frame(1, 0, 1, b"\x83")
            + frame(9, 4, 1, b"\x86")
            + frame(0, 1, 1, b"\0" * 5)
            + frame(1, 4, 3, b"\x83\x86")
            + frame(6, 0, 0, b"pingpong")
        )
        settings, acknowledged, first, second, pong = frames(connection, 5)
        assert (settings, acknowledged) == ((4, 0, 0, b""), (4, 1, 0, b""))
        assert [answer[:3] for answer in (first, second)] == [(1, 5, 1), (1, 5, 3)]
        assert b"\x0bgrpc-status\x0212" in first[3]
        assert NO_BUILDKIT.encode() in first[3]
        assert pong == (6, 1, 0, b"pingpong")
        connection.sendall(frame(7, 0, 0))
        assert connection.recv(1) == b"", "nobody goes on after GOAWAY"


def test_a_session_without_an_upgrade_is_refused_in_words(havre: HavreDaemon) -> None:
    done = subprocess.run(
        ["curl", "-s", "-X", "POST", "--unix-socket", str(havre.socket), "http://engine/session"],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert NO_BUILDKIT in json.loads(done.stdout)["message"]


def test_the_cli_brings_secrets_in_a_header(havre: HavreDaemon, context: Path, tmp_path: Path) -> None:
    """Its option `--secret` is BuildKit's; headers of its configuration go with every request."""
    secret = b"hunter2\n"
    digest = hashlib.sha256(secret).hexdigest()
    (context / "Dockerfile").write_text(
        f"FROM busybox\nRUN --mount=type=secret,id=npmrc,required sha256sum /run/secrets/npmrc | grep -q {digest}\n"
    )
    refused = havre.docker("build", "-t", "with", str(context), check=False)
    assert "X-Havre-Secrets: npmrc=BASE64 (HttpHeaders in its config.json)" in refused.stderr
    configuration = tmp_path / "configuration"
    configuration.mkdir()
    header = f"npmrc={base64.b64encode(secret).decode()}"
    (configuration / "config.json").write_text(json.dumps({"HttpHeaders": {"X-Havre-Secrets": header}}))
    done = docker("docker", havre, "build", "-t", "with", str(context), DOCKER_CONFIG=str(configuration))
    assert done.returncode == 0, done.stderr
    assert "hunter2" not in havre.docker("history", "--no-trunc", "with").stdout
