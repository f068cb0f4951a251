"""The daemon is killed at each point of each operation at which something changes; the next one finds all as before or
as after."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Final

import pytest

from engine.containers.model import Status
from engine.engine import Engine
from tests.conftest import needs_root
from tests.fixtures.crash_points import OPERATIONS, Given
from tests.fixtures.engine_host import PROJECT, EngineHost, engine_host, remove_all, whole
from tests.fixtures.processes import wait_until

KILLS: Final = int(os.environ.get("HAVRE_TEST_CRASH_POINTS", "340"))
"""At most; the points are taken evenly from all that there are. Each takes about two seconds."""


class Victims:
    """Has operations carried out by processes that die at one of their points."""

    def __init__(self, host: EngineHost) -> None:
        self._host = host
        self._given: dict[str, Given] = {}
        script = [sys.executable, "-m", "tests.fixtures.crash_points", str(host.directory), host.config.bridge]
        self._process = subprocess.Popen(
            [*script, host.image], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def close(self) -> None:
        self._process.communicate(timeout=60)

    def points_of(self, verb: str) -> list[str]:
        """The names of all points that an operation passes when nobody ends it."""
        with self._host.engine() as engine:
            given = self._prepared(engine, verb)
        code, points = self.act(verb, given, until=0)
        assert code == 0, verb
        assert len(points) > 1, verb
        return points

    def act(self, verb: str, given: Given, *, until: int) -> tuple[int, list[str]]:
        """The exit code of the process, and the points that it passed if it came to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"verb": verb, "given": given, "until": until}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return answer["code"], answer["points"]

    def killed(self, chosen: Sequence[tuple[str, int, str]]) -> tuple[int, list[str]]:
        """Kill at each of the points *chosen*; how often that came to pass, and what was wrong afterwards."""
        kills, violations = 0, []
        before: tuple[str, int, str] | None = None
        given: Given = {}
        for following in (*chosen, None):
            with self._host.engine() as engine:
                if before is not None:
                    try:
                        _holds(self._host, engine, before[0], given)
                    except Exception as problem:  # noqa: BLE001 - all violations are told, not only the first
                        violations.append(f"{before}: {problem!r}"[:2000])
                if following is not None:
                    given = self._prepared(engine, following[0])
            if following is not None:
                code, _ = self.act(following[0], given, until=following[1])
                # Threads race: now and then a point of the first run does not come again.
                assert code in (0, -signal.SIGKILL), following
                kills += code != 0
            before = following
        return kills, violations

    def _prepared(self, engine: Engine, verb: str) -> Given:
        _clean(engine)
        return OPERATIONS[verb].prepare(self._host, engine)


@pytest.fixture(scope="module")
def victims() -> Iterator[Victims]:
    needs_root()
    with engine_host() as host:
        with host.engine():
            pass
        victims = Victims(host)
        try:
            yield victims
        finally:
            victims.close()


@pytest.mark.slow
@pytest.mark.timeout(600 + 20 * KILLS)
def test_killed_at_every_point(victims: Victims) -> None:
    every = [
        (verb, number, name) for verb in OPERATIONS for number, name in enumerate(victims.points_of(verb), start=1)
    ]
    step = max(1.0, len(every) / KILLS)
    chosen = [every[int(index * step)] for index in range(min(KILLS, len(every)))]
    kills, violations = victims.killed(chosen)
    print(f"{kills} kills at {len(chosen)} of {len(every)} points, {len(violations)} violations")
    assert not violations, "\n".join(violations)
    assert kills >= 0.9 * len(chosen)


@pytest.mark.parametrize("verb", ["start", "remove what runs"])
def test_killed_in_the_middle(victims: Victims, verb: str) -> None:
    """The same for two points each, so that the short run notices as well when something has come undone."""
    points = victims.points_of(verb)
    chosen = [(verb, number, points[number - 1]) for number in (len(points) // 3, 2 * len(points) // 3)]
    kills, violations = victims.killed(chosen)
    assert violations == []
    assert kills


def _holds(host: EngineHost, engine: Engine, verb: str, given: Given) -> None:
    """All agrees with the records, the operation is done or not, what is there works, and nothing stays behind."""
    wait_until(
        lambda: all(each.state.status is not Status.RESTARTING for each in engine.containers.list(all=True)),
        what="restarts to come",
    )
    whole(host, engine)
    assert OPERATIONS[verb].after(engine, given), "neither as before nor as after"
    for container in engine.containers.list(all=True):
        if container.state.status is Status.PAUSED:
            engine.containers.unpause(container.id)
        elif container.state.status is not Status.RUNNING:
            engine.containers.start(container.id)
    whole(host, engine)
    _clean(engine)
    wait_until(lambda: not host.traces(), what=f"nothing to be left but {host.traces()}")
    assert not host.processes(engine)
    assert not list((host.config.root / "volumes").iterdir())


def _clean(engine: Engine) -> None:
    remove_all(engine)
    for volume in engine.volumes.list():
        engine.volumes.remove(volume.name)
    for image in engine.images.list():
        if "cut:1" in image.tags:
            engine.images.remove("cut:1", in_use=engine.containers.uses)
