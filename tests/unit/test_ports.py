"""How `up` tells its own port from one that somebody else has."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from bringup import ports
from bringup.config import Config
from bringup.console import Failure
from bringup.stack import _serves

ANSWERS = """
import http.server, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
server = http.server.HTTPServer((sys.argv[1], 0), Answer)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture(params=["127.0.0.1", "0.0.0.0"])
def stranger(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """The pid and the port of another program that serves pages."""
    command = [sys.executable, "-c", ANSWERS, request.param]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield process.pid, int(process.stdout.readline())
        finally:
            process.kill()


def config(bind: str) -> Config:
    return Config.from_environ({"HAVRE_BIND": bind})


def test_the_answer_of_another_program_is_no_page_of_ours(stranger: tuple[int, int]) -> None:
    pid, port = stranger
    assert _serves(config(f"127.0.0.1:{port}"))
    assert ports.listens(pid, port)
    assert not ports.listens(os.getpid(), port)
    with socket.socket() as ours:
        ours.bind(("127.0.0.1", 0))
        assert not ports.listens(os.getpid(), ours.getsockname()[1]), "bound is not listening"
        ours.listen()
        assert ports.listens(os.getpid(), ours.getsockname()[1])
    assert not ports.listens(2**22 + 1, port), "no such process"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_who_has_the_port_is_told_and_which_is_free(stranger: tuple[int, int], host: str) -> None:
    pid, port = stranger
    with pytest.raises(Failure) as failure:
        ports.check(config(f"{host}:{port}"))
    words = str(failure.value)
    assert words.startswith(f"cannot listen on {host}:{port}: process {pid} ({sys.executable} -c ")
    free = config(words.rpartition("HAVRE_BIND=")[2])
    ports.check(free)
    assert free.port != port


@pytest.mark.parametrize(
    ("bind", "words"),
    [("192.0.2.1:8000", "Cannot assign requested address. Give another"), ("a..b:8000", "no such address")],
)
def test_an_address_that_is_not_here(bind: str, words: str) -> None:
    with pytest.raises(Failure, match=words):
        ports.check(config(bind))
