"""Commands beside each other on the same things: each works or says clearly why not, and nothing is left over.

What follows in the same moment is drawn by chance: HAVRE_TEST_RACES says for how many seconds each race is run.
"""

from __future__ import annotations

import io
import os
import random
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from tests.fixtures.daemons import PROJECT, HavreDaemon
from tests.fixtures.processes import wait_until
from tests.fixtures.racing import PATIENCE, Answer, Caller, together
from tests.fixtures.tars import tar_of

SECONDS: Final = float(os.environ.get("HAVRE_TEST_RACES", "0.4"))
IMAGE: Final = "busybox"
WRITTEN: Final = 300
"""Files that the container of a commit has written, 4 KiB each."""

Body = dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def undamaged(havre: HavreDaemon) -> Iterator[None]:
    """When all has been done, what lies in the stores is whole."""
    havre.docker("pull", "-q", IMAGE)
    yield
    havre.stop()
    command = [*havre.namespace.prefix, *havre.command()[:-1], "check"]
    checked = subprocess.run(command, env=havre.environ(), cwd=PROJECT, capture_output=True, text=True)
    havre.start()
    assert checked.stdout == "everything is as it should be\n", checked.stdout + checked.stderr


@pytest.fixture
def call(havre: HavreDaemon) -> Iterator[Caller]:
    """Sends requests; afterwards none may have met a failure of the engine, and nothing of theirs may be left."""
    begun = havre.process.log.stat().st_size
    caller = Caller(havre.socket)
    yield caller
    havre.remove_everything()
    faults = caller.faults()
    log = havre.process.log.read_bytes()[begun:].decode(errors="replace")
    havre.docker("network", "prune", "-f")
    havre.docker("volume", "prune", "-f", "--filter=all=1")
    assert not faults, "\n".join([*faults[:10], log[-4000:]])
    assert "Traceback" not in log, log[-6000:]
    wait_until(lambda: not left(havre), what=f"nothing to be left, but there is {left(havre)}")


def left(havre: HavreDaemon) -> list[str]:
    """What containers, volumes and builds have left in the engine's directories."""
    root, run = havre.directory / "root", havre.directory / "run"
    places = (
        root / "containers",
        root / "volumes",
        root / "content/tmp",
        root / "builds",
        run / "netns",
        run / "parts",
    )
    places += (run / "monitors", run / "shm", run / "runtime")
    found = [str(entry) for place in places if place.is_dir() for entry in place.iterdir()]
    kept = ("init", "init-kernel", "empty")
    found += [str(entry) for entry in (root / "snapshots").iterdir() if entry.name not in kept]
    found += [str(entry) for entry in (root / "layers").iterdir() if entry.name.startswith("tmp-")]
    return found


def rounds(seconds: float = SECONDS) -> Iterator[int]:
    """Numbers for as long as a race is to be run, three at least."""
    until = time.monotonic() + seconds
    number = 0
    while number < 3 or time.monotonic() < until:
        yield number
        number += 1


def container(*command: str, **host: Any) -> Body:
    return {"Image": IMAGE, "Cmd": list(command) or ["sleep", "60"], "HostConfig": {"NetworkMode": "none", **host}}


def create(call: Caller, name: str, body: Body | None = None) -> Answer:
    return call("POST", "/containers/create", body=body or container(), name=name)


def start(call: Caller, name: str) -> Answer:
    return call("POST", f"/containers/{name}/start")


def remove(call: Caller, name: str, **query: str | int) -> Answer:
    return call("DELETE", f"/containers/{name}", **query)


def run(call: Caller, name: str, body: Body | None = None) -> str:
    made = create(call, name, body)
    assert made.ok, made
    started = start(call, name)
    assert started.ok, started
    return str(made.document["Id"])


# --- of one container


def test_a_name_is_given_once(call: Caller) -> None:
    for number in rounds():
        answers = together(*[partial(create, call, f"one{number}")] * 4, spread=0.003)
        assert sorted(answer.status for answer in answers) == [201, 409, 409, 409], "\n".join(map(str, answers))
        create(call, f"other{number}")
        taken = together(
            partial(call, "POST", f"/containers/other{number}/rename", name=f"new{number}"),
            partial(call, "POST", f"/containers/one{number}/rename", name=f"new{number}"),
            partial(create, call, f"new{number}"),
            spread=0.003,
        )
        assert sorted(answer.status // 100 for answer in taken) == [2, 4, 4], "\n".join(map(str, taken))
        ids = [row["Id"] for row in call("GET", "/containers/json", all=1).document]
        together(*[partial(remove, call, each, force=1) for each in ids for _ in range(2)])


def test_a_removal_by_force_removes_whatever_else_happens(call: Caller) -> None:
    def exec_(name: str) -> Answer:
        made = call("POST", f"/containers/{name}/exec", body={"Cmd": ["true"], "AttachStdout": True})
        return call("POST", f"/exec/{made.document['Id']}/start", body={}) if made.ok else made

    def logs(name: str) -> Answer:
        return call("GET", f"/containers/{name}/logs", stdout=1, follow=1, seconds=5)

    for number in rounds(2 * SECONDS):
        name = f"doomed{number}"
        create(call, name, container("sh", "-c", "echo here; sleep 60", RestartPolicy={"Name": "always"}))
        if running := random.random() < 0.6:
            start(call, name)
        path = f"/containers/{name}"
        others: list[Callable[[], Answer]] = [
            partial(start, call, name),
            partial(call, "POST", f"{path}/stop", t=0),
            partial(call, "POST", f"{path}/restart", t=0),
            partial(call, "POST", f"{path}/kill"),
            partial(call, "POST", f"{path}/pause"),
            partial(call, "POST", f"{path}/attach", stream=1, stdout=1, seconds=5),
            partial(call, "POST", f"{path}/wait", condition="removed"),
            partial(call, "POST", f"{path}/update", body={"PidsLimit": 100}),
            partial(call, "POST", f"{path}/rename", name=f"renamed{number}"),
            partial(call, "GET", f"{path}/stats", stream=0, **{"one-shot": 1}),
            partial(call, "GET", f"{path}/changes"),
            partial(call, "GET", f"{path}/json", size=1),
            partial(call, "GET", f"{path}/top"),
            partial(call, "GET", f"{path}/archive", path="/etc"),
            partial(call, "PUT", f"{path}/archive", path="/tmp", data=tar_of({"new": b"new"})),
            partial(call, "GET", f"{path}/export"),
            partial(call, "POST", "/containers/prune"),
            partial(exec_, name),
            partial(logs, name),
        ]
        identifier = call("GET", f"{path}/json").document["Id"]
        forced = partial(remove, call, identifier, force=1)
        answers = together(forced, forced, *random.sample(others, 5))
        for answer in answers[:2]:
            assert answer.status in (204, 404), "\n".join([f"running: {running}", *map(str, answers)])
        gone = call("GET", f"/containers/{identifier}/json")
        assert gone.status == 404, "\n".join([*map(str, answers), str(gone)])


def test_a_removal_without_force_leaves_what_runs(call: Caller) -> None:
    for number in rounds():
        create(call, f"gentle{number}")
        started, removed = together(partial(start, call, f"gentle{number}"), partial(remove, call, f"gentle{number}"))
        assert (started.status, removed.status) in ((204, 409), (404, 204)), f"{started}\n{removed}"
        there = call("GET", f"/containers/gentle{number}/json")
        assert there.status == (404 if removed.ok else 200), there
        assert removed.ok or there.document["State"]["Running"]
        remove(call, f"gentle{number}", force=1)


def test_what_is_made_of_a_container_is_whole_or_is_not_made(call: Caller) -> None:
    script = f"n=0; while [ $n -lt {WRITTEN} ]; do echo $n > /kept/$n; n=$((n+1)); done"
    for number in rounds(2 * SECONDS):
        name, tag = f"source{number}", f"made:{number}"
        run(call, name, container("sh", "-c", f"mkdir /kept; {script}"))
        assert call("POST", f"/containers/{name}/wait").document["StatusCode"] == 0
        removed, committed, exported, copied = together(
            partial(remove, call, name, force=1),
            partial(call, "POST", "/commit", container=name, repo=tag),
            partial(call, "GET", f"/containers/{name}/export"),
            partial(call, "GET", f"/containers/{name}/archive", path="/kept"),
        )
        told = "\n".join(map(str, (removed, committed)))
        assert removed.ok, told
        for answer, beginning in ((exported, "kept/"), (copied, "kept/")):
            if answer.ok:
                assert files_in(answer.body, beginning) == WRITTEN, f"{answer.request} is told whole and is not"
        assert committed.status in (201, 404, 409), told
        if committed.ok:
            with_all = run(call, f"check{number}", {**container("sh", "-c", "ls /kept | wc -l"), "Image": tag})
            call("POST", f"/containers/{with_all}/wait")
            text = call("GET", f"/containers/{with_all}/logs", stdout=1).body
            assert str(WRITTEN).encode() in text, f"the image has {text!r} files; {told}"
            remove(call, with_all, force=1)
            assert call("DELETE", f"/images/{tag}", force=1).ok


def files_in(tar: bytes, beginning: str) -> int:
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        return sum(member.isreg() and member.name.startswith(beginning) for member in opened)


def test_a_container_that_swaps_what_is_copied(call: Caller) -> None:
    """Directories, links that lead out, devices, pipes and files in one place, one after the other without a pause."""
    mark = f"havre-test-{os.getpid()}"
    kinds = (
        "mkdir /x; echo in > /x/f",
        "ln -s /etc /x",
        "ln -s ../../../../../../etc /x",
        "echo file > /x",
        "mkfifo /x",
    )
    swaps = "; ".join(f"{kind}; rm -rf /x" for kind in (*kinds, "mknod /x c 1 5", "ln -s /proc/1/root /x"))
    run(call, "swaps", container("sh", "-c", f"while :; do {swaps}; done"))
    path = "/containers/swaps/archive"
    for _ in rounds(2 * SECONDS):
        together(
            partial(call, "GET", path, path="/x"),
            partial(call, "GET", path, path="/x/"),
            partial(call, "GET", path, path="/x/f"),
            partial(call, "HEAD", path, path="/x"),
            partial(call, "PUT", path, path="/x", data=tar_of({mark: b""})),
            partial(call, "GET", "/havre/v1/containers/swaps/files", path="/x"),
            partial(call, "GET", "/containers/swaps/changes"),
            partial(call, "GET", "/containers/swaps/json", size=1),
            spread=0.01,
        )
    assert call("GET", "/containers/swaps/export").ok
    assert call("POST", "/commit", container="swaps", pause=0, repo="swapped").ok
    call("DELETE", "/images/swapped", force=1)
    assert not (Path("/etc") / mark).exists()


# --- of what containers share


def test_a_container_that_was_created_has_its_volume(call: Caller) -> None:
    for number in rounds():
        volume, name = f"shared{number}", f"owner{number}"
        body = container(Binds=[f"{volume}:/data"])
        created, *_ = together(
            partial(create, call, name, body),
            partial(create, call, name, body),
            partial(call, "DELETE", f"/volumes/{volume}"),
            partial(call, "POST", "/volumes/prune", filters='{"all":["1"]}'),
            partial(call, "POST", "/volumes/create", body={"Name": volume}),
            spread=0.005,
        )
        assert created.status in (201, 409), created
        started = start(call, name)
        assert started.ok, f"{created}\n{started}"
        together(
            partial(remove, call, name, force=1, v=1),
            partial(call, "DELETE", f"/volumes/{volume}"),
            partial(call, "POST", "/volumes/prune", filters='{"all":["1"]}'),
        )


def test_a_network_goes_while_containers_come_and_go(call: Caller) -> None:
    for number in rounds(2 * SECONDS):
        network, name = f"net{number}", f"member{number}"
        assert call("POST", "/networks/create", body={"Name": network}).ok
        create(call, name, container(NetworkMode=network))
        if random.random() < 0.5:
            start(call, name)
        answers = together(
            partial(start, call, name),
            partial(remove, call, name, force=1),
            partial(call, "DELETE", f"/networks/{network}"),
            partial(call, "POST", "/networks/prune"),
            partial(call, "POST", f"/networks/{network}/disconnect", body={"Container": name}),
            partial(call, "POST", f"/networks/{network}/connect", body={"Container": name}),
            partial(call, "GET", "/containers/json", all=1),
            partial(call, "GET", f"/networks/{network}"),
        )
        assert answers[1].ok, "\n".join(map(str, answers))


def test_images_go_while_they_are_used(call: Caller) -> None:
    saved = call("GET", f"/images/{IMAGE}/get").body
    for number in rounds(3 * SECONDS):
        build = tar_of({"Dockerfile": f"FROM {IMAGE}\nCOPY Dockerfile /\nLABEL n={number}\n".encode()})
        actions: list[Callable[[], Answer]] = [
            partial(call, "POST", "/images/create", fromImage=IMAGE, tag="latest"),
            partial(call, "POST", "/images/load", data=saved),
            partial(call, "GET", f"/images/{IMAGE}/get"),
            partial(call, "POST", "/build", t=f"built:{number}", data=build),
            partial(create, call, f"user{number}"),
            partial(call, "POST", f"/images/{IMAGE}/tag", repo=f"again{number}"),
            partial(call, "DELETE", f"/images/{IMAGE}", force=1),
            partial(call, "POST", "/images/prune", filters='{"dangling":["false"]}'),
            partial(call, "POST", "/build/prune", all=1),
            partial(call, "GET", "/images/json", all=1),
            partial(call, "GET", f"/images/{IMAGE}/history"),
            partial(call, "GET", "/system/df"),
            partial(call, "GET", "/havre/v1/images/usage"),
        ]
        together(*random.sample(actions, 8))
        if any(row["Names"] == [f"/user{number}"] for row in call("GET", "/containers/json", all=1).document):
            started = start(call, f"user{number}")
            assert started.ok, started  # its image's layers are there, whatever has become of the image
            remove(call, f"user{number}", force=1)
    call("POST", "/images/load", data=saved)
    told = [answer for answer in call.answers if answer.request.startswith(("POST /images", "POST /build"))]
    broken = [answer for answer in told if b'"code":5' in answer.body]
    assert not broken, "\n".join(map(str, broken[:10]))


def test_anything_beside_anything(call: Caller) -> None:
    """Six clients do what comes to their mind with the same few things."""
    until = time.monotonic() + 3 * SECONDS

    def client() -> None:
        while time.monotonic() < until:
            name, network, volume = (f"{kind}{random.randrange(3)}" for kind in ("c", "n", "v"))
            path = f"/containers/{name}"
            body = container(
                NetworkMode=random.choice((network, "none", "bridge")),
                Binds=[f"{volume}:/v"],
                AutoRemove=random.random() < 0.3,
            )
            random.choice(
                (
                    partial(create, call, name, body),
                    partial(create, call, name, body),
                    partial(start, call, name),
                    partial(start, call, name),
                    partial(remove, call, name, force=random.randrange(2), v=1),
                    partial(call, "POST", f"{path}/stop", t=0),
                    partial(call, "POST", f"{path}/restart", t=0),
                    partial(call, "POST", f"{path}/kill"),
                    partial(call, "POST", f"{path}/pause"),
                    partial(call, "POST", f"{path}/unpause"),
                    partial(call, "POST", f"{path}/rename", name=f"c{random.randrange(3)}"),
                    partial(call, "GET", f"{path}/json", size=1),
                    partial(call, "GET", f"{path}/archive", path="/v"),
                    partial(call, "PUT", f"{path}/archive", path="/v", data=tar_of({"new": b"new"})),
                    partial(call, "GET", f"{path}/changes"),
                    partial(call, "GET", "/containers/json", all=1, size=1),
                    partial(call, "POST", "/containers/prune"),
                    partial(call, "POST", "/networks/create", body={"Name": network}),
                    partial(call, "DELETE", f"/networks/{network}"),
                    partial(call, "POST", f"/networks/{network}/connect", body={"Container": name}),
                    partial(call, "POST", f"/networks/{network}/disconnect", body={"Container": name}),
                    partial(call, "GET", f"/networks/{network}"),
                    partial(call, "DELETE", f"/volumes/{volume}"),
                    partial(call, "POST", "/volumes/prune", filters='{"all":["1"]}'),
                    partial(call, "GET", "/system/df"),
                )
            )()

    threads = [threading.Thread(target=client) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_the_daemon_ends_in_the_midst_of_everything(call: Caller, havre: HavreDaemon) -> None:
    """Clients that wait, that stall while they send, and that do not read: none keeps it, and no container is lost."""
    large = "i=0; while [ $i -lt 64 ]; do yes | head -c 1000000 > /f$i; i=$((i+1)); done; sleep 600"
    for name in ("kept", "stopping"):
        run(call, name, container("sh", "-c", f"trap '' TERM; {large}"))
    ran = call("POST", "/containers/kept/exec", body={"Cmd": ["sleep", "600"], "AttachStdout": True}).document["Id"]
    build = tar_of({"Dockerfile": f"FROM {IMAGE}\nRUN sleep 600\n".encode()})
    waiting: list[Callable[[], Answer]] = [
        partial(call, "POST", "/containers/stopping/stop", t=600),
        partial(call, "POST", "/containers/kept/wait"),
        partial(call, "GET", "/containers/kept/logs", stdout=1, follow=1),
        partial(call, "GET", "/containers/kept/stats"),
        partial(call, "POST", "/containers/kept/attach", stream=1, stdout=1),
        partial(call, "POST", f"/exec/{ran}/start", body={}),
        partial(call, "GET", "/events"),
        partial(call, "POST", "/build", data=build),
        partial(call, "POST", "/commit", container="kept", repo="half"),
    ]
    stalled = [
        b"POST /images/load HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
        b"POST /images/load HTTP/1.1\r\nHost: e\r\nContent-Length: 100000\r\n\r\nabcde",
        b"POST /build HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
        b"PUT /containers/kept/archive?path=/ HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
        b"POST /containers/create HTTP/1.1\r\nHost: e\r\nContent-Length: 100\r\n\r\n{",
        b"GET /containers/kept/export HTTP/1.1\r\nHost: e\r\n\r\n",
        b"GET /containers/kept/archive?path=/ HTTP/1.1\r\nHost: e\r\n\r\n",
        b"GET /_ping HTTP/1.1\r\nHo",
    ]
    with ThreadPoolExecutor(len(waiting)) as pool, ExitStack() as stack:
        answers = [pool.submit(each) for each in waiting]
        for sent in stalled:
            connection = stack.enter_context(closing(socket.socket(socket.AF_UNIX)))
            connection.connect(str(havre.socket))
            connection.sendall(sent)
        wait_until(lambda: any((havre.directory / "run/builds").glob("*/*")), what="the build's step to run")
        assert havre.stop() == 0
        for answer in answers:
            answer.result(timeout=PATIENCE)
    havre.start()
    del call.answers[-len(waiting) :]  # what is cut off by the end is no fault
    for name in ("kept", "stopping"):
        assert call("GET", f"/containers/{name}/json").document["State"]["Running"], name
