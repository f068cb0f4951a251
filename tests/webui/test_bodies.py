"""Bodies that are too large, with a real daphne: nothing of them stays on the disk, whoever sends them."""

from __future__ import annotations

import http.client
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from django.conf import LazySettings

from tests.fixtures.daemons import PROJECT
from tests.fixtures.processes import Process, clean_environ, wait_until
from tests.fixtures.registry import free_port
from webui import bodies
from webui.accounts.models import User

DOOR: Final = "/e/local/containers/box/files/upload/"
KEY: Final = "a key for this test alone"
CHUNK: Final = b"x" * (1 << 20)


class Server:
    """daphne with an application that answers how many bytes have reached it."""

    def __init__(self, port: int, temporary: Path, process: Process) -> None:
        self.port = port
        self.temporary = temporary
        self.process = process

    def post(self, path: str, size: int, *, announced: int | None = None) -> tuple[int, bytes]:
        """Send *size* bytes, in chunks where no length is *announced*; status and body of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest("POST", path)
            if announced is None:
                connection.putheader("Transfer-Encoding", "chunked")
            else:
                connection.putheader("Content-Length", str(announced))
            connection.endheaders()
            while size > 0:
                data = CHUNK[: min(size, len(CHUNK))]
                connection.send(data if announced is not None else b"%x\r\n%s\r\n" % (len(data), data))
                size -= len(data)
            if announced is None:
                connection.send(b"0\r\n\r\n")
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def on_disk(self) -> int:
        """Bytes of the files without a name that the server has open."""
        total = 0
        for entry in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                if str(entry.readlink()).startswith(str(self.temporary)):
                    total += entry.stat().st_size
        return total


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory, port = tmp_path_factory.mktemp("bodies"), free_port()
    (directory / "tmp").mkdir()
    environ = clean_environ(
        TMPDIR=str(directory / "tmp"),
        DJANGO_SETTINGS_MODULE="webui.settings",
        HAVRE_ROOT=str(directory),
        HAVRE_SECRET_KEY=KEY,
        HAVRE_UPLOAD_LIMIT=str(16 << 20),
    )
    command = [sys.executable, "-m", "daphne", "--bind", "127.0.0.1", "--port", str(port)]
    with Process(
        [*command, "tests.fixtures.counted:application"],
        log=directory / "log",
        environ=environ,
        cwd=PROJECT,
    ) as process:
        server = Server(port, directory / "tmp", process)
        wait_until(lambda: _answers(server), seconds=20, what="daphne to answer", process=process)
        yield server


def _answers(server: Server) -> bool:
    try:
        return server.post("/", 1, announced=1) == (200, b"1")
    except OSError:
        return False


def test_what_a_form_and_a_piece_have_comes_through(server: Server) -> None:
    for announced in (5 << 20, None):
        assert server.post("/e/local/images/uploads/x/", 5 << 20, announced=announced) == (200, b"5242880")


@pytest.mark.parametrize("path", ["/", "/accounts/login/", DOOR, f"{DOOR}?permit=", f"{DOOR}?permit=forged:1:x"])
@pytest.mark.parametrize("announced", [True, False])
def test_a_stranger_s_large_body_is_refused(server: Server, path: str, announced: bool) -> None:
    size = 9 << 20
    status, _ = server.post(path, size, announced=size if announced else None)
    assert status == 413
    assert server.on_disk() == 0


def test_nothing_is_kept_of_a_body_that_is_refused_while_it_comes(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.putrequest("POST", "/")
    connection.putheader("Content-Length", str(1 << 40))
    connection.endheaders()
    for _ in range(16):
        connection.send(CHUNK)
    assert server.on_disk() == 0
    connection.close()


def test_who_has_a_permit_may_send_files_up_to_the_limit(server: Server, settings: LazySettings) -> None:
    settings.SECRET_KEY = KEY
    address = f"{DOOR}?permit={bodies.permit(User(pk=7))}"
    assert server.post(address, 9 << 20, announced=9 << 20) == (200, b"9437184")
    assert server.post(address, 18 << 20, announced=18 << 20)[0] == 413
    assert server.post(address, 9 << 20)[0] == 413, "without a length"
