"""`POST /build` as programs ask for it: contexts from elsewhere and packed in every way, with both engines' answers."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from tests.conftest import scratch_directory
from tests.fixtures.daemons import Daemon, HavreDaemon
from tests.fixtures.processes import Process, wait_until
from tests.fixtures.tars import tar_of

PORT = 5201
ADDRESS = f"http://127.0.0.1:{PORT}"

pytestmark = pytest.mark.usefixtures("busybox")


def context(**files: str) -> bytes:
    return tar_of(files)


def post(daemon: Daemon, path: str, body: Path | None = None, *headers: str) -> tuple[int, list[dict[str, object]]]:
    """The status, and the JSON of the answer's lines."""
    command = ["curl", "-s", "-X", "POST", "-w", "%{http_code}", "--unix-socket", str(daemon.socket)]
    for header in ("Content-Type: application/x-tar", *headers):
        command += ["-H", header]
    command += ["-T", str(body)] if body else []
    *lines, status = daemon.namespace.run(*command, f"http://d{path}").stdout.splitlines()
    if not status.isdigit():
        lines, status = [*lines, status[:-3]], status[-3:]
    return int(status), [json.loads(line) for line in lines if line]


def stream(answer: tuple[int, list[dict[str, object]]]) -> str:
    status, lines = answer
    assert status == 200, lines
    return "".join(str(line.get("stream", line.get("error", ""))) for line in lines)


@pytest.fixture
def served(daemon: Daemon) -> Iterator[Path]:
    """A directory that a web server in the engine's namespace shows."""
    with scratch_directory() as directory:
        (directory / "files").mkdir()
        command = [sys.executable, "-m", "http.server", str(PORT), "--bind", "127.0.0.1"]
        command += ["--directory", str(directory / "files")]
        with Process([*daemon.namespace.prefix, *command], log=directory / "log") as process:
            fetch = ("curl", "-s", "-o", "/dev/null", ADDRESS)
            wait_until(lambda: not daemon.namespace.run(*fetch, check=False).returncode, what="it", process=process)
            yield directory / "files"


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress], ids=["plain", "gzip", "zstd"])
def test_contexts_may_be_packed(daemon: Daemon, tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    if pack is zstandard.compress and not isinstance(daemon, HavreDaemon):
        pytest.skip("dockerd 20.10 does not know zstd")
    body = tmp_path / "body"
    body.write_bytes(pack(context(Dockerfile="FROM busybox\nCOPY f /f\nRUN cat /f\n", f="packed\n")))
    assert "packed\n" in stream(post(daemon, "/v1.41/build?nocache=1", body))


def test_a_context_from_the_web(daemon: Daemon, served: Path) -> None:
    (served / "context.tar").write_bytes(context(Dockerfile="FROM busybox\nCOPY f /f\nRUN cat /f\n", f="from afar\n"))
    (served / "file.txt").write_text("FROM busybox\nRUN echo a Dockerfile alone\n")
    assert "from afar\n" in stream(post(daemon, f"/v1.41/build?nocache=1&remote={ADDRESS}/context.tar"))
    assert "a Dockerfile alone\n" in stream(post(daemon, f"/v1.41/build?nocache=1&remote={ADDRESS}/file.txt"))
    status, told = post(daemon, f"/v1.41/build?remote={ADDRESS}/nosuch")
    assert status in (400, 404, 500)
    assert "404" in str(told[0]["message"])


def test_a_context_of_git(daemon: Daemon, served: Path, tmp_path: Path) -> None:
    work, bare = tmp_path / "work", served / "app.git"

    def git(*arguments: str) -> None:
        names = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=master")
        subprocess.run(["git", *names, *arguments], check=True, capture_output=True)

    git("init", "--quiet", str(work))
    (work / "docker").mkdir()
    (work / "Dockerfile").write_text("FROM busybox\nRUN echo the top\n")
    (work / "docker/Dockerfile").write_text("FROM busybox\nCOPY f /f\nRUN cat /f\n")
    (work / "docker/f").write_text("in a directory\n")
    git("-C", str(work), "add", ".")
    git("-C", str(work), "commit", "--quiet", "--message=one")
    git("clone", "--quiet", "--bare", str(work), str(bare))
    git("-C", str(bare), "update-server-info")
    remote = f"{ADDRESS}/app.git"
    assert "the top\n" in stream(post(daemon, f"/v1.41/build?nocache=1&remote={remote}"))
    assert "in a directory\n" in stream(post(daemon, f"/v1.41/build?nocache=1&remote={remote}%23master:docker"))
    if isinstance(daemon, HavreDaemon):  # ADD of repositories is BuildKit's
        body = tmp_path / "body"
        body.write_bytes(
            context(
                Dockerfile=f"FROM busybox\nADD {remote}#master:docker /src/\nADD {remote} /top/\n"
                "RUN cat /src/f; ls -A /top\n"
            )
        )
        assert "in a directory\nDockerfile\ndocker\n" in stream(post(daemon, "/v1.41/build?nocache=1", body))


@pytest.mark.parametrize(
    ("query", "headers", "words"),
    [
        ("squash=1", (), "squash"),
        ("buildargs=nonsense", (), "error reading build args"),
        ("labels=[]", (), "error reading labels"),
        ("platform=a/b/c/d", (), "a/b/c/d"),
        ("t=Capital", (), "invalid reference format"),
        ("target=nosuch", (), "failed to reach build target nosuch"),
        ("dockerfile=nosuch", (), "Cannot locate specified Dockerfile: nosuch"),
        ("shmsize=x", (), "shmsize|invalid syntax"),
    ],
)
def test_what_is_asked_for_in_the_wrong_words(
    daemon: Daemon, tmp_path: Path, query: str, headers: tuple[str, ...], words: str
) -> None:
    body = tmp_path / "body"
    body.write_bytes(context(Dockerfile="FROM busybox\nENV A=1\n"))
    status, told = post(daemon, f"/v1.41/build?{query}", body, *headers)
    assert status in (400, 500), told
    assert re.search(words, str(told[0]["message"]))
