"""Builds by the web side's client: on Havre by structured lines, on dockerd by the words of its classic builder."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator

import pytest

from engine.client import BuildEvent, BuildEventKind, BuildRequest, Client, InvalidRequest, NotFound
from tests.fixtures.daemons import Daemon, HavreDaemon
from tests.fixtures.tars import tar_of

Kind = BuildEventKind


@pytest.fixture
def client(daemon: Daemon, busybox: str) -> Iterator[Client]:
    with Client(f"unix://{daemon.socket}") as client:
        yield client


@pytest.fixture
def havre_client(havre: HavreDaemon) -> Iterator[Client]:
    if havre.docker("image", "inspect", "busybox", check=False).returncode:
        havre.docker("pull", "-q", "busybox")
    with Client(f"unix://{havre.socket}") as client:
        yield client


def context(dockerfile: str, **files: str) -> io.BytesIO:
    return io.BytesIO(tar_of({"Dockerfile": dockerfile, **files}))


def run(client: Client, dockerfile: str, *, request: BuildRequest | None = None, **files: str) -> list[BuildEvent]:
    with client.build(request or BuildRequest(), context=context(dockerfile, **files)) as build:
        return list(build)


def test_a_build_tells_its_steps_its_output_and_its_image(client: Client) -> None:
    dockerfile = "FROM busybox\nRUN echo out; echo err >&2\nCMD true\n"
    events = run(client, dockerfile, request=BuildRequest(tags=("told:1",), no_cache=True))
    started = [event.step for event in events if event.kind is Kind.START]
    assert started == [1, 2, 3]
    logs = {(event.step, event.stream): event.text for event in events if event.kind is Kind.LOG}
    assert logs == {(2, "stdout"): "out\n", (2, "stderr"): "err\n"}
    assert {event.step for event in events if event.kind is Kind.DONE} == {1, 2, 3}
    [built] = [event for event in events if event.kind is Kind.BUILT]
    assert client.image("told:1").id == built.image


def test_a_build_that_fails_ends_with_an_error(client: Client) -> None:
    events = run(client, "FROM busybox\nRUN exit 5\n")
    assert [event.kind for event in events[-2:]] == [Kind.FAIL, Kind.ERROR]
    assert (events[-2].step, events[-2].exit_code, events[-1].exit_code) == (2, 5, 5)
    assert "returned a non-zero code: 5" in events[-1].text


def test_a_dockerfile_that_means_nothing_raises(client: Client) -> None:
    with pytest.raises(InvalidRequest, match="unknown instruction: NONSENSE"):
        client.build(BuildRequest(), context=context("FROM busybox\nNONSENSE\n"))


def test_the_plan_is_a_graph(havre_client: Client) -> None:
    dockerfile = (
        "ARG T=latest\nFROM busybox:$T AS a\nRUN true\nFROM busybox AS unused\nFROM busybox\nCOPY --from=a /bin /b\n"
    )
    plan = run(havre_client, dockerfile)[0]
    assert plan.kind is Kind.PLAN
    assert [(step.number, step.instruction, step.stage, step.needs) for step in plan.steps] == [
        (1, "ARG", -1, ()),
        (2, "FROM", 0, ()),
        (3, "RUN", 0, (2,)),
        (4, "FROM", 2, ()),
        (5, "COPY", 2, (4, 3)),
    ]
    assert [(step.line, step.stage_name) for step in plan.steps] == [
        (1, ""),
        (2, "a"),
        (3, "a"),
        (5, "stage-2"),
        (6, "stage-2"),
    ]


def test_a_miss_has_its_reason(havre_client: Client) -> None:
    dockerfile = "FROM busybox\nARG WHO=you\nCOPY one two /d/\nRUN echo $WHO\n"

    def misses(*, who: str = "you", **files: str) -> dict[int, tuple[str, tuple[str, ...]]]:
        request = BuildRequest(arguments={"WHO": who})
        events = run(havre_client, dockerfile, request=request, **{"one": "1", "two": "2", **files})
        return {event.step: (event.text, event.changed) for event in events if event.kind is Kind.MISS}

    assert set(misses()) == {2, 3, 4}
    assert misses() == {}
    assert misses(two="zwei") == {3: ("two changed", ("two",)), 4: ("a step before it has changed", ())}
    assert misses(two="2", who="me") == {4: ("argument WHO changed", ("WHO",))}
    assert misses() == {}


def test_a_build_that_is_closed_stops_at_once_and_leaves_nothing(havre: HavreDaemon, havre_client: Client) -> None:
    began = time.monotonic()
    with havre_client.build(BuildRequest(), context=context("FROM busybox\nRUN echo on; sleep 600\n")) as build:
        for event in build:
            if event.kind is Kind.LOG:
                build.close()
    assert time.monotonic() - began < 60
    _wait_until_nothing_runs(havre)


def test_a_build_is_cancelled_by_its_id(havre: HavreDaemon, havre_client: Client) -> None:
    with pytest.raises(NotFound):
        havre_client.cancel_build("mine")
    request = BuildRequest(build_id="mine")
    with havre_client.build(request, context=context("FROM busybox\nRUN echo on; sleep 601\n")) as build:
        for event in build:
            if event.kind is Kind.LOG:
                threading.Thread(target=havre_client.cancel_build, args=("mine",)).start()
    assert event.kind is Kind.ERROR
    assert "cancelled" in event.text
    _wait_until_nothing_runs(havre)


def test_what_builds_leave_is_listed_and_pruned(havre: HavreDaemon, havre_client: Client) -> None:
    havre_client.prune_builds(all=True)
    assert havre_client.build_cache() == []
    dockerfile = "FROM busybox\nRUN head -c 100000 /dev/zero > /kept\n"
    run(havre_client, dockerfile, request=BuildRequest(tags=("kept:1",)))
    run(havre_client, "FROM busybox\nRUN head -c 200000 /dev/zero > /loose\nRUN false\n")
    run(havre_client, "FROM busybox\nRUN --mount=type=cache,target=/c head -c 300000 /dev/zero > /c/f\n")
    found = {entry.description: entry for entry in havre_client.build_cache()}
    assert found["RUN head -c 100000 /dev/zero > /kept"].in_use
    assert found["RUN head -c 200000 /dev/zero > /loose"].size == 200_000
    assert found["cached mount /c"].size == 300_000
    assert havre_client.prune_builds(filters={"until": "1h"}).removed == ()
    pruned = havre_client.prune_builds(all=True)
    assert pruned.reclaimed >= 500_000
    assert havre_client.build_cache() == []
    assert havre.docker("run", "--rm", "kept:1", "wc", "-c", "/kept").stdout.split()[0] == "100000"


def _wait_until_nothing_runs(havre: HavreDaemon) -> None:
    places = [havre.directory / "run/builds", havre.directory / "root/builds", havre.directory / "run/runtime"]
    deadline = time.monotonic() + 20
    while any(any(place.iterdir()) for place in places):
        assert time.monotonic() < deadline, [list(place.iterdir()) for place in places]
        time.sleep(0.05)
