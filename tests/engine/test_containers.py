"""The life of real containers through the container service: states, codes, races, and nothing left of what fails."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from engine.containers.model import Container, LogQuery, Status, WaitCondition
from engine.containers.options import Mount, RestartPolicy, RestartPolicyName, Ulimit
from engine.containers.runtime.oci import Runtime
from engine.containers.starting import Starter
from engine.engine import Engine
from engine.errors import (
    AmbiguousId,
    CommandUnusable,
    Conflict,
    ContainerNotFound,
    EngineError,
    ImageNotFound,
    InvalidParameter,
    NotModified,
    NotRunning,
)
from tests.fixtures.engine_host import EngineHost, reaches, remove_all
from tests.fixtures.processes import wait_until

SLEEP = ("sleep", "1000")


@pytest.fixture(scope="module")
def running(host: EngineHost) -> Iterator[Engine]:
    with host.engine() as engine:
        yield engine


@pytest.fixture
def engine(host: EngineHost, running: Engine) -> Iterator[Engine]:
    yield running
    remove_all(running)
    wait_until(lambda: not host.traces(), what=f"nothing to be left but {host.traces()}")
    assert not host.processes(running)


def actions(engine: Engine, container_id: str) -> list[str]:
    return [event.action for event in engine.events.past() if event.actor == container_id]


# --- the ordinary life


def test_whoever_stops_it_finds_everything_taken_down(
    host: EngineHost, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    container_id = host.run(engine, "sleep", "1000")
    real, begun, go_on = Starter.take_down, threading.Event(), threading.Event()

    def slow(starter: Starter, container: Container) -> None:
        begun.set()
        assert go_on.wait(10)
        real(starter, container)

    monkeypatch.setattr(Starter, "take_down", slow)
    os.kill(engine.containers.get(container_id).state.pid, signal.SIGKILL)
    assert begun.wait(10)
    assert engine.containers.get(container_id).state.status is Status.EXITED
    stopped = threading.Event()

    def stop() -> None:
        with suppress(NotModified):
            engine.containers.stop(container_id, timeout=0)
        stopped.set()

    thread = threading.Thread(target=stop)
    thread.start()
    assert not stopped.wait(0.3)
    go_on.set()
    thread.join()
    assert container_id not in engine.containers.monitors.ids()


def test_a_whole_life(host: EngineHost, engine: Engine) -> None:
    container_id = host.create(engine, "sh", "-c", "echo hello; exit 3", name="one")
    handle = engine.containers.wait(container_id, WaitCondition.NEXT_EXIT)
    assert engine.containers.get("one").state.status is Status.CREATED
    engine.containers.start("one")
    assert handle.result(timeout=10) == (3, "")
    state = engine.containers.get(container_id[:8]).state
    assert (state.status, state.exit_code, state.pid) == (Status.EXITED, 3, 0)
    assert host.log(engine, container_id) == "hello"
    removal = engine.containers.wait("one", WaitCondition.REMOVED)
    engine.containers.remove("/one")
    assert removal.result(timeout=1) == (3, "")
    assert actions(engine, container_id) == ["create", "start", "die", "destroy"]
    with pytest.raises(ContainerNotFound, match="No such container: one"):
        engine.containers.get("one")


def test_what_was_written_is_there_at_the_next_start(host: EngineHost, engine: Engine) -> None:
    container_id = host.create(engine, "sh", "-c", "echo x >> /tmp/f; cat /tmp/f")
    for _ in range(2):
        engine.containers.start(container_id)
        engine.containers.wait(container_id).result(timeout=10)
    assert host.log(engine, container_id) == "x\nx\nx"


def test_a_log_that_a_crash_has_torn_goes_on(host: EngineHost, engine: Engine) -> None:
    container_id = host.create(engine, "echo", "one")
    log = Path(engine.containers.get(container_id).log_path)
    for _ in range(2):
        engine.containers.start(container_id)
        engine.containers.wait(container_id).result(timeout=20)
        whole = log.read_bytes()
        log.write_bytes(whole[:-2])
    log.write_bytes(whole)
    entries = [entry for batch in engine.containers.log_reader(container_id).batches(LogQuery()) for entry in batch]
    assert [text for _, _, text in entries] == [b"on\n", b"one\n"]


def test_stop_asks_and_then_kills(host: EngineHost, engine: Engine) -> None:
    polite = host.run(engine, "sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.05; done")
    deaf = host.run(engine, "sh", "-c", "trap '' TERM; while :; do sleep 0.05; done")
    time.sleep(0.2)
    engine.containers.stop(polite)
    assert engine.containers.get(polite).state.exit_code == 7
    began = time.monotonic()
    engine.containers.stop(deaf, timeout=0.3)
    assert 0.3 <= time.monotonic() - began < 9  # it would have ten seconds else
    assert engine.containers.get(deaf).state.exit_code == 137
    assert actions(engine, deaf)[-4:] == ["kill", "kill", "die", "stop"]
    with pytest.raises(NotModified):
        engine.containers.stop(deaf)


def test_kill_by_name_and_number(host: EngineHost, engine: Engine) -> None:
    container_id = host.run(engine, "sh", "-c", "trap 'echo got; exit 4' USR1; while :; do sleep 0.02; done")
    time.sleep(0.2)
    engine.containers.kill(container_id, signal="USR1")
    engine.containers.wait(container_id).result(timeout=10)
    assert engine.containers.get(container_id).state.exit_code == 4
    with pytest.raises(NotRunning, match=f"Cannot kill container: {container_id}: Container {container_id} is not run"):
        engine.containers.kill(container_id, signal="9")
    with pytest.raises(InvalidParameter, match="Invalid signal: NOPE"):
        engine.containers.kill(container_id, signal="NOPE")


def test_remove_of_what_runs_wants_force(host: EngineHost, engine: Engine) -> None:
    container_id = host.run(engine, *SLEEP, name="going")
    with pytest.raises(Conflict, match=r'cannot remove container "/going": container is running: stop the container'):
        engine.containers.remove("going")
    engine.containers.pause("going")
    with pytest.raises(Conflict, match="container is paused and must be unpaused first"):
        engine.containers.remove("going")
    with pytest.raises(Conflict, match="cannot start a paused container"):
        engine.containers.start("going")
    engine.containers.remove("going", force=True)
    assert actions(engine, container_id)[-2:] == ["die", "destroy"]


def test_pause_freezes_and_unpause_thaws(host: EngineHost, engine: Engine) -> None:
    container_id = host.run(engine, "sh", "-c", "while :; do echo x; sleep 0.01; done")
    wait_until(lambda: host.log(engine, container_id))
    engine.containers.pause(container_id)

    def silent() -> bool:
        before = host.log(engine, container_id)
        time.sleep(0.2)
        return host.log(engine, container_id) == before

    wait_until(silent, seconds=5, what="the monitor to have written what came before")
    before = host.log(engine, container_id)
    with pytest.raises(Conflict, match="is already paused"):
        engine.containers.pause(container_id)
    engine.containers.unpause(container_id)
    wait_until(lambda: host.log(engine, container_id) != before)
    engine.containers.pause(container_id)
    engine.containers.kill(container_id)
    assert engine.containers.get(container_id).state.exit_code == 137


def test_names_and_prefixes(host: EngineHost, engine: Engine) -> None:
    first = host.create(engine, name="one")
    with pytest.raises(Conflict, match=f'The container name "/one" is already in use by container "{first}"'):
        host.create(engine, name="one")
    firsts = [host.create(engine)[0] for _ in range(20)]
    shared = next(digit for digit in firsts if firsts.count(digit) > 1)
    with pytest.raises(AmbiguousId):
        engine.containers.get(shared)
    second = host.create(engine, name="two")
    with pytest.raises(Conflict, match="already in use"):
        engine.containers.rename("two", "one")
    engine.containers.rename("two", "three")
    assert engine.containers.get("three").id == second
    assert {"two", "three"} & {c.name for c in engine.containers.list(all=True)} == {"three"}


def test_one_name_for_many_at_once(host: EngineHost, engine: Engine) -> None:
    def attempt(_: int) -> bool:
        try:
            host.create(engine, name="contested")
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(16))) == 1
    assert len(host.traces()["snapshots"]) == 1


def test_the_list_and_its_filters(host: EngineHost, engine: Engine) -> None:
    ran = host.run(engine, "sh", "-c", "exit 5", name="ended", labels={"a": "1", "b": "2"})
    engine.containers.wait(ran).result(timeout=10)
    goes = host.run(engine, *SLEEP, name="goes", labels={"a": "1"})
    made = host.create(engine, name="made")

    def found(**filters: str) -> list[str]:
        given = {key: value.split(",") for key, value in filters.items()}
        return [container.name for container in engine.containers.list(all=True, filters=given)]

    assert [container.name for container in engine.containers.list()] == ["goes"]
    assert found() == ["made", "goes", "ended"]
    assert found(label="a") == ["goes", "ended"]
    assert found(label="a=1,b") == ["ended"]
    assert found(status="created,exited") == ["made", "ended"]
    assert found(exited="5") == ["ended"]
    assert found(id=goes[:6]) == ["goes"]
    assert found(name="^/?goes$") == ["goes"]
    assert found(before="goes") == ["ended"]
    assert found(since="goes") == ["made"]
    assert found(ancestor=host.image) == ["made", "goes", "ended"]
    assert found(ancestor="other") == []
    assert [container.id for container in engine.containers.list(limit=1)] == [made]
    with pytest.raises(InvalidParameter, match="invalid filter"):
        found(nonsense="1")


# --- what cannot be


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (["nope"], 127, 'exec: "nope": executable file not found in $PATH: unknown'),
        (["/etc"], 126, 'exec: "/etc": '),
        (["/etc/passwd"], 126, "permission denied"),
        (["/no/such"], 127, "no such file or directory"),
    ],
)
def test_a_command_that_cannot_be_executed(
    host: EngineHost, engine: Engine, command: list[str], code: int, words: str
) -> None:
    container_id = host.create(engine, *command)
    with pytest.raises(CommandUnusable) as raised:
        engine.containers.start(container_id)
    assert raised.value.exit_code == code
    assert words in str(raised.value)
    assert str(raised.value).startswith("failed to create task for container: failed to create shim task: OCI runtime")
    state = engine.containers.get(container_id).state
    assert (state.status, state.exit_code) == (Status.CREATED, code)
    assert set(host.traces()) == {"containers", "snapshots"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"working_dir": "/etc/plain/below"}, "working directory"),
        ({"user": "nobody-here"}, "unable to find user nobody-here"),
        ({"user": "ada:nogroup"}, "unable to find group nogroup"),
        ({"tmpfs": {"/etc/plain": ""}}, "/etc/plain"),
        ({"tmpfs": {"/x": "nonsense=1"}}, "(?i)invalid argument"),
        ({"mounts": (Mount(source="/proc/1/nothing/x", target="/x"),)}, "/proc/1/nothing"),
        ({"mounts": (Mount(source="/tmp", target="/etc/plain"),)}, "/etc/plain"),
    ],
)
def test_a_start_that_fails_leaves_nothing(
    host: EngineHost, engine: Engine, options: dict[str, object], words: str
) -> None:
    kept = host.create(engine, "true", **options)
    with pytest.raises(EngineError, match=words):
        engine.containers.start(kept)
    assert set(host.traces()) == {"containers", "snapshots"}
    assert engine.containers.get(kept).state.error
    gone = host.create(engine, "true", auto_remove=True, **options)
    handle = engine.containers.wait(gone, WaitCondition.REMOVED)
    with pytest.raises(EngineError, match=words):
        engine.containers.start(gone)
    assert handle.result(timeout=5)[0] != 0
    with pytest.raises(ContainerNotFound):
        engine.containers.get(gone)


def test_a_create_that_fails_leaves_nothing(host: EngineHost, engine: Engine) -> None:
    for options in (
        {"cap_add": ("NONSENSE",)},
        {"seccomp": "{}"},
        {"seccomp": "[" * 100_000},
        {"memory": 1000},
        {"ulimits": (Ulimit(name="nonsense", soft=1, hard=1),)},
        {"sysctls": {"kernel.hostname": "x"}},
        {"working_dir": "relative"},
        {"auto_remove": True, "restart": RestartPolicy(name=RestartPolicyName.ALWAYS)},
        {"env": ("=x",)},
        {"mounts": (Mount(source="/tmp", target="/"),)},
    ):
        with pytest.raises(EngineError):
            host.create(engine, "true", **options)
    host.image, kept = "no-such-image", host.image
    try:
        with pytest.raises(ImageNotFound):
            host.create(engine)
    finally:
        host.image = kept
    assert host.traces() == {}


# --- many at once, and close together


def test_many_end_at_the_same_moment(host: EngineHost, engine: Engine) -> None:
    ids = [host.create(engine, *SLEEP) for _ in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(engine.containers.start, ids))
    handles = [engine.containers.wait(each) for each in ids]
    monitors = [engine.containers.monitor(each) for each in ids]
    for number in (signal.SIGSTOP, signal.SIGKILL, signal.SIGCONT):
        for monitor in monitors:
            (monitor.process if number == signal.SIGKILL else monitor.monitor).send(number)
    assert {handle.result(timeout=30)[0] for handle in handles} == {137}


def test_wait_tells_the_code_however_close_to_the_end(host: EngineHost, engine: Engine) -> None:
    codes: list[int] = []

    def ask(container_id: str) -> None:
        while engine.containers.get(container_id).state.status is Status.RUNNING:
            codes.append(engine.containers.wait(container_id).result(timeout=10)[0])

    for _ in range(5):
        container_id = host.run(engine, "sh", "-c", "exit 9")
        threads = [threading.Thread(target=ask, args=(container_id,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert engine.containers.wait(container_id).result(timeout=10)[0] == 9
    assert set(codes) <= {9}


def test_start_and_remove_at_once(host: EngineHost, engine: Engine) -> None:
    def attempt(action: str, container_id: str) -> None:
        try:
            if action == "start":
                engine.containers.start(container_id)
            else:
                engine.containers.remove(container_id, force=True)
        except (Conflict, ContainerNotFound, NotModified):
            return

    for _ in range(5):
        container_id = host.create(engine, *SLEEP)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(attempt, ("start", "remove", "start", "remove"), [container_id] * 4))
        attempt("remove", container_id)
        with pytest.raises(ContainerNotFound):
            engine.containers.get(container_id)


# --- automatic removal and restart


def test_automatic_removal(host: EngineHost, engine: Engine) -> None:
    container_id = host.create(engine, "sh", "-c", "exit 6", auto_remove=True)
    handle = engine.containers.wait(container_id, WaitCondition.REMOVED)
    engine.containers.start(container_id)
    assert handle.result(timeout=10) == (6, "")
    assert actions(engine, container_id) == ["create", "start", "die", "destroy"]


def test_restart_keeps_one_that_is_removed_at_its_end(host: EngineHost, engine: Engine) -> None:
    container_id = host.run(engine, *SLEEP, auto_remove=True)
    for _ in range(10):
        first = engine.containers.get(container_id).state.pid
        engine.containers.restart(container_id, timeout=0)
        assert engine.containers.get(container_id).state.pid != first
    engine.containers.stop(container_id, timeout=0)
    wait_until(lambda: not engine.containers.list(all=True))


def test_restarted_by_many_at_once(host: EngineHost, engine: Engine) -> None:
    container_id = host.run(engine, *SLEEP)
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(engine.containers.restart, container_id, timeout=0) for _ in range(6)]
    for each in asked:
        each.result()
    assert engine.containers.get(container_id).state.status is Status.RUNNING


def test_one_container_in_many_hands(host: EngineHost, engine: Engine) -> None:
    """Whatever is asked of it at once: an answer in words, no standstill, and it can be removed at the end."""
    container_id = host.run(engine, *SLEEP)
    service = engine.containers
    calls = (
        lambda: service.start(container_id),
        lambda: service.stop(container_id, timeout=0),
        lambda: service.restart(container_id, timeout=0),
        lambda: service.kill(container_id),
        lambda: service.pause(container_id),
        lambda: service.unpause(container_id),
        lambda: service.rename(container_id, f"other-{threading.get_ident()}"),
        lambda: service.remove(container_id),
    )

    def work(number: int) -> None:
        for turn in range(6):
            with suppress(EngineError):
                calls[(number * 3 + turn) % (len(calls) - 1)]()

    with ThreadPoolExecutor(8) as pool:
        for each in [pool.submit(work, number) for number in range(8)]:
            each.result(timeout=60)
    service.remove(container_id, force=True)
    with pytest.raises(ContainerNotFound):
        service.get(container_id)


@pytest.mark.parametrize(
    "options",
    [
        {"stop_signal": "SIGNONE"},
        {"hostname": "a\0b"},
        {"mounts": (Mount(source="/tmp/a\0b", target="/b"),)},
        {"tmpfs": {"/a\0b": ""}},
    ],
)
def test_words_that_no_start_could_take(host: EngineHost, engine: Engine, options: dict[str, object]) -> None:
    with pytest.raises(InvalidParameter):
        host.create(engine, "true", **options)


def test_a_restart_that_cannot_start_counts(host: EngineHost, engine: Engine, tmp_path: Path) -> None:
    """`on-failure:2` with a program that has become unusable: two tries more, then it stays ended."""
    source = tmp_path / "program"
    source.write_text("#!/bin/sh\nsleep 0.2; exit 1\n")
    source.chmod(0o755)
    policy = RestartPolicy(name=RestartPolicyName.ON_FAILURE, maximum_retries=3)
    bind = Mount(source=str(source), target="/program", read_only=True)
    container_id = host.run(engine, "/program", mounts=(bind,), restart=policy)
    source.chmod(0o644)
    reaches(engine, container_id, Status.EXITED)
    wait_until(lambda: engine.containers.get(container_id).state.restart_count == 3, what="the last try")
    reaches(engine, container_id, Status.EXITED)


def test_the_policy_restarts_until_its_limit(host: EngineHost, engine: Engine) -> None:
    policy = RestartPolicy(name=RestartPolicyName.ON_FAILURE, maximum_retries=2)
    container_id = host.run(engine, "sh", "-c", "echo life; exit 1", restart=policy)
    reaches(engine, container_id, Status.EXITED)
    assert host.log(engine, container_id) == "life\nlife\nlife"
    assert engine.containers.get(container_id).state.restart_count == 2
    engine.containers.start(container_id)
    reaches(engine, container_id, Status.EXITED)
    assert host.log(engine, container_id).count("life") == 6


def test_stop_between_two_lives(host: EngineHost, engine: Engine) -> None:
    policy = RestartPolicy(name=RestartPolicyName.ALWAYS)
    container_id = host.run(engine, "false", restart=policy)
    for _ in range(3):
        reaches(engine, container_id, Status.RESTARTING)
        with pytest.raises(Conflict, match="is restarting, wait until the container is running"):
            engine.containers.kill(container_id)
        handle = engine.containers.wait(container_id)
        engine.containers.stop(container_id)
        assert handle.result(timeout=2)[0] == 1
        reaches(engine, container_id, Status.EXITED)
        time.sleep(0.3)
        assert engine.containers.get(container_id).state.status is Status.EXITED
        engine.containers.start(container_id)
    reaches(engine, container_id, Status.RESTARTING)
    with pytest.raises(Conflict, match="stop the container before removing"):
        engine.containers.remove(container_id)
    engine.containers.remove(container_id, force=True)


def test_a_restart_that_fails_is_tried_again(host: EngineHost, engine: Engine, tmp_path: Path) -> None:
    source = tmp_path / "program"
    source.write_text("#!/bin/sh\necho life\n")
    source.chmod(0o755)
    policy = RestartPolicy(name=RestartPolicyName.ALWAYS)
    bind = Mount(source=str(source), target="/program", read_only=True)
    container_id = host.run(engine, "/program", mounts=(bind,), restart=policy)
    reaches(engine, container_id, Status.RESTARTING)
    source.chmod(0o644)
    wait_until(lambda: "permission denied" in engine.containers.get(container_id).state.error)
    source.chmod(0o755)
    before = host.log(engine, container_id)
    wait_until(lambda: host.log(engine, container_id) != before, what="the restart")
    engine.containers.stop(container_id, timeout=1)


@pytest.mark.parametrize("verb", ["kill", "stop", "restart", "unpause"])
def test_a_paused_container_that_somebody_else_ends(
    host: EngineHost, engine: Engine, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """It has ended when the runtime is asked to let it go on: what was to end it is done, the rest says why not."""
    real = Runtime.resume

    def resume(runtime: Runtime, container_id: str) -> None:
        monitor = engine.containers.monitors.find(container_id)
        assert monitor is not None
        monitor.process.send(signal.SIGKILL)
        real(runtime, container_id)
        wait_until(lambda: not monitor.process.alive)
        real(runtime, container_id)

    container_id = host.run(engine, *SLEEP)
    engine.containers.pause(container_id)
    monkeypatch.setattr(Runtime, "resume", resume)
    if verb == "unpause":
        with pytest.raises(NotRunning):
            engine.containers.unpause(container_id)
    else:
        getattr(engine.containers, verb)(container_id)
    monkeypatch.undo()
    reaches(engine, container_id, Status.RUNNING if verb == "restart" else Status.EXITED)


def test_a_monitor_that_is_killed_takes_its_container_along(host: EngineHost, engine: Engine) -> None:
    container_id = host.run(engine, *SLEEP)
    monitor = engine.containers.monitor(container_id)
    monitor.monitor.send(signal.SIGKILL)
    code, error = engine.containers.wait(container_id).result(timeout=10)
    assert code == 137
    assert "monitor was killed" in error
    assert not monitor.process.alive
