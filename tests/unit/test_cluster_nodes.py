"""Which nodes of a cluster live, whatever clocks say."""

from __future__ import annotations

from engine.networks.cluster.nodes import Nodes


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_who_is_silent_and_who_is_lost() -> None:
    clock = Clock()
    nodes = Nodes(silent=20, clock=clock)
    nodes.hear({"one": 50, "two": 50}, now=50)
    assert nodes.heard() == {"one", "two"}
    for beat in range(1, 6):
        clock.now += 5
        nodes.hear({"one": 50 + 5 * beat, "two": 50}, now=50 + 5 * beat)
    assert nodes.heard() == {"one"}
    assert nodes.lost(since=3600) == frozenset()
    clock.now += 3600
    assert nodes.lost(since=3600) == {"one", "two"}
    nodes.hear({"two": 99}, now=99)
    assert nodes.heard() == {"two"}
    assert nodes.lost(since=0) == {"two"}


def test_a_store_whose_clock_is_set_makes_nobody_look_dead() -> None:
    clock = Clock()
    nodes = Nodes(silent=20, clock=clock)
    nodes.hear({"one": 50}, now=50)
    clock.now += 5
    nodes.hear({"one": 55}, now=9_000_000)
    assert nodes.heard() == {"one"}
    clock.now += 5
    nodes.hear({"one": 10}, now=10)
    assert nodes.heard() == {"one"}


def test_of_a_stranger_the_store_s_clock_tells_whether_it_is_silent_but_not_since_when() -> None:
    clock = Clock()
    nodes = Nodes(silent=20, clock=clock)
    nodes.hear({"old": 10, "new": 99_990, "ahead": 200_000}, now=100_000)
    assert nodes.heard() == {"new", "ahead"}
    assert nodes.lost(since=3600) == frozenset()
    clock.now += 3600
    assert "old" in nodes.lost(since=3600)
