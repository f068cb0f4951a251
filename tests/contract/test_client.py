"""`engine.client` against Havre and against dockerd: the web side must not see a difference."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from engine.client import (
    AsyncClient,
    BindMount,
    Client,
    Conflict,
    CreateContainer,
    InvalidRequest,
    NotFound,
    Port,
    Unreachable,
)
from tests.fixtures.daemons import Daemon

pytestmark = pytest.mark.usefixtures("clean")

TALK = ("sh", "-c", "i=0; while :; do echo out $i; echo err $i >&2; i=$((i+1)); sleep 0.1; done")


@pytest.fixture
def url(daemon: Daemon) -> str:
    return f"unix://{daemon.socket}"


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url) as client:
        yield client


def run(client: Client, *cmd: str, name: str = "box", **wanted: object) -> str:
    identifier = client.create(CreateContainer(image="busybox", name=name, cmd=cmd, **wanted))  # type: ignore[arg-type]
    client.start(identifier)
    return identifier


def test_ping_version_info(client: Client) -> None:
    assert client.ping().startswith("1.")
    assert client.version().os == "linux"
    info = client.info()
    assert info.cpus >= 1
    assert info.storage_driver == "overlay2"


def test_a_container_from_creation_to_removal(client: Client, tmp_path: Path) -> None:
    identifier = client.create(
        CreateContainer(
            image="busybox",
            name="web",
            cmd=("sleep", "600"),
            env=("A=b",),
            ports=(Port(container_port=80, host_port=18090), Port(container_port=81)),
            binds=(BindMount(source=str(tmp_path), target="/data", read_only=True),),
            labels={"k": "v"},
            restart_policy="on-failure",
            maximum_retries=2,
            tty=True,
            open_stdin=True,
        )
    )
    made = client.container("web")
    assert (made.id, made.state.status, made.running) == (identifier, "created", False)
    client.start(identifier)
    client.start(identifier)
    [row] = client.containers(filters={"label": "k=v"})
    assert (row.id, row.name, row.state, row.running) == (identifier, "web", "running", True)
    assert row.status.startswith("Up ")
    assert Port(container_port=80, host_ip="0.0.0.0", host_port=18090) in row.ports
    found = client.container(identifier[:12])
    assert found.state.pid > 1
    assert "A=b" in found.env
    assert (found.restart_policy, found.maximum_retries, found.tty) == ("on-failure", 2, True)
    assert Port(container_port=81) in found.ports
    assert found.mounts[0].read_only
    assert found.networks[0].network == "bridge"
    assert found.networks[0].address
    client.stop(identifier, timeout=0)
    assert client.container("web").state.exit_code == 137
    client.remove("web")
    assert client.containers(all=True) == []


def test_errors_have_the_endpoints_words(client: Client) -> None:
    with pytest.raises(NotFound, match="No such container: nosuch") as caught:
        client.container("nosuch")
    assert caught.value.status == 404
    with pytest.raises(NotFound, match="No such image: nosuch"):
        client.create(CreateContainer(image="nosuch"))
    with pytest.raises(InvalidRequest, match="invalid reference format"):
        client.pull("NOT VALID")
    run(client, "sleep", "600")
    with pytest.raises(Conflict, match="already in use by container"):
        client.create(CreateContainer(image="busybox", name="box"))
    with pytest.raises(Conflict, match=r"(?i)cannot remove"):
        client.remove("box")


def test_nobody_listens(tmp_path: Path) -> None:
    with Client(f"unix://{tmp_path}/nosuch") as client, pytest.raises(Unreachable, match="No such file"):
        client.ping()


async def test_nobody_listens_to_a_stream(tmp_path: Path) -> None:
    async with AsyncClient(f"unix://{tmp_path}/nosuch") as client:
        with pytest.raises(Unreachable):
            await anext(client.events())


def test_images_and_networks(client: Client) -> None:
    image = next(each for each in client.images() if "busybox:latest" in each.tags)
    assert client.image("busybox").id == image.id
    assert client.image("busybox").layers
    assert client.history("busybox")
    client.tag("busybox", "team/other:2")
    assert client.remove_image("team/other:2")[0].untagged == "team/other:2"
    assert {"bridge", "host", "none"} <= {each.name for each in client.networks()}
    assert client.network("bridge").subnets


def test_a_pull_tells_its_layers(client: Client, daemon: Daemon) -> None:
    daemon.docker("rmi", "-f", "alpine", check=False)
    with client.pull("alpine") as pull:
        events = list(pull)
    assert events[0].status == "Pulling from library/alpine"
    assert any(event.layer and event.status == "Pull complete" for event in events)
    assert events[-1].status == "Status: Downloaded newer image for alpine:latest"


def test_a_pull_can_be_closed_by_another_thread(client: Client, daemon: Daemon) -> None:
    daemon.docker("rmi", "-f", "debian", check=False)
    with client.pull("debian") as pull:
        next(pull)
        threading.Timer(0.1, pull.close).start()
        for _ in pull:
            pass
    time.sleep(1)
    assert daemon.docker("images", "-q", "debian").stdout == ""


async def test_logs_come_in_batches_with_streams_and_times(client: Client, url: str) -> None:
    run(client, "sh", "-c", "seq 100; echo err >&2")
    client.wait("box")
    async with AsyncClient(url) as streams:
        lines = [line async for batch in streams.logs("box", follow=True) for line in batch]
        tail = [line async for batch in streams.logs("box", tail=3, follow=False, stderr=False) for line in batch]
    out = [line.data for line in lines if line.stream == "stdout"]
    assert out == [str(number).encode() for number in range(1, 101)]
    assert [line.data for line in lines if line.stream == "stderr"] == [b"err"]
    assert [line.data for line in tail][-1] == b"100"
    assert all(len(line.time) == 30 for line in lines)


async def test_logs_that_follow_can_be_left(client: Client, url: str) -> None:
    run(client, *TALK)
    async with AsyncClient(url) as streams:
        seen = []
        async with aclosing(streams.logs("box", tail=0)) as batches:
            async for batch in batches:
                seen += batch
                if len(seen) >= 6:
                    break
        since = seen[-1].time
        later = [line async for batch in streams.logs("box", since=since, follow=False) for line in batch]
    assert later[0].time >= since


async def test_a_terminal(client: Client, url: str) -> None:
    run(client, "sleep", "600")
    async with AsyncClient(url) as streams:
        terminal = await streams.exec_terminal("box", ["sh"], rows=30, cols=100)
        await terminal.resize(rows=41, cols=111)
        # The monitor takes the size in when it comes to it, and nobody hears when.
        await terminal.write(
            b'until [ "$(stty size)" = "41 111" ]; do sleep 0.1; done; stty size; echo $((6*7)); exit 3\n'
        )
        seen = b""
        while data := await asyncio.wait_for(terminal.read(), 10):
            seen += data
        assert b"41 111\r\n42\r\n" in seen
        assert await terminal.exit_code() == 3
        await terminal.close()
        with pytest.raises(NotFound, match="No such container: nosuch"):
            await streams.exec_terminal("nosuch", ["sh"])


async def test_a_terminal_in_a_container_that_does_not_run(client: Client, url: str) -> None:
    client.create(CreateContainer(image="busybox", name="box", cmd=("true",)))
    async with AsyncClient(url) as streams:
        with pytest.raises(Conflict, match="is not running"):
            await streams.exec_terminal("box", ["sh"])


async def test_events_as_they_happen_and_from_the_past(client: Client, url: str) -> None:
    begun = dt.datetime.now(dt.UTC)
    async with AsyncClient(url) as streams:
        seen = []

        async def listen() -> None:
            async with aclosing(streams.events(filters={"type": ["container"]})) as events:
                async for event in events:
                    seen.append(event)
                    if event.action == "die":
                        return

        listening = asyncio.create_task(listen())
        await asyncio.sleep(0.3)
        identifier = await asyncio.to_thread(run, client, "true")
        await asyncio.wait_for(listening, 10)
    assert [event.action for event in seen] == ["create", "start", "die"]
    assert {event.actor for event in seen} == {identifier}
    assert seen[-1].attributes["exitCode"] == "0"
    assert seen[0].name == "box"
    assert [event.action for event in client.past_events(since=begun) if event.actor == identifier][:3] == [
        *("create", "start", "die")
    ]


async def test_many_terminals_and_logs_at_once(client: Client, url: str) -> None:
    run(client, *TALK)
    async with AsyncClient(url) as streams:

        async def one_terminal() -> bool:
            terminal = await streams.exec_terminal("box", ["cat"])
            await terminal.write(b"hello\n")
            seen = b""
            while b"hello\r\nhello\r\n" not in seen:
                seen += await terminal.read()
            await terminal.close()
            return True

        async def one_log() -> bool:
            async with aclosing(streams.logs("box", tail=1)) as batches:
                async for _ in batches:
                    return True
            return False

        done = await asyncio.wait_for(
            asyncio.gather(*(one_terminal() for _ in range(8)), *(one_log() for _ in range(20))), 60
        )
    assert all(done)
