"""The daemon is killed at each point of each operation at which something changes; the next one finds all as before or
as after."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

import pytest

from engine.containers.model import Status
from engine.engine import Engine
from tests.conftest import needs_root
from tests.fixtures.crash_points import OPERATIONS, Given, Operation
from tests.fixtures.engine_host import EngineHost, engine_host, remove_all, whole
from tests.fixtures.processes import wait_until
from tests.fixtures.victims import Victims

KILLS: Final = int(os.environ.get("HAVRE_TEST_CRASH_POINTS", "340"))
"""At most; the points are taken evenly from all that there are. Each takes about two seconds."""


@pytest.fixture(scope="module")
def victims() -> Iterator[Victims]:
    needs_root()
    with engine_host() as host:
        with host.engine():
            pass
        victims = Victims(host, OPERATIONS, module="tests.fixtures.crash_points", holds=_holds, clean=_clean)
        try:
            yield victims
        finally:
            victims.close()


@pytest.mark.slow
@pytest.mark.timeout(600 + 20 * KILLS)
def test_killed_at_every_point(victims: Victims) -> None:
    print(victims.killed_evenly(KILLS))


@pytest.mark.parametrize("verb", ["start", "remove what runs"])
def test_killed_in_the_middle(victims: Victims, verb: str) -> None:
    """The same for two points each, so that the short run notices as well when something has come undone."""
    points = victims.points_of(verb)
    chosen = [(verb, number, points[number - 1]) for number in (len(points) // 3, 2 * len(points) // 3)]
    kills, violations = victims.killed(chosen)
    assert violations == []
    assert kills


def _holds(host: EngineHost, engine: Engine, operation: Operation, given: Given) -> None:
    """All agrees with the records, the operation is done or not, what is there works, and nothing stays behind."""
    wait_until(
        lambda: all(each.state.status is not Status.RESTARTING for each in engine.containers.list(all=True)),
        what="restarts to come",
    )
    whole(host, engine)
    assert operation.after(engine, given), "neither as before nor as after"
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
