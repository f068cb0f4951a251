"""Who waits for a container: each is told once, whoever is first."""

from __future__ import annotations

import threading

from engine.containers.model import WaitCondition
from engine.containers.waiting import Waiters


def test_two_who_settle_one_handle() -> None:
    waiters = Waiters()
    handle = waiters.register("c", WaitCondition.NOT_RUNNING)
    waiters.ended("c", 3)
    waiters.ended_for(handle, 4, "late")
    assert handle.result(timeout=1) == (3, "")


def test_settled_by_hand_and_then_by_the_end() -> None:
    waiters = Waiters()
    handle = waiters.register("c", WaitCondition.NOT_RUNNING)
    waiters.ended_for(handle, 4, "first")
    waiters.ended("c", 3)
    assert handle.result(timeout=1) == (4, "first")


def test_nobody_waits_for_an_engine_that_stops() -> None:
    waiters = Waiters()
    before = waiters.register("c", WaitCondition.REMOVED)
    end = waiters.code("c")
    waiters.close()
    assert before.cancelled()
    assert end.result(timeout=1) is None
    assert waiters.register("c", WaitCondition.NEXT_EXIT).cancelled()


def test_a_race_between_both() -> None:
    for _ in range(300):
        waiters = Waiters()
        handle = waiters.register("c", WaitCondition.NOT_RUNNING)
        wrong: list[BaseException] = []

        def settle(waiters: Waiters = waiters, wrong: list[BaseException] = wrong) -> None:
            try:
                waiters.ended("c", 1)
            except BaseException as error:  # noqa: BLE001 - told to the test
                wrong.append(error)

        thread = threading.Thread(target=settle)
        thread.start()
        waiters.ended_for(handle, 1, "")
        thread.join()
        assert not wrong
        assert handle.result(timeout=1) == (1, "")


def test_others_go_on_waiting() -> None:
    waiters = Waiters()
    removed = waiters.register("c", WaitCondition.REMOVED)
    waiters.ended("c", 3)
    assert not removed.done()
    waiters.removed("c", 3)
    assert removed.result(timeout=1) == (3, "")
