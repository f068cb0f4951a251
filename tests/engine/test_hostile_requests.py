"""Requests that nobody should send: each gets an answer, makes nothing that was not asked for, and the daemon lives."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Any, Final

import pytest
import requests
import schemathesis
from docker.transport import UnixHTTPAdapter
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from engine.api.routes import ALL
from tests.fixtures.daemons import HavreDaemon
from tests.fixtures.openapi import document

ENGINE: Final = "http://engine"
EXAMPLES: Final = int(os.environ.get("HAVRE_TEST_EXAMPLES", "150")) // 60
"""Of each route, and of each of the two ways to make them up: as described, and not as described."""

_ELSEWHERE: Final = frozenset(
    {
        *("POST /images/create", "POST /havre/v1/images/create"),
        *("GET /distribution/{name}/json", "GET /images/search", "POST /auth"),
    }
)
"""They ask the registry that a name names; names are parsed, and registries asked, in tests of their own."""

_LISTENS: Final = ("sh", "-c", "trap exit TERM; while :; do sleep 600 & wait $!; done")

OPERATIONS: Final = {
    f"{operation.method.upper()} {operation.path}": operation
    for operation in (result.ok() for result in schemathesis.openapi.from_dict(document(ALL)).get_all_operations())
}


@pytest.fixture(scope="module")
def session(havre: HavreDaemon) -> Iterator[requests.Session]:
    havre.docker("pull", "-q", "busybox")
    with requests.Session() as session:
        session.mount(ENGINE, UnixHTTPAdapter(f"http+unix://{havre.socket}", timeout=5))
        yield session


@pytest.fixture
def things(session: requests.Session) -> Iterator[dict[str, list[str]]]:
    """A container that runs and one that does not, an exec session, a volume: by the noun, what paths call them."""
    for name, command in (("box", _LISTENS), ("spare", ("true",))):
        if session.get(f"{ENGINE}/containers/{name}/json").status_code == 404:
            body = {"Image": "busybox", "Cmd": command, "HostConfig": {"NetworkMode": "none"}}
            made = session.post(f"{ENGINE}/containers/create", params={"name": name}, json=body)
            assert made.status_code == 201, made.text
    session.post(f"{ENGINE}/containers/box/start")
    session.post(f"{ENGINE}/volumes/create", json={"Name": "kept"})
    created = session.post(f"{ENGINE}/containers/box/exec", json={"Cmd": ["true"]})
    yield {
        "containers": ["box", "spare"],
        "exec": [created.json()["Id"]],
        "havre": ["box"],
        "images": ["busybox"],
        "networks": ["bridge"],
        "volumes": ["kept"],
    }
    session.post(f"{ENGINE}/containers/box/unpause")
    for row in _get(session, "/containers/json?all=1"):
        if row["Names"] not in (["/box"], ["/spare"]):
            session.delete(f"{ENGINE}/containers/{row['Id']}", params={"force": "1"})


def _cases() -> Iterator[Any]:
    """Every route; those of containers, and of what belongs to them, in the short run too."""
    for name in sorted(OPERATIONS.keys() - _ELSEWHERE):
        short = name.split("/")[1] in ("containers", "exec", "events", "commit", "volumes", "havre")
        yield pytest.param(name, marks=() if short else pytest.mark.slow, id=name)


@pytest.mark.parametrize("name", list(_cases()))
def test_any_request_has_an_answer(session: requests.Session, things: dict[str, list[str]], name: str) -> None:
    operation = OPERATIONS[name]
    modes = [operation.as_strategy(generation_mode=GenerationMode.POSITIVE)]
    if operation.path_parameters or operation.query or operation.body:
        modes.append(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))

    @settings(
        max_examples=EXAMPLES * len(modes),
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(modes), thing=st.sampled_from([*things.get(name.split("/")[1], []), None]))
    def answered(case: Any, thing: str | None) -> None:
        if thing is not None and case.path_parameters:
            case.path_parameters[next(iter(case.path_parameters))] = thing
        options = case.as_transport_kwargs(base_url=ENGINE)
        with suppress(requests.ReadTimeout), session.request(**options, stream=True, timeout=3) as answer:
            # What waits or streams has answered once its headers are there.
            assert answer.status_code < 500 or answer.status_code in (501, 503), (options, answer.text)
            if answer.status_code >= 400 and case.method != "HEAD":
                assert answer.headers["Content-Type"] == "application/json"
                assert answer.json()["message"]
            if name == "POST /containers/create" and answer.status_code == 201:
                session.delete(f"{ENGINE}/containers/{answer.json()['Id']}", params={"v": "1"})

    answered()
    assert session.get(f"{ENGINE}/_ping").text == "OK"
    names = {name for row in _get(session, "/containers/json?all=1") for name in row["Names"]}
    assert name.endswith("/rename") or names <= {"/box", "/spare"}


def _get(session: requests.Session, path: str) -> Any:
    return session.get(f"{ENGINE}{path}").json()


def _exchange(havre: HavreDaemon, sent: bytes) -> bytes:
    """The head of what comes back for some bytes, and what comes with it."""
    received = b""
    with closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(5)
        connection.connect(str(havre.socket))
        with suppress(OSError):
            connection.sendall(sent)
            while b"\r\n\r\n" not in received and (data := connection.recv(65536)):
                received += data
    return received


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        (b"GET /containers/\xff\xfe/json HTTP/1.1\r\nHost: e\r\n\r\n", (400, 404)),
        (b"GET /containers/%00/json HTTP/1.1\r\nHost: e\r\n\r\n", (400, 404)),
        (b"GET /containers/%ff%fe/json HTTP/1.1\r\nHost: e\r\n\r\n", (400, 404)),
        (b"GET /containers/%2e%2e/json HTTP/1.1\r\nHost: e\r\n\r\n", (400, 404)),
        (b"GET /containers/../../etc/passwd HTTP/1.1\r\nHost: e\r\n\r\n", (400, 404)),
        (b"GET /v1.41/v1.41/_ping HTTP/1.1\r\nHost: e\r\n\r\n", (404,)),
        (b"GET /v9999.9999/_ping HTTP/1.1\r\nHost: e\r\n\r\n", (400,)),
        (b"GET //_ping HTTP/1.1\r\nHost: e\r\n\r\n", (404,)),
        (b"GET /containers/json?filters=%ff&limit=%00 HTTP/1.1\r\nHost: e\r\n\r\n", (400,)),
        (b"GET /containers/json?limit=\xff HTTP/1.1\r\nHost: e\r\n\r\n", (400,)),
        (b"GET /containers/box/logs?stdout=1&tail=" + b"9" * 6000 + b" HTTP/1.1\r\nHost: e\r\n\r\n", (200, 400)),
        (b"GET /_ping HTTP/1.1\r\nHost: e\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", (400, 431)),
        (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: e\r\n\r\n", (400, 414)),
        (b"POST /containers/create HTTP/1.1\r\nHost: e\r\nContent-Length: -1\r\n\r\n", (400,)),
        (b"POST /containers/create HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", (400,)),
        (
            b"POST /containers/create HTTP/1.1\r\nHost: e\r\nContent-Type: application/json\r\n"
            b"Content-Length: 9000000\r\n\r\n" + b" " * 9_000_000,
            (413,),
        ),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", (400,)),
        (b"GET\r\n\r\n", (400,)),
    ],
    ids=lambda value: value[:40].decode("latin-1") if isinstance(value, bytes) else "",
)
def test_bytes_that_are_hardly_a_request(
    havre: HavreDaemon, session: requests.Session, things: dict[str, list[str]], sent: bytes, statuses: tuple[int, ...]
) -> None:
    answer = _exchange(havre, sent)
    assert answer.startswith(b"HTTP/1."), answer[:200]
    assert int(answer.split()[1]) in statuses, answer[:400]
    assert session.get(f"{ENGINE}/_ping").text == "OK"


@pytest.mark.parametrize("name", ["(a+)+$", "(a|a)*b", ".*.*.*.*x", "(", "[", "a{99999999999}", "(?P<a>"])
def test_an_expression_that_would_keep_the_engine_busy(session: requests.Session, name: str) -> None:
    filters = json.dumps({"name": [name]})
    answer = session.get(f"{ENGINE}/containers/json", params={"all": "1", "filters": filters}, timeout=10)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("invalid filter 'name=")


def test_a_body_that_breaks_off_its_framing_later(havre: HavreDaemon, session: requests.Session) -> None:
    """The request is with its handler already when the rest of its body turns out to be none."""
    with closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(5)
        connection.connect(str(havre.socket))
        connection.sendall(b"POST /containers/create HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: chunked\r\n\r\n")
        time.sleep(0.1)
        connection.sendall(b"zz\r\n")
        assert connection.recv(4096).split()[1] == b"400"
    assert session.get(f"{ENGINE}/_ping").text == "OK"


def test_the_daemon_stops_while_a_stop_waits(havre: HavreDaemon, session: requests.Session) -> None:
    """A client may be ready to wait for an end for longer than the daemon lives."""
    havre.docker("run", "-d", "--name=deaf", "busybox", "sleep", "600")
    with ThreadPoolExecutor(2) as pool:
        stops = [
            pool.submit(havre.docker, "stop", f"--time={seconds}", "deaf", check=False) for seconds in (-1, 10**12)
        ]
        # The signal is sent as soon as the request is there; that it waits shows in no other way.
        events = havre.docker("events", "--since=0", "--filter=event=kill", "--until", _in(2)).stdout
        assert events.count("deaf") == 2
        havre.restart()
        assert all(stop.result(timeout=20).returncode for stop in stops)
    assert _get(session, "/containers/deaf/json")["State"]["Running"]
    havre.remove_everything()


def _in(seconds: float) -> str:
    return f"{time.time() + seconds:.3f}"
